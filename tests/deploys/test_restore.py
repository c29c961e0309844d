"""What cannot be skipped, rolled back to or foreseen is refused with a sentence, and nothing is changed."""

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from ftp_deploy.deploys import restore, skips
from ftp_deploy.exceptions import CommitMissing, ConfigurationError, RepositoryError
from ftp_deploy.models import Deploy
from tests.factories import make_deploy, make_service

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", [Deploy.State.SUCCEEDED, Deploy.State.QUEUED, Deploy.State.SKIPPED])
def test_only_a_failed_deploy_can_be_skipped(state: str) -> None:
    deploy = make_deploy(state=state)
    with pytest.raises(ConfigurationError, match="has not failed"):
        restore.skip(deploy)
    assert Deploy.objects.get().state == state


@pytest.mark.parametrize("commit", ["", "1234\0", "12\n34"])
def test_a_roll_back_needs_a_commit(commit: str) -> None:
    with pytest.raises(ConfigurationError, match="needs a commit"):
        restore.roll_back(make_service(), commit)
    assert not Deploy.objects.exists()


@contextmanager
def another_commit(*_arguments: Any) -> Any:
    """A forge that gives out the head of the branch where an older commit was asked for."""
    yield SimpleNamespace(exact=False, tree=())


def test_a_roll_back_to_a_commit_that_is_gone_is_not_foreseen_as_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "fetch_service", another_commit)
    with pytest.raises(CommitMissing, match="does not give out commit cccccccccccc"):
        restore._preview(make_service(), "c" * 40, [], exact=True)


def test_a_skipped_deploy_whose_commit_is_gone_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be left out then: people have to know, and the deploy goes on."""
    monkeypatch.setattr(skips, "fetch_service", another_commit)
    skipped = make_deploy(state=Deploy.State.SKIPPED, before="c" * 40, after="c" * 40)
    with pytest.raises(RepositoryError, match="does not give out commit"):
        skips._tree(skipped.service, "c" * 40)
    monkeypatch.setattr(skips, "_unsettled", lambda _service: [skipped])
    told: list[str] = []
    skips.settle_skips(SimpleNamespace(warn=told.append), skipped.service)  # type: ignore[arg-type]
    words = f"Skipped deploy #{skipped.pk} cannot be left out: the forge does not give out commit cccccccccccc."
    assert told == [words]
    manifest, left_out, warnings = skips.foreseen(skipped.service)
    assert (dict(manifest), left_out, warnings) == ({}, [], [words])
