"""Canaries in every place where a secret is kept, looked for in everything that leaves the app."""

import io
import logging
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core import mail
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, reverse
from django.views.debug import ExceptionReporter
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from ftp_deploy import hooks, validation, views
from ftp_deploy.deploys import runner
from ftp_deploy.deploys.source import git_source
from ftp_deploy.exceptions import FTPDeployError
from ftp_deploy.fields import EncryptedTextField
from ftp_deploy.models import Account, AuditEntry, Change, Deploy, LogLine, Notification, Service
from ftp_deploy.models.account import settings_login
from ftp_deploy.providers.base import WebhookRequest
from ftp_deploy.providers.cache import conditional_answers
from ftp_deploy.server import urls as dashboard
from ftp_deploy.standalone.forge import Forge
from ftp_deploy.standalone.metrics import DatabaseCollector
from tests.factories import make_deploy, make_notification, make_service
from tests.servers.base import FTPServer

CANARY = "canary7f3"
KEY_TEXT = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}key\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.fixture(autouse=True)
def _settings(settings: Any) -> Iterator[None]:
    settings.FTP_DEPLOY_BASE_URL = "https://deploy.example.com"
    settings.DEPLOY_GITHUB_SETTINGS = {"username": "builder", "password": f"{CANARY}setting"}
    cache.clear()
    conditional_answers.clear()
    yield
    cache.clear()
    conditional_answers.clear()


def fill(instance: Any) -> None:
    """Put a canary of its own into every encrypted field that has none yet."""
    for field in instance._meta.concrete_fields:
        if isinstance(field, EncryptedTextField) and CANARY not in getattr(instance, field.attname):
            setattr(instance, field.attname, f"{CANARY}{field.attname}")
    if isinstance(instance, Notification):
        instance.channels = f"json://user:{CANARY}channel@127.0.0.1:9/"
        instance.webhook_url = f"http://127.0.0.1:9/{CANARY}hook"
    if isinstance(instance, Service):
        instance.after_urls = f"http://127.0.0.1:9/purge?token={CANARY}after"
        instance.private_key = KEY_TEXT
    instance.save()


@pytest.fixture
def service(db: None) -> Service:
    account = Account.objects.create(name="agency", provider="github", username="builder")
    notification = make_notification(("ops@example.com", True, True))
    made = make_service(account=account, notification=notification, host="127.0.0.1", port=9)
    for instance in (account, notification, made):
        fill(instance)
    return made


def assert_clean(text: str | bytes, where: str) -> None:
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    found = re.search(f".{{0,80}}{CANARY}.{{0,30}}", text, re.DOTALL)
    assert found is None, f"{where}: {found[0] if found else ''}"


def test_every_encrypted_field_has_its_canary(service: Service) -> None:
    for instance in (service, service.account, service.notification):
        assert instance is not None
        for field in instance._meta.concrete_fields:
            if isinstance(field, EncryptedTextField):
                assert CANARY in getattr(instance, field.attname)


