"""System checks: each id is raised for its reason and for nothing else."""

from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from cryptography.fernet import Fernet
from django.conf import settings as live_settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.utils import timezone

from ftp_deploy import checks
from ftp_deploy.models import Heartbeat, Service
from tests.factories import make_service

pytestmark = pytest.mark.django_db

SAFE = {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"}


def ids(*, deploy: bool = True, databases: Any = None) -> list[str]:
    found = run_checks(include_deployment_checks=deploy, databases=databases)
    return sorted(str(each.id).removeprefix("ftp_deploy.") for each in found if str(each.id).startswith("ftp_deploy."))


@pytest.fixture
def good(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    settings.FTP_DEPLOY_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    settings.FTP_DEPLOY_BASE_URL = "https://deploy.example.com"
    monkeypatch.setitem(live_settings.DATABASES["default"], "OPTIONS", SAFE)
    Heartbeat.objects.update_or_create(name="sweep", defaults={"at": timezone.now()})
    return settings


def service(**values: Any) -> Service:
    return make_service(**({"protocol": "sftp"} | values))


def test_a_good_site_has_no_warning(good: Any) -> None:
    service()
    assert ids() == []


@pytest.mark.parametrize(
    ("name", "value", "identity"),
    [
        ("FTP_DEPLOY_ENCRYPTION_KEYS", [], "W001"),
        ("FTP_DEPLOY_ENCRYPTION_KEYS", ["short"], "E001"),
        ("FTP_DEPLOY_ENCRYPTION_KEYS", "text", "E002"),
        ("FTP_DEPLOY_BASE_URL", "", "W003"),
        ("DEBUG", True, "W004"),
        ("FTP_DEPLOY_LEASE_SECONDS", "120", "E002"),
        ("FTP_DEPLOY_LEASE_SECONDS", -1, "E002"),
        ("FTP_DEPLOY_LEASE_SECONDS", True, "E002"),
        ("FTP_DEPLOY_LEASE_SECONDS", "soon", "E002"),
        ("FTP_DEPLOY_SWEEP_SECONDS", None, "E002"),
        ("FTP_DEPLOY_COMMIT_STATUS", 1, "E002"),
        ("DEPLOY_GITHUB_SETTINGS", "me", "E002"),
        ("FTP_DEPLOY_WEBHOOK_ALLOWED_ADDRESSES", {"github": ["192.0.2.0/99"]}, "E004"),
        ("FTP_DEPLOY_WEBHOOK_ALLOWED_ADDRESSES", {"github": "192.0.2.0/24"}, "E004"),
        ("FTP_DEPLOY_PROVIDERS", {"mine": "no.such.module.Forge"}, "E003"),
        ("FTP_DEPLOY_TRANSPORTS", {"mine": "ftp_deploy.conf.Nothing"}, "E003"),
    ],
)
def test_settings(good: Any, name: str, value: Any, identity: str) -> None:
    service()
    setattr(good, name, value)
    assert ids() == [identity]


@pytest.mark.parametrize(
    ("options", "found"), [(SAFE, 0), ({}, 1), ({**SAFE, "init_command": ""}, 1), ({**SAFE, "transaction_mode": ""}, 1)]
)
def test_sqlite(options: dict[str, str], found: int) -> None:
    database = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": options}
    problems = checks.sqlite_problems({"default": database, "other": {"ENGINE": "django.db.backends.postgresql"}})
    assert [problem.id for problem in problems] == ["ftp_deploy.W002"] * found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"signature_required": False}, ["W005"]),
        ({"protocol": "ftp"}, ["W006"]),
        ({"protocol": "ftps", "verify_certificate": False}, ["W007"]),
        ({"protocol": "ftps", "verify_certificate": False, "fingerprint": "abc"}, []),
        ({"protocol": "ftp", "signature_required": False, "enabled": False}, []),
    ],
)
def test_services(good: Any, values: dict[str, Any], expected: list[str]) -> None:
    service(**values)
    assert ids() == expected


