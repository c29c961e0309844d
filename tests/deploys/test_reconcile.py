"""Reconcile: what the forges have and no webhook told of. The forge's answers are given here; a real one is asked in
``tests/faults/test_order.py``."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from ftp_deploy.deploys import queue, reconcile
from ftp_deploy.exceptions import RepositoryUnavailable
from ftp_deploy.models import Deploy, Heartbeat, Service
from ftp_deploy.providers.base import PushEvent

pytestmark = pytest.mark.django_db

State = Deploy.State
OLD, NEW = "a" * 40, "b" * 40


class Heads:
    """The heads of branches, by the address of the repository; ``asked`` keeps which were asked for."""

    def __init__(self) -> None:
        self.head: str | Exception = NEW
        self.broken: set[str] = set()
        self.asked: list[str] = []

    def __call__(self, source: Any, branch: str) -> str:
        self.asked.append(source.url)
        if any(name in source.url for name in self.broken):
            raise RepositoryUnavailable("away")
        assert isinstance(self.head, str)
        return self.head


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> Heads:
    made = Heads()
    monkeypatch.setattr(reconcile.git, "branch_head", made)
    return made


def pushed(service: Service, after: str = OLD) -> Deploy:
    deploy = queue.record_push(service, "delivery", PushEvent(branch="main", before="0" * 40, after=after)).deploy
    Deploy.objects.filter(pk=deploy.pk).update(state=State.SUCCEEDED, commit=after)
    return deploy


def another(service: Service, number: int, provider: str = "github") -> Service:
    service.pk, service.secret_key = None, f"key{number}"
    service.provider, service.repository_slug = provider, f"owner/site-{number}"
    service.reconciled_at = timezone.now() - timedelta(hours=number + 1)
    service.save(force_insert=True)
    made = Service.objects.get(pk=service.pk)
    pushed(made)
    return made


def test_a_missed_push_is_queued_once(service, heads) -> None:
    pushed(service)
    assert reconcile.reconcile_due() == 1
    missed = Deploy.objects.get(after=NEW)
    assert (missed.state, missed.before, missed.delivery_id) == (State.QUEUED, OLD, "")
    assert not missed.commits_complete
    Service.objects.update(reconciled_at=None)
    assert reconcile.reconcile_due() == 0
    assert Heartbeat.objects.filter(name="reconcile").exists()


def test_nothing_is_queued_where_the_head_is_known(service, heads) -> None:
    pushed(service, NEW)
    assert reconcile.reconcile_due() == 0
    assert Deploy.objects.count() == 1


def test_a_service_is_started_by_its_first_push_alone(service, heads) -> None:
    assert reconcile.reconcile_due() == 0
    assert not heads.asked


def test_each_service_has_its_turn_after_the_pause(service, heads) -> None:
    pushed(service)
    reconcile.reconcile_due()
    reconcile.reconcile_due()
    assert len(heads.asked) == 1
    Service.objects.update(reconciled_at=timezone.now() - timedelta(minutes=11))
    reconcile.reconcile_due()
    assert len(heads.asked) == 2


def test_no_forge_is_asked_too_much_at_once_and_the_oldest_come_first(service, heads, monkeypatch) -> None:
    monkeypatch.setattr(reconcile, "PER_FORGE", 2)
    Service.objects.update(enabled=False)
    for number in range(4):
        another(service, number)
    another(service, 4, "bitbucket")
    Service.objects.filter(repository_slug__startswith="owner/site-").update(enabled=True)
    reconcile.reconcile_due()
    names = [url.rpartition("/")[2].removesuffix(".git") for url in heads.asked]
    assert names == ["site-4", "site-3", "site-2"]
    reconcile.reconcile_due()
    assert len(heads.asked) == 5


def test_a_forge_that_is_away_holds_up_no_other_service(service, heads) -> None:
    pushed(service)
    another(service, 1)
    heads.broken = {"site-1"}
    assert reconcile.reconcile_due() == 1


def test_a_stopping_worker_and_the_setting_end_it(service, heads, settings) -> None:
    pushed(service)
    assert reconcile.reconcile_due(lambda: True) == 0
    settings.FTP_DEPLOY_RECONCILE_SECONDS = 0
    assert reconcile.reconcile_due() == 0
    assert not heads.asked
