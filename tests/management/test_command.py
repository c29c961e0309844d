"""``manage.py ftp_deploy``: what it does, what it says, and the status that it leaves with."""

import io
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from ftp_deploy.deploys import restore
from ftp_deploy.deploys.restore import Preview
from ftp_deploy.deploys.verify import DriftReport
from ftp_deploy.exceptions import EncryptionKeyError, RepositoryUnavailable
from ftp_deploy.management import checking, following
from ftp_deploy.models import Account, Change, Deploy, LogLine, Message, Service
from tests.factories import make_deploy, make_service

pytestmark = pytest.mark.django_db


def run(*words: str) -> tuple[int, str]:
    """Return the exit status and the output."""
    out = io.StringIO()
    try:
        call_command("ftp_deploy", *words, stdout=out)
    except SystemExit as left:
        return int(str(left.code)), out.getvalue()
    return 0, out.getvalue()


def refused(*words: str) -> CommandError:
    with pytest.raises(CommandError) as caught:
        run(*words)
    return caught.value


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, published: list[Any]) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0)


@pytest.mark.parametrize("name", ["{pk}", "owner/site", "OWNER/Site", "site", "owner/site:main", "site:main"])
def test_a_service_is_found_by_number_slug_and_name(name: str) -> None:
    service = make_service()
    make_service(repository_name="other", repository_slug="owner/other")
    status, said = run("deploy", name.format(pk=service.pk), "--no-wait")
    assert status == 0
    assert Deploy.objects.get().service == service
    assert "waits for its turn" in said


def test_a_wrong_or_ambiguous_name_says_what_there_is() -> None:
    make_service()
    second = make_service(branch="live")
    unknown = refused("deploy", "nothing")
    assert unknown.returncode == 2
    assert "owner" not in str(unknown)
    assert "site (main)" in str(unknown)
    assert f"{second.pk} (site (live), ftp.example.com)" in str(refused("deploy", "site"))
    assert run("deploy", "site:live", "--no-wait")[0] == 0


@pytest.mark.parametrize(("state", "status"), [("succeeded", 0), ("failed", 1), ("cancelled", 1)])
def test_deploy_waits_for_the_worker_and_leaves_with_the_outcome(
    monkeypatch: pytest.MonkeyPatch, state: str, status: int
) -> None:
    make_service()
    looks = iter(["fetching", "uploading", "uploading"])

    def work(self: Deploy, *_: Any, **__: Any) -> None:
        self.started_at = timezone.now() - timedelta(seconds=2)
        phase = next(looks, "")
        self.phase = phase or self.phase
        self.state = "running" if phase else state
        self.finished_at = None if phase else timezone.now()
        self.commit, self.files_added = "c" * 40, 3
        self.error, self.advice = ("550 no", "Do this.") if state == "failed" else ("", "")

    monkeypatch.setattr(Deploy, "refresh_from_db", work)
    left, said = run("deploy", "site")
    assert left == status
    assert said.splitlines()[1:3] == ["fetching", "uploading"]
    last = said.splitlines()[-1]
    assert {"succeeded": "cccccccccccc is live (+3 ~0 -0) in", "failed": "550 no Do this.", "cancelled": "cancelled."}[
        state
    ] in last


def test_without_a_worker_a_hint_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    make_service()
    monkeypatch.setattr(following, "PATIENCE_SECONDS", -1)
    status, said = run("deploy", "site", "--timeout", "0.05")
    assert status == 1
    assert "--here" in said
    assert "waiting" in said


def test_here_runs_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    make_service()

    def work(service_id: int) -> int:
        deploy = Deploy.objects.get(service=service_id)
        LogLine.objects.create(deploy=deploy, at=timezone.now(), text="3 files are new.")
        Deploy.objects.update(state="succeeded", finished_at=timezone.now(), commit="d" * 40)
        return 1

    monkeypatch.setattr(following, "run_service", work)
    status, said = run("deploy", "site", "--here", "--full")
    assert status == 0
    assert "3 files are new." in said
    assert "dddddddddddd is live" in said
    assert Deploy.objects.get().kind == Deploy.Kind.FULL


def test_a_dry_run_shows_and_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    make_service()
    shown = Preview(
        "a" * 40,
        ({"id": "a" * 40, "author_name": "Builder", "message": "One\n\nmore"},),
        tuple(f"new{n}" for n in range(60)),
        ("changed",),
        ("gone",),
        ("left",),
        ("beware",),
    )
    monkeypatch.setattr(restore, "preview", lambda _: shown)
    status, said = run("deploy", "site", "--dry-run")
    assert status == 0
    for words in (
        "aaaaaaaaaaaa Builder: One\n",
        "60 new",
        "and 10 more",
        "~ changed",
        "- gone",
        "! left",
        "Warning: beware",
    ):
        assert words in said
    assert "new59" in run("deploy", "site", "--dry-run", "--all-files")[1]
    assert not Deploy.objects.exists()


def test_what_goes_wrong_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    make_service()

    def away(_: Service) -> None:
        raise RepositoryUnavailable("The forge is away.", advice="Wait.")

    monkeypatch.setattr(restore, "preview_full", away)
    error = refused("deploy", "site", "--full", "--dry-run")
    assert (str(error), error.returncode) == ("The forge is away. Wait.", 1)
    assert "nothing" in str(refused("restore", "site", "--no-wait")).lower() or not Deploy.objects.exists()


