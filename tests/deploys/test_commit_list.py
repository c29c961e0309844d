"""Lists of commits that the webhook cut, filled up from a forge's API."""

from typing import Any

import pytest

from ftp_deploy import tasks
from ftp_deploy.deploys.commit_list import fill_up
from ftp_deploy.models import Account, Deploy, Service
from ftp_deploy.standalone.forge import Forge
from ftp_deploy.standalone.forge.storage import Author
from tests.factories import make_deploy, make_notification, make_service

pytestmark = [pytest.mark.django_db, pytest.mark.integration]


@pytest.fixture
def service(forge: Forge) -> Service:
    account = Account.objects.create(
        name="forge", provider="github", username=forge.username, token=forge.token, url=forge.url
    )
    return make_service(account=account, repository_slug=f"{forge.username}/site")


def push(forge: Forge, number: int) -> list[str]:
    """Make commits; return the ids of the last one before them and of each."""
    return [forge.commit("site", {"a.txt": str(n).encode()}, f"Change {n}") for n in range(number + 1)]


def cut(service: Service, ids: list[str], **changes: Any) -> Deploy:
    known = [{"id": ids[-1], "message": "the last one alone"}]
    values = {"before": ids[0], "after": ids[-1], "commits": known, "commits_complete": False}
    return make_deploy(service, **{**values, **changes})


def test_the_whole_list_is_stored_oldest_first(forge: Forge, service: Service) -> None:
    ids = push(forge, 7)
    deploy = cut(service, ids)
    assert fill_up(deploy)
    stored = Deploy.objects.get(pk=deploy.pk)
    assert [commit["id"] for commit in stored.commits] == ids[1:]
    assert stored.commits[0]["message"] == "Change 1"
    assert stored.commits_complete


def test_a_new_branch_has_its_newest_commits(forge: Forge, service: Service) -> None:
    ids = push(forge, 3)
    deploy = cut(service, ids, before="")
    assert fill_up(deploy)
    assert [commit["id"] for commit in deploy.commits][-4:] == ids


def test_where_the_forge_refuses_the_short_list_stays(forge: Forge, service: Service) -> None:
    ids = push(forge, 2)
    deploy = cut(service, ids)
    forge.token = "another"
    assert not fill_up(deploy)
    stored = Deploy.objects.get(pk=deploy.pk)
    assert (len(stored.commits), stored.commits_complete) == (1, False)


def test_a_commit_that_the_forge_does_not_have(forge: Forge, service: Service) -> None:
    deploy = cut(service, [push(forge, 1)[0], "f" * 40])
    assert not fill_up(deploy)
    assert len(Deploy.objects.get(pk=deploy.pk).commits) == 1


def test_a_whole_list_and_other_deploys_ask_nothing(forge: Forge, service: Service) -> None:
    ids = push(forge, 2)
    forge.token = "another"
    assert fill_up(cut(service, ids, commits_complete=True))
    assert not fill_up(cut(service, ids, kind=Deploy.Kind.MANUAL))


def test_who_wrote_a_commit_that_was_cut_is_told_too(
    forge: Forge, service: Service, mailoutbox: list[Any], settings: Any
) -> None:
    settings.FTP_DEPLOY_COMMIT_STATUS = False
    service.notification = make_notification(commit_user_success=True)
    service.save()
    before = push(forge, 0)[0]
    forge.commit("site", {"a.txt": b"x"}, "First", author=Author("Writer", "writer@example.com"))
    last = forge.commit("site", {"a.txt": b"y"}, "Second")
    tasks.notify(cut(service, [before, last]).pk)
    assert ["writer@example.com"] in [letter.to for letter in mailoutbox]
