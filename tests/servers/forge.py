"""Fixtures: a forge on loopback with one repository, ``site``, and its relatives of old."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ftp_deploy.repository.git import GitSource
from ftp_deploy.standalone.forge import Forge

SITE = {"index.html": b"<h1>Hello</h1>\n", "css/site.css": b"body {}\n", "empty": b""}

StartForge = Callable[..., Forge]


@pytest.fixture
def start_forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartForge]:
    """A function that starts a forge: ``start_forge(partial=False)``. It has no repository yet."""
    running: list[Forge] = []

    def start(**options: Any) -> Forge:
        # On a busy machine a web process may need long for an answer; a forge of life waits for ten seconds.
        forge = Forge(tmp_path_factory.mktemp("forge"), **{"hook_timeout": 60.0, **options})
        running.append(forge)
        forge.start()
        return forge

    yield start
    for forge in running:
        forge.stop()


@pytest.fixture
def forge(start_forge: StartForge) -> Forge:
    """A forge with the repository ``site``."""
    forge = start_forge()
    forge.create_repository("site", SITE)
    return forge


def source_of(forge: Forge, name: str = "site", **changes: Any) -> GitSource:
    """Return how to read a repository of a forge."""
    values = {"url": forge.clone_url(name), "username": forge.username, "password": forge.token}
    return GitSource(**{**values, "connect_timeout": 20.0, "reply_timeout": 30.0, **changes})