def test_rollback_takes_the_first_letters_of_a_deployed_commit() -> None:
    service = make_service()
    make_deploy(service, commit="abcdef" + "1" * 34)
    assert run("rollback", "site", "abcdef1", "--no-wait")[0] == 0
    assert Deploy.objects.latest("pk").after == "abcdef" + "1" * 34
    make_deploy(service, commit="abcdef" + "2" * 34)
    assert "several commits" in str(refused("rollback", "site", "abcdef", "--no-wait"))
    assert "full id" in str(refused("rollback", "site", "1234567", "--no-wait"))
    assert "not the beginning" in str(refused("rollback", "site", "HEAD", "--no-wait"))
    assert run("rollback", "site", "9" * 40, "--no-wait")[0] == 0


def test_restore_and_skip() -> None:
    service = make_service()
    first = make_deploy(service, state=Deploy.State.FAILED, position=1)
    second = make_deploy(service, state=Deploy.State.FAILED, position=2)
    assert run("restore", "site", "--no-wait")[0] == 0
    assert Deploy.objects.latest("pk").kind == Deploy.Kind.RESTORE
    asked = refused("skip", "site")
    assert asked.returncode == 2
    assert f"{first.pk} (" in str(asked)
    assert "did not fail" in str(refused("skip", "site", "9999"))
    assert run("skip", "site", str(first.pk))[0] == 0
    assert run("skip", "site", "--all")[0] == 0
    assert set(Deploy.objects.filter(pk__in=[first.pk, second.pk]).values_list("state", flat=True)) == {"skipped"}


def test_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    make_service()
    from ftp_deploy.management import checking

    monkeypatch.setattr(checking, "verify_service", lambda _: DriftReport(("gone.txt",), (), ("strange.txt",)))
    status, said = run("verify", "site")
    assert status == 1
    assert "1 missing\n  gone.txt" in said
    monkeypatch.setattr(checking, "verify_service", lambda _: DriftReport((), (), ("strange.txt",)))
    assert run("verify", "site")[0] == 0


def test_sweep_wakes_and_sends(published: list[Any]) -> None:
    service = make_service()
    make_deploy(service, state=Deploy.State.QUEUED)
    assert run("sweep") == (0, "1 services woken, 0 messages tried.\n")
    assert ("ftp_deploy.run", (service.pk,)) in published


def test_prune_keeps_the_deploys_and_what_still_lies_on_a_server() -> None:
    service = make_service()
    long_ago = timezone.now() - timedelta(days=100)
    old, new = make_deploy(service, finished_at=long_ago), make_deploy(service)
    for deploy in (old, new):
        Change.objects.create(deploy=deploy, path="a", action="add")
        LogLine.objects.create(deploy=deploy, at=timezone.now(), text="x")
    Change.objects.create(deploy=old, path="b", action="add", temporary_path=".b.tmp")
    Message.objects.create(service=service, deploy=old, event="fail", channel="mail", recipient="a@b.cd")
    Message.objects.update(created_at=long_ago)
    status, said = run("prune")
    assert (status, said) == (
        0, "1 changes deleted\n1 log lines deleted\n1 messages deleted\n0 lease events deleted\n",
    )  # fmt: skip
    assert Deploy.objects.count() == 2
    assert sorted(Change.objects.values_list("path", flat=True)) == ["a", "b"]
    assert "1 changes" in run("prune", "--days", "0")[1]


def test_rotate_keys(settings: Any) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.FTP_DEPLOY_ENCRYPTION_KEYS = [old]
    make_service()
    Account.objects.create(name="a", provider="github", token="canary-token")
    settings.FTP_DEPLOY_ENCRYPTION_KEYS = [new, old]
    status, said = run("rotate-keys")
    assert (status, said) == (0, "3 secrets encrypted with the first key.\n")
    settings.FTP_DEPLOY_ENCRYPTION_KEYS = [new]
    assert Service.objects.get().password == "canary-password"
    assert Account.objects.get().token == "canary-token"
    settings.FTP_DEPLOY_ENCRYPTION_KEYS = [old]
    status, said = run("rotate-keys")
    assert status == 1
    assert "account #1 token" in said
    assert "canary" not in said
    with pytest.raises(EncryptionKeyError):
        _ = Account.objects.get().token


def test_the_bar_is_one_line_of_the_terminal() -> None:
    deploy = Deploy(
        state="running", phase="uploading", files_done=3, files_total=9, bytes_done=500_000, bytes_total=1_000_000,
        current_file="a\nb\x1b[2J.txt",
    )  # fmt: skip
    line = following.bar(deploy, 100)
    assert line.startswith("uploading  [##########..........] 3/9 files, 0.5/1.0 MB a?b?[2J.txt")
    assert len(line) == 100
    assert len(following.bar(deploy, 30)) == 30


def test_a_terminal_gets_the_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    following.follow(make_deploy(), screen)
    assert screen.getvalue().startswith("\rsuccess")


def test_check_leaves_with_1_where_something_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    make_service()
    make_service(repository_name="off", enabled=False)
    states = SimpleNamespace(FAILED=SimpleNamespace(value="failed"), OK=SimpleNamespace(value="ok"))
    found = [
        SimpleNamespace(name="host", state=states.OK, sentence="Host: reached."),
        SimpleNamespace(name="login", state=states.FAILED, sentence="Login: 530."),
    ]
    monkeypatch.setattr(checking, "validation", SimpleNamespace(State=states, validate=lambda _: found))
    status, said = run("check")
    assert status == 1
    assert said.splitlines()[1:] == [
        "site (main)  host   ok      Host: reached.",
        "site (main)  login  failed  Login: 530.",
        "1 services checked, 1 checks failed.",
    ]
    found.pop()
    assert run("check", "site")[0] == 0
