"""The doctor: each look, good and bad; it goes on where a look cannot be taken, and says what to do."""

from collections import namedtuple
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import modify_settings
from django.utils import timezone

from ftp_deploy import filebroker
from ftp_deploy.models import Heartbeat, Service
from ftp_deploy.standalone import doctor, health
from ftp_deploy.standalone.doctor import Verdict
from tests.factories import make_service

pytestmark = [pytest.mark.django_db, pytest.mark.urls("ftp_deploy.standalone.urls")]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def well(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An installation with nothing wrong."""
    tmp_path.chmod(0o700)
    settings.DATA_FOLDER = tmp_path
    settings.BASE_URL, settings.HTTPS = "https://deploy.example.com", True
    monkeypatch.setattr("celery.current_app", Celery(broker="memory://", set_as_current=False))
    monkeypatch.setattr(doctor, "current_app", Celery(broker="memory://", set_as_current=False))
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    User.objects.create_superuser("chief", "chief@example.com", "x")
    with modify_settings(INSTALLED_APPS={"append": "ftp_deploy.standalone"}):
        yield


def said(look: Any) -> list[tuple[Verdict, str, str]]:
    return [(found.verdict, found.subject, found.text) for found in look()]


def test_one_line_for_each_look_and_what_to_do(capsys: pytest.CaptureFixture[str], settings: Any) -> None:
    settings.BASE_URL = ""
    doctor.report()
    shown = capsys.readouterr().out
    assert "ok     accounts: there is an administrator" in shown
    assert "ok     broker: memory" in shown
    assert "look   address: BASE_URL is not set" in shown
    assert "       -> Set BASE_URL to the site's public address" in shown


def test_the_last_line_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def bad() -> Any:
        yield doctor.Finding(Verdict.BAD, "x", "y")

    def good() -> Any:
        yield doctor.Finding(Verdict.GOOD, "x", "y")

    for looks, status, words in (
        ((good,), 0, "Everything that is needed works."),
        ((bad, good), 1, "1 thing is wrong."),
        ((bad, bad), 1, "2 things are wrong."),
    ):
        monkeypatch.setattr(doctor, "LOOKS", looks)
        assert doctor.report() == status
        assert capsys.readouterr().out.splitlines()[-1] == words


def test_a_look_that_cannot_be_taken_is_a_finding_and_the_next_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_at_database() -> Any:
        raise health.NotReady("the database does not answer")

    def look_at_mail() -> Any:
        raise OSError("no route")
        yield

    monkeypatch.setattr(doctor, "LOOKS", (look_at_database, look_at_mail, doctor.look_at_accounts))
    assert [(found.verdict, found.subject, found.text) for found in doctor.findings()] == [
        (Verdict.BAD, "database", "the database does not answer"),
        (Verdict.BAD, "mail", "OSError: no route"),
        (Verdict.GOOD, "accounts", "there is an administrator"),
    ]


def test_what_needs_a_dead_database_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_at_services() -> Any:
        raise OperationalError("no such table")
        yield

    monkeypatch.setattr(doctor, "LOOKS", (look_at_services,))
    assert [(found.verdict, found.text) for found in doctor.findings()] == [
        (Verdict.DOUBT, "cannot tell: see to the database first")
    ]


def test_a_dead_part_is_told_with_the_reason_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celery.current_app", Celery(broker="redis://:canary@127.0.0.1:1/0", set_as_current=False))
    Heartbeat.objects.all().delete()
    found = {finding.subject: finding for finding in doctor.findings()}
    assert "Connection refused" in found["broker"].text
    assert "canary" not in found["broker"].text
    assert found["broker"].advice == "Start the broker, and compare BROKER_URL with it."
    assert "ftp-deploy worker" in found["worker"].advice


def test_files_in_the_data_folder_have_an_advice_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Celery(broker=f"{filebroker.SCHEME}://", set_as_current=False)
    monkeypatch.setattr(doctor, "current_app", app)
    assert doctor.advice("broker").startswith("It is kept in the data folder")
    assert doctor.advice("other") == ""


def test_accounts() -> None:
    User.objects.update(is_superuser=False)
    assert said(doctor.look_at_accounts) == [
        (Verdict.BAD, "accounts", "nobody can administer the site, 1 can log in"),
    ]
    User.objects.update(is_active=False)
    assert said(doctor.look_at_accounts) == [(Verdict.BAD, "accounts", "nobody can log in")]


def test_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(doctor.look_at_folder) == [(Verdict.GOOD, "data folder", str(tmp_path))]
    tmp_path.chmod(0o755)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage(1, 1, 1024 * 1024))
    assert [(verdict, subject) for verdict, subject, _ in said(doctor.look_at_folder)] == [
        (Verdict.DOUBT, "data folder"), (Verdict.BAD, "disk"), (Verdict.GOOD, "data folder"),
    ]  # fmt: skip
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert [verdict for verdict, _, _ in said(doctor.look_at_folder)] == [Verdict.BAD]


def test_the_database_at_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(doctor.look_at_database)[0][0] == Verdict.GOOD
    monkeypatch.setattr(doctor, "waiting_migrations", lambda: 2)
    assert said(doctor.look_at_database) == [(Verdict.BAD, "database", "2 migrations wait")]


def test_the_worker() -> None:
    assert said(doctor.look_at_worker)[0][:2] == (Verdict.GOOD, "worker")
    Heartbeat.objects.update(at=timezone.now() - timedelta(hours=1))
    (found,) = [found for found in doctor.findings() if found.subject == "worker"]
    assert found.verdict == Verdict.BAD
    assert "is a worker running" in found.text


def test_the_address(settings: Any) -> None:
    assert said(doctor.look_at_address) == [(Verdict.GOOD, "address", "https://deploy.example.com")]
    settings.BASE_URL, settings.HTTPS = "http://deploy.example.com", False
    assert said(doctor.look_at_address) == [
        (Verdict.DOUBT, "address", "http://deploy.example.com is not https"),
    ]


def test_the_mail_server(settings: Any) -> None:
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Sink

    from tests.servers.ports import free_port

    assert said(doctor.look_at_mail) == [(Verdict.DOUBT, "mail", "mails go to: locmem")]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    (found,) = [found for found in doctor.findings() if found.subject == "mail"]
    assert found.verdict == Verdict.BAD
    controller = Controller(Sink(), hostname="127.0.0.1", port=settings.EMAIL_PORT)
    controller.start()
    try:
        assert said(doctor.look_at_mail) == [(Verdict.GOOD, "mail", f"127.0.0.1:{settings.EMAIL_PORT} answers")]
    finally:
        controller.stop()


def test_secrets_that_no_key_opens(settings: Any) -> None:
    settings.FTP_DEPLOY_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    service = make_service(password="canary")
    ((verdict, subject, text),) = said(doctor.look_at_secrets)
    assert (verdict, subject) == (Verdict.GOOD, "secrets")
    settings.FTP_DEPLOY_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    ((verdict, subject, text),) = said(doctor.look_at_secrets)
    assert verdict == Verdict.BAD
    assert f"service {service.pk}: password" in text
    assert "canary" not in text


def test_services() -> None:
    service = make_service()
    assert said(doctor.look_at_services) == [(Verdict.GOOD, "services", "1, none is failing")]
    Service.objects.update(status="failing", status_message="530 Login incorrect")
    assert said(doctor.look_at_services) == [(Verdict.DOUBT, "service", f"{service}: 530 Login incorrect")]


def test_settings(settings: Any) -> None:
    settings.DEBUG = True
    settings.UNKNOWN_NAMES = ["GITHUB_TOKN"]
    found = said(doctor.look_at_settings)
    assert (Verdict.DOUBT, "settings", "the settings file holds GITHUB_TOKN, which nothing reads") in found
    assert not {subject for _, subject, _ in found} & doctor.TOLD_BY_OTHERS
    assert (Verdict.BAD, "settings", "DEBUG is on") in found
