"""Runs in which something fails: forge, server, worker or database. Nothing is lost, and people are told."""

import errno
import threading
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from ftp_deploy.deploys import fetch, journal, lease, queue, recorder, restore, runner, skips
from ftp_deploy.exceptions import (
    ConnectionFailed,
    LoginRefused,
    PermissionRefused,
    RepositoryUnavailable,
    StorageFull,
)
from ftp_deploy.models import Deploy, Heartbeat, Service, ServiceManifest
from ftp_deploy.transports.memory import Store
from tests.deploys.runs import SITE, State, live, reload, run
from tests.factories import make_service

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_failed_deploy_leaves_the_live_site_and_is_carried_by_the_next_push(service, origin, server) -> None:
    origin.push(SITE)
    run(service)
    server.fail("upload", "", PermissionRefused("index.html: 553 not allowed", path="index.html", code=553), 1)
    broken = origin.push({**SITE, "index.html": b"two", "b": b"b"})
    run(service)
    broken = reload(broken)
    assert (broken.state, broken.error_kind) == (State.FAILED, "PermissionRefused")
    assert "553" in broken.error
    assert live_without_temporary(server) == SITE
    origin.push({**SITE, "index.html": b"three", "b": b"b"})
    run(service)
    assert live(server) == {**SITE, "index.html": b"three", "b": b"b"}
    assert reload(broken).state == State.RESTORED


def live_without_temporary(server: Store) -> dict[str, bytes]:
    return {path: content for path, content in live(server).items() if ".ftp-deploy-" not in path}


def test_what_is_complete_is_not_sent_again(service, origin, server) -> None:
    files = {f"file-{number}": bytes([number]) * 10 for number in range(30)}
    server.fail("rename", "", PermissionRefused("550 no"), 1)
    deploy = origin.push(files)
    run(service)
    assert reload(deploy).state == State.FAILED
    sent = sum(operation == "upload" for operation, _path in server.calls)
    assert sent == 30
    server.calls.clear()
    queue.retry(reload(deploy))
    run(service)
    assert live(server) == files
    assert not [path for operation, path in server.calls if operation == "upload"]


def test_a_passing_error_is_tried_again_later_and_holds_up_the_line(service, origin, server, settings) -> None:
    server.fail("upload", "", ConnectionFailed("421 closing"), 1)
    deploy = origin.push(SITE)
    assert run(service) == 1
    deploy = reload(deploy)
    assert (deploy.state, deploy.attempts, deploy.error_kind) == (State.QUEUED, 1, "ConnectionFailed")
    assert deploy.next_attempt_at is not None
    assert deploy.next_attempt_at > timezone.now()
    assert run(service) == 0
    Deploy.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    assert run(service) == 1
    assert live(server) == SITE
    assert reload(deploy).attempts == 2


def test_an_error_that_does_not_pass_fails_at_last(service, origin, server, settings) -> None:
    settings.FTP_DEPLOY_MAX_ATTEMPTS = 2
    origin.fault = RepositoryUnavailable("the forge does not answer")
    deploy = origin.push(SITE)
    run(service)
    Deploy.objects.update(next_attempt_at=None)
    run(service)
    deploy = reload(deploy)
    assert (deploy.state, deploy.attempts, deploy.error) == (State.FAILED, 2, "the forge does not answer")


def test_a_full_disk_of_the_worker_is_named_and_waited_for(service, origin, server) -> None:
    deploy = origin.push(SITE)
    origin.fault = OSError(errno.ENOSPC, "No space left on device")
    run(service)
    waiting = reload(deploy)
    assert (waiting.state, waiting.error_kind) == (State.QUEUED, "WorkerDiskFull")
    assert "SPOOL_DIRECTORY" in waiting.advice
    assert waiting.next_attempt_at is not None


def test_an_unforeseen_error_fails_without_its_text(service, origin, server, caplog) -> None:
    origin.fault = RuntimeError("canary")
    deploy = origin.push(SITE)
    run(service)
    deploy = reload(deploy)
    assert deploy.state == State.FAILED
    assert "RuntimeError" in deploy.error
    assert "canary" not in deploy.error + "".join(deploy.log_lines.values_list("text", flat=True))


def test_a_wrong_password_fails_at_once(service, origin, server) -> None:
    server.password = "another"
    deploy = origin.push(SITE)
    run(service)
    assert (reload(deploy).state, reload(deploy).error_kind) == (State.FAILED, LoginRefused.__name__)


def test_a_full_server_is_left_as_it_was(service, origin, server) -> None:
    origin.push(SITE)
    run(service)
    server.fail("upload", "", StorageFull("552 quota", code=552), 1)
    deploy = origin.push({**SITE, "a": b"a", "index.html": b"two", "z": b"z"})
    run(service)
    assert reload(deploy).error_kind == "StorageFull"
    assert live(server) == SITE


