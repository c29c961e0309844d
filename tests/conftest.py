"""Fixtures that all tests may use."""

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ftp_deploy.models import Service

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest_plugins = ["tests.servers.fixtures", "tests.servers.forge"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a failed integration test again, twice at most: other processes and a busy machine have their own pace.

    pytest reports each rerun with an R, so that a test that needs them often is seen.
    """
    for item in items:
        if item.get_closest_marker("integration") and not item.get_closest_marker("kills"):
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture(autouse=True)
def _announced_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what waits be announced by the thread that stored it: a test sees it as soon as the call is over."""
    from ftp_deploy.deploys import wakeup

    monkeypatch.setattr(wakeup.announcer, "announce", lambda pk, queue="": wakeup.send(wakeup.RUN, pk, queue=queue))


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Chromium, one for all tests of a process: Playwright's event loop cannot run twice in a thread."""
    from tests.server.browser import chromium

    with chromium() as started:
        yield started


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[int, ...]]]:
    """The messages that would have gone to the broker."""
    from ftp_deploy.deploys import wakeup

    sent: list[tuple[str, tuple[int, ...]]] = []

    def take(name: str, *ids: int, queue: str = "") -> bool:
        sent.append((name, ids))
        return True

    monkeypatch.setattr(wakeup.publisher, "send", take)
    return sent


@pytest.fixture
def service(db: None) -> Service:
    """A stored service whose server is the in-memory one."""
    return Service.objects.create(
        protocol="memory",
        host=f"{uuid.uuid4().hex}.example",
        username="site",
        password="secret",
        path="/www",
        provider="github",
        repository_name="site",
        repository_slug="owner/site",
        branch="main",
    )
