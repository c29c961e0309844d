"""A made-up origin of commits and the in-memory server, for all tests that run deploys."""

from collections.abc import Iterator

import pytest

from ftp_deploy.deploys import fetch, restore, runner, skips
from ftp_deploy.models import Service
from ftp_deploy.transports.memory import Store, store
from tests.deploys.runs import Origin


@pytest.fixture
def origin(service: Service, published, monkeypatch: pytest.MonkeyPatch) -> Origin:
    made = Origin(service)
    for module in (runner, restore, fetch, skips):
        monkeypatch.setattr(module, "fetch_service", made.fetch)
    return made


@pytest.fixture
def server(service: Service) -> Iterator[Store]:
    held = store(service.host)
    yield held
    assert not held.faults, "a fault that was asked for did not happen"