def test_a_worker_that_dies_is_taken_over(service, origin, server) -> None:
    deploy = origin.push(SITE)
    held = lease.claim(service.pk)
    assert held is not None
    from ftp_deploy.deploys.pick import take_next

    assert take_next(held) == deploy
    assert run(service) == 0
    Service.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert run(service) == 1
    deploy = reload(deploy)
    assert (deploy.state, deploy.crashes) == (State.SUCCEEDED, 1)
    assert live(server) == SITE


def test_a_deploy_that_kills_its_worker_is_parked_and_the_next_goes_on(service, origin, server, settings) -> None:
    Service.objects.update(combine_pushes=False)
    poison = origin.push({"poison": b"x"})
    origin.push(SITE)
    from ftp_deploy.deploys.pick import take_next

    for _ in range(3):
        held = lease.claim(service.pk)
        assert held is not None
        assert take_next(held) == poison
        Service.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert run(service) == 1
    poison = reload(poison)
    assert poison.error_kind == "WorkerDied"
    assert live(server) == SITE
    assert poison.state == State.RESTORED


def test_a_stopping_worker_hands_back_and_nothing_is_lost(service, origin, server) -> None:
    files = {f"file-{number}": b"x" * number for number in range(200)}
    deploy = origin.push(files)
    asked = iter([False, False])
    assert run(service, lambda: next(asked, True)) == 1
    deploy = reload(deploy)
    assert (deploy.state, deploy.attempts) == (State.QUEUED, 0)
    run(service)
    assert live(server) == files
    assert reload(deploy).crashes == 0


def test_a_cancelled_deploy_leaves_no_trace(service, origin, server, monkeypatch) -> None:
    origin.push(SITE)
    run(service)
    deploy = origin.push({**SITE, **{f"more/file-{number}": b"x" for number in range(200)}})
    directories = set(server.directories)
    monkeypatch.setattr("ftp_deploy.deploys.recorder.INTERVAL", 0.0)
    note = Store.note

    def cancel_midway(self: Store, operation: str, path: str) -> None:
        note(self, operation, path)
        if operation == "upload" and not reload(deploy).cancel_requested:
            queue.cancel(reload(deploy))

    monkeypatch.setattr(Store, "note", cancel_midway)
    run(service)
    assert reload(deploy).state == State.CANCELLED
    assert live(server) == SITE
    assert server.directories == directories


def test_a_cancellation_is_heard_while_the_forge_is_waited_for(service, origin, server, monkeypatch) -> None:
    monkeypatch.setattr("ftp_deploy.deploys.recorder.INTERVAL", 0.0)
    deploy = origin.push(SITE)
    answered = threading.Event()
    guard = recorder.Recorder.guard

    def cancel_and_guard(self: recorder.Recorder) -> None:
        if not reload(deploy).cancel_requested:
            queue.cancel(reload(deploy))
        guard(self)

    def hang(*_args: object) -> None:
        answered.wait(60)
        raise RepositoryUnavailable

    monkeypatch.setattr(recorder.Recorder, "guard", cancel_and_guard)
    monkeypatch.setattr(runner, "fetch_service", hang)
    assert run(service) == 1
    assert not answered.is_set()
    assert reload(deploy).state == State.CANCELLED
    answered.set()


def test_why_nothing_was_done_is_in_the_log(service, origin, server) -> None:
    origin.push(SITE)
    run(service)
    late = origin.push(SITE)
    Deploy.objects.filter(pk=late.pk).update(order_unknown=True, after="f" * 40)
    origin.head = ServiceManifest.objects.get().commit
    run(service)
    assert reload(late).state == State.SUPERSEDED
    assert "which is live already: nothing to do." in late.log_lines.last().text


def test_a_run_that_lost_its_lease_only_puts_back_its_row(service, origin, server, monkeypatch) -> None:
    origin.push(SITE)
    run(service)
    deploy = origin.push({"index.html": b"two"})

    def lose(self, *args, **kwargs):
        Service.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        raise ConnectionFailed("late")

    with monkeypatch.context() as patch:
        patch.setattr("ftp_deploy.transports.memory.Memory.rename", lose)
        run(service)
    deploy = reload(deploy)
    assert (deploy.state, deploy.crashes, deploy.error) == (State.QUEUED, 0, "")
    assert live_without_temporary(server) == SITE
    run(service)
    assert (reload(deploy).state, reload(deploy).crashes) == (State.SUCCEEDED, 0)
    assert live(server) == {"index.html": b"two"}


