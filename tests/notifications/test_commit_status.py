"""The mark beside a commit, on a real forge, read back by its API."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftp_deploy import links, notifications
from ftp_deploy.exceptions import NotSent
from ftp_deploy.models import Deploy, Message
from ftp_deploy.notifications import commit_status
from ftp_deploy.standalone.forge import Forge
from tests.factories import make_deploy, make_service

pytestmark = [pytest.mark.django_db, pytest.mark.integration]


@pytest.fixture
def forge(tmp_path: Path, settings: Any) -> Iterator[Forge]:
    made = Forge(tmp_path)
    made.start()
    settings.DEPLOY_GITHUB_SETTINGS = {"username": made.username, "password": made.token, "url": made.url}
    settings.FTP_DEPLOY_BASE_URL = "https://deploy.example.com"
    yield made
    made.stop()


def marks(forge: Forge, commit: str) -> list[tuple[str, str]]:
    request = urllib.request.Request(f"{forge.url}/api/v3/repos/{forge.username}/site/commits/{commit}/statuses")
    request.add_header("Authorization", f"Bearer {forge.token}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return [(mark["state"], mark["target_url"]) for mark in json.loads(answer.read())]


def test_a_commit_is_pending_and_then_live(forge: Forge) -> None:
    forge.create_repository("site", {"index.html": b"one"})
    commit = forge.commit("site", {"index.html": b"two"}, "Change")
    service = make_service(repository_slug=f"{forge.username}/site")
    deploy = make_deploy(service, state=Deploy.State.RUNNING, after=commit)
    notifications.send(deploy)
    deploy.state, deploy.finished_at = Deploy.State.SUCCEEDED, deploy.created_at
    deploy.save()
    notifications.send(deploy)
    address = links.deploy_url(deploy).rstrip("/")
    assert [(state, url.rstrip("/")) for state, url in marks(forge, commit)] == [
        ("success", address), ("pending", address),
    ]  # fmt: skip


def test_a_token_that_is_refused_changes_nothing_else(forge: Forge, settings: Any) -> None:
    forge.create_repository("site", {"index.html": b"one"})
    commit = forge.commit("site", {"index.html": b"two"}, "Change")
    settings.DEPLOY_GITHUB_SETTINGS = {"username": "x", "password": "canary-wrong", "url": forge.url}
    deploy = make_deploy(make_service(repository_slug=f"{forge.username}/site"), after=commit)
    notifications.send(deploy)
    row = Message.objects.get()
    assert row.state == Message.State.FAILED
    assert row.error
    assert "canary" not in row.error
    assert Deploy.objects.get().state == Deploy.State.SUCCEEDED


def test_what_is_over_is_not_marked_as_on_its_way() -> None:
    deploy = make_deploy(state=Deploy.State.SUCCEEDED)
    late = Message(service=deploy.service, deploy=deploy, event=Message.Event.STARTED)
    with pytest.raises(NotSent, match="ended meanwhile") as caught:
        commit_status.send(late)
    assert not caught.value.transient
    late.deploy = None
    with pytest.raises(NotSent, match="is gone"):
        commit_status.send(late)