class TestPages:
    @pytest.fixture
    def root(self, client: Client, db: None) -> Client:
        client.force_login(User.objects.create_superuser("root", password="x"))
        return client

    def rows(self, service: Service) -> dict[type, int]:
        deploy = make_deploy(service, state=Deploy.State.FAILED, error="530 Login incorrect")
        change = Change.objects.create(deploy=deploy, path="index.html", action="add")
        LogLine.objects.create(deploy=deploy, at=deploy.created_at, text="a line")
        entry = AuditEntry.objects.create(action="deploy", service=service)
        assert service.account
        assert service.notification
        return {
            Service: service.pk,
            Account: service.account.pk,
            Notification: service.notification.pk,
            Deploy: deploy.pk,
            Change: change.pk,
            AuditEntry: entry.pk,
        }

    def test_the_admin(self, root: Client, service: Service) -> None:
        rows, seen = self.rows(service), 0
        for model in admin.site._registry:
            if model._meta.app_label != "ftp_deploy":
                continue
            base = f"admin:ftp_deploy_{model._meta.model_name}_"
            targets: list[tuple[str, list[int]]] = [("changelist", []), ("add", [])]
            if model in rows:
                targets += [(name, [rows[model]]) for name in ("change", "history", "delete")]
            for name, arguments in targets:
                url = reverse(base + name, args=arguments)
                answer = root.get(url)
                assert answer.status_code in {200, 302, 403}, url
                assert_clean(answer.content, url)
                seen += answer.status_code == 200
        assert seen >= 10

    def test_a_refused_form_does_not_show_what_was_entered(self, root: Client, service: Service) -> None:
        for name in ("admin:ftp_deploy_service_change", "ftpdeploy_service_edit"):
            url = reverse(name, args=[service.pk])
            answer = root.post(
                url, {"host": "", "password": f"{CANARY}new", "private_key": KEY_TEXT, "passphrase": f"{CANARY}new"}
            )
            assert answer.status_code == 200, url
            assert_clean(answer.content, url)
        answer = root.post(reverse("admin:ftp_deploy_account_add"), {"name": "", "token": f"{CANARY}new"})
        assert_clean(answer.content, "account")

    def test_the_dashboard(self, root: Client, service: Service) -> None:
        rows, seen = self.rows(service), 0
        by_room = {"service": Service, "deploy": Deploy, "notification": Notification, "account": Account}
        for pattern in dashboard.urlpatterns:
            name = str(pattern.name)
            if "logout" in name:
                continue
            room = by_room.get(name.split("_")[1], Service)
            try:
                url = reverse(name, args=[rows[room]])
            except NoReverseMatch:
                try:
                    url = reverse(name)
                except NoReverseMatch:
                    url = reverse(name, args=[rows[room], "a" * 40])
            answer = root.get(url)
            assert answer.status_code < 500, url
            content = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[arg-type]
            assert_clean(content, url)
            seen += answer.status_code == 200
        assert seen >= 15

    def test_the_door(self, client: Client, service: Service) -> None:
        url = reverse("ftpdeploy_deploy", args=[service.secret_key])
        for body in (b"{}", b"nonsense", b""):
            assert_clean(client.post(url, body, content_type="application/json").content, "hook")
        assert_clean(client.get(reverse("ftpdeploy_deploy_status", args=[service.secret_key])).content, "status")


class TestObjects:
    def test_repr(self, service: Service) -> None:
        request = WebhookRequest({"x-hub-signature-256": "sha256=x"}, CANARY.encode())
        forge = service.forge()
        loaded = Service.objects.get(pk=service.pk)
        shown = [service, loaded, service.account, service.notification, service.target(), service.transport(), forge]
        shown += [forge.account, forge.client, forge.git_access("o/r"), git_source(service), request]  # type: ignore[attr-defined]
        shown += [settings_login("github"), vars(loaded), vars(forge.client)]  # type: ignore[attr-defined]
        for value in shown:
            assert_clean(f"{value!r} {value!s}", type(value).__name__)

    def test_a_dump_of_the_database(self, service: Service) -> None:
        out = io.StringIO()
        call_command("dumpdata", "ftp_deploy", stdout=out)
        assert str(service.host) in out.getvalue()
        assert_clean(out.getvalue(), "dumpdata")

    def test_metrics(self, service: Service) -> None:
        make_deploy(service, state=Deploy.State.FAILED, error="530 Login incorrect")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(DatabaseCollector())
        text = generate_latest(registry).decode()
        assert "ftp_deploy_services" in text
        assert_clean(text, "metrics")

    def test_a_copy_of_the_database(self, service: Service) -> None:
        make_deploy(service)
        if connection.vendor != "sqlite":
            pytest.skip("a server's own tool makes the backup")
        for table in connection.introspection.table_names():
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - names of tables
                assert_clean(repr(cursor.fetchall()), table)

    def test_the_history_of_the_admin(self, service: Service, client: Client) -> None:
        client.force_login(User.objects.create_superuser("root", password="x"))
        assert service.account
        client.post(
            reverse("admin:ftp_deploy_account_change", args=[service.account.pk]),
            {"name": "agency", "provider": "github", "username": "builder", "token": f"{CANARY}renewed", "url": ""},
        )
        assert Account.objects.get().token == f"{CANARY}renewed"
        entries = [f"{entry.change_message} {entry.object_repr} {entry!r}" for entry in LogEntry.objects.all()]
        entries += [f"{vars(entry)}" for entry in AuditEntry.objects.all()]
        assert len(entries) >= 2
        assert_clean("\n".join(entries), "history")


def report(act: Callable[[], object]) -> str:
    """Return the page and the mail that Django would make of the error that ``act`` raises, locals and all."""
    request = RequestFactory().get("/")
    try:
        act()
    except Exception:
        reporter = ExceptionReporter(request, *sys.exc_info())
        return reporter.get_traceback_html() + reporter.get_traceback_text()
    raise AssertionError("nothing was raised")