@pytest.mark.parametrize("moment", ["uploading", "switching", "finishing"])
def test_a_database_that_is_away_for_a_moment_costs_no_attempt(service, origin, server, monkeypatch, moment) -> None:
    from ftp_deploy.deploys.recorder import Recorder

    monkeypatch.setattr(lease, "PAUSE", 0.01)
    faults = iter([OperationalError("server closed the connection unexpectedly")] * 2)
    target = {"uploading": (Recorder, "write"), "switching": (Recorder, "enter_switch")}.get(
        moment, (runner.outcome, "succeeded")
    )
    unbroken = getattr(*target)

    def broken(*args, **kwargs):
        if moment != "uploading" or kwargs.get("phase") == "uploading":
            for fault in faults:
                raise fault
        return unbroken(*args, **kwargs)

    monkeypatch.setattr(*target, broken)
    deploy = origin.push(SITE)
    run(service)
    run(service)
    deploy = reload(deploy)
    assert (deploy.state, deploy.attempts, deploy.crashes) == (State.SUCCEEDED, 1, 0)
    assert live(server) == SITE
    fetched = deploy.log_lines.filter(text__startswith="Fetched").count()
    assert fetched == (3 if moment == "uploading" else 1)  # what the broken attempts did is told as well


def test_a_database_error_that_always_comes_back_is_tried_with_pauses_and_then_final(
    service, origin, server, monkeypatch, settings
) -> None:
    """The rows of changes cannot be written, all others can: a full disk, a lock that is never let go."""
    settings.FTP_DEPLOY_MAX_ATTEMPTS = 3
    begun = []

    def broken(*_args, **_kwargs):
        begun.append(1)
        raise OperationalError("could not extend file: No space left on device")

    monkeypatch.setattr(journal.Journal, "begin", broken)
    deploy = origin.push(SITE)
    for attempt, pause in enumerate((30, 60), 1):
        assert run(service) == 3
        assert len(begun) == attempt * 3
        deploy = reload(deploy)
        assert (deploy.state, deploy.attempts, deploy.error_kind) == (State.QUEUED, attempt, "DatabaseAway")
        assert deploy.next_attempt_at > timezone.now() + timedelta(seconds=pause - 20)
        assert run(service) == 0
        Deploy.objects.update(next_attempt_at=None)
    run(service)
    assert (reload(deploy).state, len(begun)) == (State.FAILED, 9)
    assert "disk" in reload(deploy).advice


def test_a_database_that_takes_no_outcome_ends_the_run_and_leaves_the_deploy_to_the_sweep(
    service, origin, server, monkeypatch
) -> None:
    monkeypatch.setattr(lease, "PAUSE", 0.0)
    tries = []

    def broken(*_args, **_kwargs):
        tries.append(1)
        raise OperationalError("could not extend file: No space left on device")

    for name in ("succeeded", "hand_back", "failed"):
        monkeypatch.setattr(runner.outcome, name, broken)
    deploy = origin.push(SITE)
    assert run(service) == 0
    assert len(tries) == 2 * lease.TRIES
    assert (reload(deploy).state, reload(deploy).crashes) == (State.QUEUED, 0)
    assert Service.objects.get().lease_until is None


def test_the_end_of_a_run_sweeps_where_nobody_did_so_lately(service, origin, server, published) -> None:
    """Beat may stand still: what a lost message told of is found by the runs of other services."""
    other = make_service(host="other.example.com")
    queue.deploy_now(other)
    origin.push(SITE)
    published.clear()
    run(service)
    assert published.count(("ftp_deploy.run", (other.pk,))) == 1
    origin.push({"index.html": b"two"})
    published.clear()
    assert run(service) == 1
    assert ("ftp_deploy.run", (other.pk,)) not in published
    Heartbeat.objects.update(at=timezone.now() - timedelta(seconds=16))
    run(service)
    assert ("ftp_deploy.run", (other.pk,)) not in published  # it did nothing: the sweep is left to others
    Heartbeat.objects.update(at=timezone.now() - timedelta(seconds=16))
    origin.push({"index.html": b"three"})
    run(service)
    assert published.count(("ftp_deploy.run", (other.pk,))) == 1


def test_renames_whose_answer_was_lost_are_settled(service, origin, server, monkeypatch) -> None:
    """A worker dies after its renames went through and before it could record them."""
    from ftp_deploy.deploys.journal import Journal

    origin.push(SITE)
    run(service)
    files = {**SITE, "index.html": b"two!", "new": b"n"}
    deploy = origin.push(files)

    def die(self) -> None:
        Service.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "write_applied", die)
    with pytest.raises(KeyboardInterrupt):
        run(service)
    monkeypatch.undo()
    for module in (runner, restore, fetch, skips):
        monkeypatch.setattr(module, "fetch_service", origin.fetch)
    assert live(server) == files
    assert service.manifest["index.html"].size == 3
    server.calls.clear()
    run(service)
    assert reload(deploy).state == State.SUCCEEDED
    assert not [path for operation, path in server.calls if operation == "upload"]
    assert service.manifest["index.html"].size == 4