def test_many_services_are_counted_not_listed(good: Any) -> None:
    for number in range(12):
        service(protocol="ftp", repository_name=f"site{number:02}")
    (warning,) = checks.check_services()
    assert "site09" in warning.msg
    assert "site11" not in warning.msg
    assert "…" in warning.msg


@pytest.mark.parametrize(("age", "expected"), [(timedelta(minutes=6), ["W008"]), (timedelta(minutes=4), [])])
def test_the_sweep(good: Any, age: timedelta, expected: list[str]) -> None:
    assert ids() == []
    service()
    Heartbeat.objects.update(at=timezone.now() - age)
    assert ids() == expected
    assert ids(deploy=False) == []
    assert ids(deploy=False, databases=["default"]) == expected


def test_where_sweeps_are_rare_a_pause_is_no_stand_still(good: Any) -> None:
    service()
    good.FTP_DEPLOY_SWEEP_SECONDS = 120.0
    Heartbeat.objects.update(at=timezone.now() - timedelta(minutes=7))
    assert ids() == []
    Heartbeat.objects.update(at=timezone.now() - timedelta(minutes=9))
    assert ids() == ["W008"]


LIMITS = {"socket_timeout": 5, "socket_connect_timeout": 2}


@pytest.mark.parametrize(
    ("broker", "options", "missing"),
    [
        ("redis://192.0.2.1/0", {}, "['socket_timeout'], broker_transport_options['socket_connect_timeout']"),
        ("sentinel://192.0.2.1", {"socket_timeout": 5}, ": broker_transport_options['socket_connect_timeout']."),
        ("rediss://192.0.2.1/0", LIMITS, ""),
        ("amqp://192.0.2.1//", {}, ""),
        ("filesystem://", {}, ""),
    ],
)
def test_a_celery_app_of_the_project_without_socket_timeouts(
    good: Any, monkeypatch: pytest.MonkeyPatch, broker: str, options: dict[str, int], missing: str
) -> None:
    project = Celery("project", broker=broker, set_as_current=False)
    project.conf.broker_transport_options = options
    found = checks.broker_problems(project.conf)
    assert [warning.id for warning in found] == (["ftp_deploy.W009"] if missing else [])
    assert all(missing in str(warning.hint) for warning in found)
    monkeypatch.setattr(checks, "current_app", project)
    assert ids() == (["W009"] if missing else [])


def test_a_celery_app_that_connects_without_a_limit_or_never(good: Any) -> None:
    project = Celery("project", broker="amqp://192.0.2.1//", set_as_current=False)
    project.conf.broker_connection_timeout = None
    assert [warning.id for warning in checks.broker_problems(project.conf)] == ["ftp_deploy.W009"]
    project.conf.task_always_eager = True
    assert checks.broker_problems(project.conf) == []


def test_no_sweep_ever(good: Any) -> None:
    service()
    Heartbeat.objects.all().delete()
    (warning,) = checks.sweep_problems()
    assert "No sweep ever ran" in warning.msg


def test_a_database_that_is_not_there_yet_is_no_problem(good: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("no such table")

    monkeypatch.setattr(Service.objects, "filter", fail)
    assert checks.check_services() == []
    assert checks.sweep_problems() == []


def test_the_test_project_passes() -> None:
    call_command("check")


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [("published", []), (["192.0.2.0/24", "2001:db8::/32"], []), ("192.0.2.0/24", ["E004"]), (["here"], ["E004"])],
)
def test_the_allow_list_of_a_forge(good: Any, allowed: object, expected: list[str]) -> None:
    good.FTP_DEPLOY_WEBHOOK_ALLOWED_ADDRESSES = {"github": allowed}
    found = [each for each in ids() if each.startswith("E")]
    assert len(found) == len(expected)


def test_a_setting_of_a_kind_of_its_own_is_taken_as_it_is() -> None:
    assert checks.problem_of(object(), None) == ""
