"""Public addresses of this site, also under a path and from a thread that served no request."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import get_script_prefix, set_script_prefix

from ftp_deploy import links


@pytest.fixture(autouse=True)
def _prefix() -> Iterator[None]:
    before = get_script_prefix()
    yield
    set_script_prefix(before)


@pytest.mark.parametrize("base", ["https://example.com", "https://example.com/tools", "https://example.com/tools/"])
@pytest.mark.parametrize("known_to_the_thread", [True, False])
def test_a_path_counts_once(settings: Any, base: str, known_to_the_thread: bool) -> None:
    settings.FORCE_SCRIPT_NAME = "/tools"
    settings.FTP_DEPLOY_BASE_URL = base
    set_script_prefix("/tools" if known_to_the_thread else "/")
    path = "/tools/deploy/k" if known_to_the_thread else "/deploy/k"
    assert links.public(path) == "https://example.com/tools/deploy/k"


def test_a_name_that_begins_like_the_path_is_no_part_of_it(settings: Any) -> None:
    settings.FORCE_SCRIPT_NAME = "/deploy"
    settings.FTP_DEPLOY_BASE_URL = "https://example.com/deploy"
    set_script_prefix("/")
    assert links.public("/deploys/7") == "https://example.com/deploy/deploys/7"
    assert links.public("/deploy/key") == "https://example.com/deploy/deploy/key"
    set_script_prefix("/deploy")
    assert links.public("/deploy/deploy/key") == "https://example.com/deploy/deploy/key"


def test_without_a_path_the_address_is_put_before_it(settings: Any) -> None:
    settings.FORCE_SCRIPT_NAME = None
    settings.FTP_DEPLOY_BASE_URL = "https://example.com:8443"
    assert links.public("/ftpdeploy/") == "https://example.com:8443/ftpdeploy/"


@pytest.mark.django_db
def test_nowhere_is_empty(settings: Any) -> None:
    settings.FTP_DEPLOY_BASE_URL = ""
    assert links.public("/ftpdeploy/") == ""
    assert links.host() == "localhost"
