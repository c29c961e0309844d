"""The checks of a service against a real FTP server and a real forge."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.cache import cache
from django.dispatch import receiver
from django.utils import timezone

from ftp_deploy import door, hooks, inspections, tasks, validation
from ftp_deploy.exceptions import ApiError, FTPDeployError
from ftp_deploy.inspections import COVERED, LABELS, Check, Findings, State, judged
from ftp_deploy.models import Account, AuditEntry, Deploy, Service
from ftp_deploy.providers.base import Hook
from ftp_deploy.providers.cache import conditional_answers
from ftp_deploy.providers.github import GitHub
from ftp_deploy.signals import service_status_changed
from ftp_deploy.standalone.forge import Forge
from tests.factories import make_service
from tests.servers.base import FTPServer

integration = pytest.mark.integration
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clean(settings: Any) -> Iterator[None]:
    settings.FTP_DEPLOY_BASE_URL = "https://deploy.example.com"
    conditional_answers.clear()
    cache.clear()
    yield
    conditional_answers.clear()
    cache.clear()


@pytest.fixture
def server(start_server: Any) -> FTPServer:
    found: FTPServer = start_server("pyftpdlib")
    return found


@pytest.fixture
def service(forge: Forge, server: FTPServer) -> Service:
    account = Account.objects.create(
        name="forge", provider="github", username=forge.username, token=forge.token, url=forge.url
    )
    target = server.target()
    return make_service(
        host=target.host,
        port=target.port,
        username=target.username,
        password=target.password,
        path=target.path,
        account=account,
        repository_slug=f"{forge.username}/site",
    )


@pytest.fixture
def changes() -> Iterator[list[tuple[str, str]]]:
    seen: list[tuple[str, str]] = []

    @receiver(service_status_changed, weak=False, dispatch_uid="test")
    def note(service: Service, before: str, **_signal: Any) -> None:
        seen.append((before, service.status))

    yield seen
    service_status_changed.disconnect(dispatch_uid="test")


def states(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.state.value for check in checks}


ALL_OK = dict.fromkeys(LABELS, "ok")


@integration
class TestAgainstRealServers:
    def test_a_good_service(self, service: Service, changes: list[tuple[str, str]]) -> None:
        hooks.install_hook(service)
        checks = validation.validate(service)
        assert states(checks) == ALL_OK, checks
        assert (service.status, service.status_message) == ("ok", "")
        assert service.checked_at
        assert service.traits
        assert [check["label"] for check in service.checks] == [str(label) for label in LABELS.values()]
        assert changes == [("unknown", "ok")]
        assert Service.objects.get(pk=service.pk).hook_id == service.hook_id != ""

    def test_without_a_hook_it_fails_once_and_is_good_again_once(
        self, service: Service, changes: list[tuple[str, str]]
    ) -> None:
        assert states(validation.validate(service)) == ALL_OK | {"hook": "failed"}
        assert "Hook: The repository has no hook for this service. Add the hook." in service.status_message
        validation.validate(service)
        hooks.install_hook(service)
        validation.validate(service)
        validation.validate(service)
        assert changes == [("unknown", "failing"), ("failing", "ok")]

    def test_a_wrong_ftp_password(self, service: Service) -> None:
        service.password = "canary-wrong"
        service.save()
        found = states(validation.validate(service))
        assert (found["host"], found["login"], found["path"]) == ("ok", "failed", "not_run")
        assert found["repository"] == "ok"
        assert "canary" not in service.status_message + str(service.checks)

    def test_a_path_that_is_not_there(self, service: Service) -> None:
        service.path = "/missing/place"
        service.save()
        found = states(validation.validate(service))
        assert (found["host"], found["login"], found["path"]) == ("ok", "ok", "failed")

    def test_nobody_listens(self, service: Service, server: FTPServer) -> None:
        server.kill()
        found = states(validation.validate(service))
        assert (found["host"], found["login"], found["path"]) == ("failed", "not_run", "not_run")

    def test_a_wrong_token(self, service: Service) -> None:
        account = service.account
        assert account
        account.token = "canary-token"
        account.save()
        found = states(validation.validate(service))
        assert (found["repository_login"], found["repository"], found["branch"]) == ("failed", "not_run", "not_run")
        assert "canary" not in service.status_message + str(service.checks)

    def test_a_missing_repository_and_a_missing_branch(self, service: Service, forge: Forge) -> None:
        service.branch = "nowhere"
        service.save()
        found = states(validation.validate(service))
        assert (found["repository_login"], found["repository"], found["branch"]) == ("ok", "ok", "failed")
        service.repository_slug = f"{forge.username}/nothing"
        service.save()
        found = states(validation.validate(service))
        assert (found["repository"], found["branch"]) == ("failed", "not_run")

    def test_a_renamed_repository_is_followed(self, service: Service, forge: Forge) -> None:
        hooks.install_hook(service)
        forge.rename("site", "pages")
        assert states(validation.validate(service)) == ALL_OK
        assert service.repository_slug == f"{forge.username}/pages"
        assert AuditEntry.objects.get().action == "repository renamed"

    def test_any_git_server(self, service: Service, forge: Forge) -> None:
        account = Account.objects.create(
            name="git", provider="git", username=forge.username, token=forge.token, url=forge.url
        )
        Service.objects.update(provider="git", account=account, repository_slug=forge.clone_url("site"))
        service.refresh_from_db()
        assert states(validation.validate(service)) == ALL_OK | {"hook": "not_run"}
        assert service.status == "ok"
        Deploy.objects.create(service=service)
        assert states(validation.validate(service)) == ALL_OK

    def test_hooks_that_the_token_may_not_see(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise ApiError("GitHub does not allow this", status=403)

        monkeypatch.setattr(GitHub, "hooks", refuse)
        assert states(validation.validate(service))["hook"] == "not_run"
        Deploy.objects.create(service=service)
        assert states(validation.validate(service))["hook"] == "ok"

    def test_what_takes_too_long_is_cut(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        release = threading.Event()
        monkeypatch.setattr(inspections, "branch_head", lambda *_: release.wait(60))
        monkeypatch.setattr(GitHub, "repository", lambda *_: release.wait(60))
        monkeypatch.setattr(validation, "LIMIT_SECONDS", 1.0)
        start = time.monotonic()
        checks = {check.name: check for check in validation.validate(service)}
        assert time.monotonic() - start < 10
        release.set()
        assert checks["repository_login"].state is State.FAILED
        assert "no answer in time" in checks["repository_login"].message
        assert checks["branch"].state is State.NOT_RUN
        assert checks["path"].state is State.OK

    def test_a_check_that_breaks_is_a_finding(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> None:
            raise KeyError("canary")

        monkeypatch.setattr(inspections, "branch_head", broken)
        validation.validate(service)
        assert "This check broke" in service.status_message
        assert "canary" not in str(service.checks)


class TestPreparation:
    def test_a_secret_that_cannot_be_read_is_a_finding(self, settings: Any) -> None:
        service = make_service()
        settings.FTP_DEPLOY_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
        service = Service.objects.get(pk=service.pk)
        findings = Findings()
        ready = validation.prepared(service, findings)
        assert "server" not in ready
        assert findings.checks()[0].state is State.FAILED
        assert "decrypted" in findings.checks()[0].message

    def test_a_service_that_is_gone_stores_nothing(self) -> None:
        service = make_service()
        Service.objects.all().delete()
        assert validation.swap(service, {"status": "ok", "checked_at": timezone.now()}) is None

    def test_published_addresses_are_fetched_where_the_allow_list_wants_them(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service = make_service()
        settings.FTP_DEPLOY_WEBHOOK_ALLOWED_ADDRESSES = {"github": "published"}
        monkeypatch.setattr(GitHub, "repository", lambda *_: type("R", (), {"full_name": "owner/site"}))
        monkeypatch.setattr(GitHub, "published_addresses", lambda *_: ("192.0.2.0/24",))
        findings = Findings()
        inspections.forge(service, validation.wants_addresses(service))(findings)
        validation.store(service, findings, findings.checks(), timezone.now())
        assert door.published_networks(service) == ["192.0.2.0/24"]


class TestFindings:
    def test_a_failure_is_not_covered_up(self) -> None:
        findings = Findings()
        findings.ok("repository")
        findings.fail("repository", FTPDeployError("gone", advice="look"))
        findings.ok("repository")
        check = {check.name: check for check in findings.checks()}["repository"]
        assert (check.state, check.sentence) == (State.FAILED, "Repository: gone look")

    def test_a_rate_limit_says_nothing_and_another_way_may_still_say_ok(self) -> None:
        findings = Findings()
        findings.add("repository", State.NOT_RUN, "limit")
        findings.ok("repository")
        findings.add("repository", State.NOT_RUN, "limit")
        assert {check.name: check.state for check in findings.checks()}["repository"] is State.OK

    def test_nothing_is_taken_after_the_end(self) -> None:
        findings = Findings()
        findings.close()
        findings.ok("host")
        assert findings.checks()[0].state is State.FAILED

    def test_every_check_is_covered_by_an_inspection(self) -> None:
        assert {name for names in COVERED.values() for name in names} == set(LABELS)


URL = "https://deploy.example.com/deploy/key"
GOOD = Hook("1", URL, active=True, events=("push",), has_secret=True)


class TestJudgement:
    @pytest.mark.parametrize(
        ("found", "words"),
        [
            (None, "no hook"),
            (Hook("1", URL, active=False, events=("push",)), "turned off"),
            (Hook("1", "https://other.example.com/deploy/key", active=True, events=("push",)), "another address"),
            (Hook("1", URL, active=True, events=("issues",)), "not called for pushes"),
            (Hook("1", URL, active=True, events=("push",), has_secret=False), "no secret"),
            (Hook("1", URL, active=True, events=("push",), last_status=403), "answered 403"),
        ],
    )
    def test_what_is_wrong_is_said(self, found: Hook | None, words: str) -> None:
        state, message, advice = judged(found, URL, signed=True)
        assert state is State.FAILED
        assert words in message
        assert advice

    def test_a_good_hook(self) -> None:
        assert judged(GOOD, URL, signed=True)[0] is State.OK
        assert judged(GOOD, "", signed=True)[0] is State.OK
        assert judged(Hook("1", URL, active=True, events=("*",), has_secret=False), URL, signed=False)[0] is State.OK


@integration
def test_an_older_result_does_not_replace_a_newer_one(service: Service, changes: list[tuple[str, str]]) -> None:
    """A check that waited long for a server ends after a later one: the later one knows better."""
    Service.objects.filter(pk=service.pk).update(
        status=Service.Status.OK, checked_at=timezone.now() + timedelta(minutes=1)
    )
    service.password = "wrong"
    assert "failed" in states(validation.validate(service)).values()
    service.refresh_from_db()
    assert service.status == Service.Status.OK
    assert changes == []


class TestSchedule:
    def due(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        sent: list[int] = []
        monkeypatch.setattr(tasks, "send", lambda name, pk: sent.append(pk) or True)
        tasks.validate_due()
        return sent

    def test_a_round_is_spread_over_the_hour_the_oldest_first(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = timezone.now()
        rows = [make_service(checked_at=now - timedelta(hours=2, minutes=number)) for number in range(180)]
        never = make_service()
        first = self.due(monkeypatch)
        assert first == [never.pk, rows[179].pk, rows[178].pk, rows[177].pk]
        assert len(rows) / len(first) <= 60, "all of them within an hour of minutes"
        Service.objects.filter(pk__in=first).update(checked_at=now)
        assert self.due(monkeypatch)[0] == rows[176].pk

    def test_what_is_fresh_or_turned_off_waits(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        make_service(checked_at=timezone.now() - timedelta(minutes=59))
        make_service(enabled=False)
        assert self.due(monkeypatch) == []
        make_service()
        settings.FTP_DEPLOY_VALIDATE_SECONDS = 0
        assert self.due(monkeypatch) == []


@pytest.mark.django_db
def test_a_receiver_that_fails_stops_neither_the_check_nor_other_receivers(changes: list[Any], caplog: Any) -> None:
    @receiver(service_status_changed, weak=False, dispatch_uid="broken")
    def break_down(**_signal: Any) -> None:
        raise ValueError("a receiver's own fault")

    try:
        service = make_service()
        findings = Findings()
        findings.fail("host", FTPDeployError("no"))
        validation.store(service, findings, findings.checks(), timezone.now())
    finally:
        service_status_changed.disconnect(dispatch_uid="broken")
    assert service.status == Service.Status.FAILING
    assert [after for _before, after in changes] == [Service.Status.FAILING]
    assert "A receiver of service_status_changed failed" in caplog.text
