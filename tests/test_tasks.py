"""The tasks themselves: each calls its part of the core once, and a row that is gone is nobody's error."""

from typing import Any

import pytest

from ftp_deploy import notifications, tasks, validation
from ftp_deploy.deploys import commit_list, reconcile, retention, runner
from tests.factories import make_deploy, make_service


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for module, name in (
        (reconcile, "reconcile_due"), (retention, "prune"), (runner, "run_service"), (validation, "validate"),
        (notifications, "send"), (notifications, "deliver_due"), (commit_list, "fill_up"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, lambda *given, name=name: found.append((name, given)))
    return found


def test_periodic_work_can_be_asked_to_stop(called: list[tuple[str, Any]]) -> None:
    tasks.reconcile()
    tasks.deliver()
    tasks.prune()
    asked = {"reconcile_due": (tasks.stopping.is_set,), "deliver_due": (tasks.stopping.is_set,), "prune": ()}
    assert dict(called) == asked


def test_a_run_knows_how_long_it_has_when_its_worker_stops(called: list[tuple[str, Any]]) -> None:
    tasks.run(7)
    assert called == [("run_service", (7, tasks.stopping.is_set, tasks.patience()))]
    assert tasks.patience() > 0


@pytest.mark.django_db
def test_rows_that_are_there_and_rows_that_are_gone(called: list[tuple[str, Any]]) -> None:
    service = make_service()
    deploy = make_deploy(service)
    tasks.notify(deploy.pk)
    tasks.validate(service.pk)
    assert called == [("fill_up", (deploy,)), ("send", (deploy, tasks.stopping.is_set)), ("validate", (service,))]
    called.clear()
    tasks.notify(deploy.pk + 1)
    tasks.validate(service.pk + 1)
    assert called == []


def test_a_flag_that_was_set_can_be_taken_back() -> None:
    flag = tasks.SharedFlag()
    assert not flag.is_set()
    flag.set()
    assert flag.is_set()
    flag.clear()
    assert not flag.is_set()
