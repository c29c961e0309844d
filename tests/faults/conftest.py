"""What the fault tests run on: each combination of database and broker that the documentation names."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from tests.faults.stage import Setting, Stage, stage

SETTINGS = ("postgresql-rabbitmq", "postgresql-redis", "sqlite-embedded")
OpenStage = Callable[..., Stage]


def setting_named(name: str, request: pytest.FixtureRequest) -> Setting:
    """Return a combination of running servers."""
    database, _, broker = name.partition("-")
    server = request.getfixturevalue("postgresql") if database == "postgresql" else None
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
