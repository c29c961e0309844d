"""What ``web``, ``worker`` and ``serve`` make of their options, and who is asked for the first account."""

from argparse import Namespace
from types import SimpleNamespace
from typing import Any

import pytest

from ftp_deploy import celery
from ftp_deploy.standalone import serve

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "127.0.0.1"), ("", "127.0.0.1"), ("::1", "[::1]"), ("intranet.example", "intranet.example")],
)
def test_the_address_is_one_that_a_browser_can_open(settings: Any, host: str, shown: str) -> None:
    settings.FTP_DEPLOY_BASE_URL = ""
    assert serve.address(host, 8000, "/x") == f"http://{shown}:8000/x"
    settings.FTP_DEPLOY_BASE_URL = "https://deploy.example.com"
    assert serve.address(host, 8000, "/x") == "https://deploy.example.com/x"


@pytest.mark.urls("ftp_deploy.standalone.urls")
@pytest.mark.parametrize("terminal", [True, False])
def test_the_first_account_is_asked_for_on_a_terminal_else_a_link_makes_it(
    monkeypatch: pytest.MonkeyPatch, settings: Any, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    settings.FTP_DEPLOY_BASE_URL = ""
    called: list[str] = []
    monkeypatch.setattr(serve, "call_command", lambda name, **_options: called.append(name))
    monkeypatch.setattr(serve, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: terminal)))
    serve.first_account("127.0.0.1", 8000)
    assert called == (["createsuperuser"] if terminal else [])
    assert ("http://127.0.0.1:8000/setup/" in capsys.readouterr().out) is not terminal


@pytest.mark.urls("ftp_deploy.standalone.urls")
def test_where_somebody_can_log_in_nobody_is_asked(
    admin_user: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "call_command", lambda name, **_options: pytest.fail(name))
    serve.first_account("127.0.0.1", 8000)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, {"--concurrency": "3", "--beat": "--schedule"}),
        ({"queues": "slow", "name": "w2", "no_beat": True}, {"--queues": "slow", "--hostname": "w2@%h"}),
    ],
)
def test_a_worker_is_told_its_queues_its_name_and_whether_it_keeps_time(
    monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any, options: dict[str, Any], arguments: dict[str, str]
) -> None:
    settings.DATA_FOLDER = tmp_path
    told: list[str] = []
    monkeypatch.setattr(celery, "app", SimpleNamespace(worker_main=told.extend))
    serve.worker(Namespace(**({"concurrency": 3, "queues": "", "name": "", "no_beat": False} | options)))
    for name, value in arguments.items():
        assert told[told.index(name) + 1] == value
    assert ("--beat" in told) is not options.get("no_beat", False)
    assert ("--queues" in told) is ("queues" in options)