class TestTracebacks:
    def test_the_report_would_show_a_leak(self) -> None:
        def leak() -> None:
            password = f"{CANARY}leak"
            raise KeyError(len(password))

        assert CANARY in report(leak)

    def test_a_webhook_that_breaks(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        service.signature_required = True
        monkeypatch.setattr("ftp_deploy.providers.github.GitHub.verify", broken)
        request = RequestFactory().post("/", b"{}", content_type="application/json")
        assert_clean(report(lambda: views.receive(request, service.secret_key)), "webhook")

    def test_a_hook_that_cannot_be_added(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ftp_deploy.providers.github.GitHub.hooks", lambda *_: [])
        monkeypatch.setattr("ftp_deploy.providers.github.GitHub.add_hook", broken)
        assert_clean(report(lambda: hooks.install_hook(service)), "hook")
        monkeypatch.setattr("ftp_deploy.providers.github.GitHub.hooks", broken)
        assert_clean(report(lambda: hooks.renew_keys(service)), "keys")

    def test_checks_that_cannot_be_prepared(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ftp_deploy.inspections.git", broken)
        assert_clean(report(lambda: validation.validate(service)), "validation")


def broken(*_: object) -> None:
    raise KeyError("broken on purpose")


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
class TestWork:
    @pytest.fixture
    def server(self, start_server: Any) -> FTPServer:
        found: FTPServer = start_server("pyftpdlib")
        return found

    @pytest.fixture
    def messages(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
        sent: list[tuple[Any, ...]] = []
        monkeypatch.setattr(Celery, "send_task", lambda app, name, *rest, **more: sent.append((name, rest, more)))
        return sent

    def service(self, forge: Forge, server: FTPServer, **changes: Any) -> Service:
        forge.token = f"{CANARY}token"
        account = Account.objects.create(
            name="agency", provider="github", username=forge.username, token=forge.token, url=forge.url
        )
        target = server.target()
        notification = make_notification(("ops@example.com", True, True))
        values = {
            "host": target.host, "port": target.port, "username": target.username, "password": target.password,
            "path": target.path, "account": account, "notification": notification,
            "repository_slug": f"{forge.username}/site",
        }  # fmt: skip
        made = make_service(**{**values, **changes})
        made.hook_secret = f"{CANARY}hook"
        made.after_urls = f"http://127.0.0.1:9/purge?token={CANARY}after"
        made.save()
        return made

    def run(self, service: Service, caplog: pytest.LogCaptureFixture) -> str:
        """Check, deploy and tell; return everything that was logged, stored for people, or mailed."""
        from ftp_deploy import notifications
        from ftp_deploy.deploys import queue

        with caplog.at_level(logging.DEBUG):
            for name in ("urllib3", "asyncssh", "dulwich", "celery", "kombu", "ftp_deploy"):
                logging.getLogger(name).setLevel(logging.DEBUG)
            validation.validate(service)
            deploy = queue.deploy_now(service)
            runner.run_service(service.pk, lambda: False)
            deploy.refresh_from_db()
            notifications.send(deploy)
            notifications.deliver_due()
        lines = [str(line) for line in deploy.log_lines.all()]
        letters = [str(letter.message()) for letter in mail.outbox]
        assert letters
        service.refresh_from_db()
        stored = [deploy.error, deploy.advice, str(deploy.warnings), service.status_message, str(service.checks)]
        return "\n".join([caplog.text, *lines, *letters, *stored, deploy.state])

    def test_a_good_deploy(
        self, forge: Forge, server: FTPServer, messages: list[tuple[Any, ...]], caplog: pytest.LogCaptureFixture
    ) -> None:
        server.password = f"{CANARY}password"
        server.kill()
        server.start()
        text = self.run(self.service(forge, server), caplog)
        assert "succeeded" in text
        assert_clean(text, "deploy")
        assert messages
        for name, rest, more in messages:
            assert_clean(f"{name} {rest} {more}", "message")
            assert all(isinstance(argument, int) for argument in more.get("args", ()))

    @pytest.mark.parametrize("wrong", ["password", "token"])
    def test_a_deploy_that_fails(
        self,
        forge: Forge,
        server: FTPServer,
        messages: list[tuple[Any, ...]],
        caplog: pytest.LogCaptureFixture,
        wrong: str,
    ) -> None:
        service = self.service(forge, server, password=f"{CANARY}wrong" if wrong == "password" else server.password)
        if wrong == "token":
            forge.token = "another"
        text = self.run(service, caplog)
        assert "failed" in text
        assert_clean(text, "deploy")

    def test_the_traceback_of_a_refused_login(self, forge: Forge, server: FTPServer) -> None:
        service = self.service(forge, server, password=f"{CANARY}wrong")

        def act() -> None:
            with service.transport():
                pass

        with pytest.raises(FTPDeployError):
            act()
        assert_clean(report(act), "refused login")
