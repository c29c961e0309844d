"""What the fault tests run on: each combination of database and broker that the documentation names."""

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.stage import Setting, Stage, stage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the proxies drop connections that asyncio accepted in the last moment: their sockets are not closed."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(autouse=True)
def collect_dropped_connections() -> Iterator[None]:
    """Find dropped connections while their warnings are still let pass."""
    yield
    gc.collect()


HERE = Path(__file__).parent
SETTINGS = ("postgresql-rabbitmq", "postgresql-redis", "sqlite-embedded")
OpenStage = Callable[..., Stage]


def setting_named(name: str, request: pytest.FixtureRequest) -> Setting:
    """Return a combination of running servers."""
    database, _, broker = name.partition("-")
    server = request.getfixturevalue(database) if database in ("postgresql", "mariadb") else None
    if broker == "embedded":
        return Setting(server)
    scheme = {"redis": "redis", "rabbitmq": "amqp"}[broker]
    return Setting(server, request.getfixturevalue(broker).port, scheme)


@pytest.fixture
def open_stage(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[OpenStage]:
    """A function that builds a stage: ``open_stage("postgresql-redis", FTP_DEPLOY_MAX_CRASHES=2)``."""
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())

        def opened(name: str, **settings: Any) -> Stage:
            made: AbstractContextManager[Stage] = stage(setting_named(name, request), **settings)
            return stack.enter_context(made)

        yield opened
