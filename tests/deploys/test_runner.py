"""A run from claim to outcome, against the in-memory server: what is live, what is recorded, what is left behind.

Over 400 lines: the cases of claim, fetch, plan, transfer and finish share its fixtures and stand in that order.
"""

import errno
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ftp_deploy.deploys import contents, fetch, journal, lease, queue, recorder, restore, runner, skips
from ftp_deploy.exceptions import (
    ConnectionFailed,
    LoginRefused,
    PermissionRefused,
    RepositoryMissing,
    RepositoryUnavailable,
    StorageFull,
)
from ftp_deploy.models import Change, Deploy, Heartbeat, LeaseEvent, Service, ServiceManifest
from ftp_deploy.providers.base import Commit, PushEvent
from ftp_deploy.repository.base import GitSource
from ftp_deploy.transports.memory import Store, store
from tests.deploys.test_tallies import assert_sums_equal_rows
from tests.deploys.trees import Files, snapshot
from tests.factories import make_service
from tests.servers.lfs import LFSServer

pytestmark = pytest.mark.django_db(transaction=True)

State = Deploy.State
MOST_STATEMENTS = 43
"""Of a run with one changed file; it was 64 when nobody counted."""


@pytest.fixture(autouse=True)
def sums_equal_rows(db) -> Iterator[None]:
    """After each run of this module the tallies say what the rows say."""
    yield
    assert_sums_equal_rows()


class Forge:
    """Commits of made-up trees, pushed to the service one after the other."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.trees: dict[str, Files] = {}
        self.head = ""
        self.fault: Exception | None = None
        self.fetches = 0

    def push(self, files: Files) -> Deploy:
        """Push a commit that holds exactly these files, and record it as its webhook would."""
        number = len(self.trees)
        with snapshot(files, f"commit {number}") as made:
            before, self.head = self.head, made.commit
        self.trees[self.head] = dict(files)
        event = PushEvent("main", before, self.head, (Commit(self.head, f"commit {number}", "Webmaster"),))
        return queue.record_push(self.service, f"delivery-{number}", event).deploy

    def fetch(self, _service: Service, commit: str = ""):
        """Stand in for the fetch over the network."""
        self.fetches += 1
        if self.fault:
            raise self.fault
        wanted = commit or self.head
        return snapshot(self.trees[wanted], f"commit {list(self.trees).index(wanted)}")


@pytest.fixture
def forge(service: Service, published, monkeypatch: pytest.MonkeyPatch) -> Forge:
    made = Forge(service)
    for module in (runner, restore, fetch, skips):
        monkeypatch.setattr(module, "fetch_service", made.fetch)
    return made


@pytest.fixture
def server(service: Service) -> Iterator[Store]:
    held = store(service.host)
    yield held
    assert not held.faults, "a fault that was asked for did not happen"


SITE: Files = {"index.html": b"one", "css/site.css": b"body {}", "old/page.html": b"gone soon", "empty": b""}


def live(server: Store) -> dict[str, bytes]:
    return server.tree("/www")


def run(service: Service, stop: Callable[[], bool] = lease.never) -> int:
    return runner.run_service(service.pk, stop)


def reload(deploy: Deploy) -> Deploy:
    return Deploy.objects.get(pk=deploy.pk)


def test_a_push_goes_live(service, forge, server, published) -> None:
    deploy = forge.push(SITE)
    assert run(service) == 1
    assert live(server) == SITE
    deploy = reload(deploy)
    assert (deploy.state, deploy.commit, deploy.files_total, deploy.files_done) == (
        State.SUCCEEDED,
        forge.head,
        4,
        4,
    )
    assert deploy.bytes_done == deploy.bytes_total == sum(map(len, SITE.values()))
    assert set(service.manifest) == set(SITE)
    assert fetch.live_commit(service.pk) == forge.head
    assert not Change.objects.exclude(temporary_path="").exists()
    assert ("ftp_deploy.notify", (deploy.pk,)) in published
    assert set(deploy.log_lines.values_list("level", flat=True)) == {"info"}


def test_only_what_differs_is_sent_and_what_is_gone_is_deleted_last(service, forge, server) -> None:
    forge.push(SITE)
    run(service)
    server.calls.clear()
    deploy = forge.push({"index.html": b"two", "css/site.css": b"body {}", "empty": b"", "new/a.txt": b"a"})
    run(service)
    assert live(server) == forge.trees[forge.head]
    deploy = reload(deploy)
    assert (deploy.files_added, deploy.files_modified, deploy.files_removed) == (1, 1, 1)
    assert "/www/old" not in server.directories
    operations = [operation for operation, _path in server.calls]
    assert operations.index("delete") > max(
        index for index, operation in enumerate(operations) if operation == "rename"
    )


def test_nothing_is_sent_where_nothing_changed(service, forge, server) -> None:
    forge.push(SITE)
    run(service)
    server.calls.clear()
    again = queue.deploy_now(service)
    run(service)
    assert reload(again).state == State.SUCCEEDED
    assert server.calls == []


def test_a_full_deploy_sends_everything_again(service, forge, server) -> None:
    forge.push(SITE)
    run(service)
    server.files["/www/index.html"] = server.files["/www/css/site.css"]
    queue.deploy_now(service, full=True)
    run(service)
    assert live(server) == SITE


def test_files_that_we_did_not_put_there_stay(service, forge, server) -> None:
    forge.push(SITE)
    run(service)
    server.files["/www/old/upload.jpg"] = server.files["/www/index.html"]
    forge.push({"index.html": b"one"})
    run(service)
    assert live(server) == {"index.html": b"one", "old/upload.jpg": b"one"}
    assert "/www/old" in server.directories


def test_waiting_pushes_become_one_run_and_each_names_it(service, forge, server) -> None:
    first, second, third = (forge.push({"a": number}) for number in (b"1", b"2", b"3"))
    assert run(service) == 1
    assert live(server) == {"a": b"3"}
    assert [reload(deploy).state for deploy in (first, second, third)] == [State.SUCCEEDED] * 3
    assert reload(first).run == reload(second).run == third
    assert forge.fetches == 1


def test_a_service_may_deploy_each_push_by_itself(service, forge, server) -> None:
    Service.objects.update(combine_pushes=False)
    for number in (b"1", b"2", b"3"):
        forge.push({"a": number})
    assert run(service) == 3
    assert live(server) == {"a": b"3"}


def test_a_failed_deploy_leaves_the_live_site_and_is_carried_by_the_next_push(service, forge, server) -> None:
    forge.push(SITE)
    run(service)
    server.fail("upload", "", PermissionRefused("index.html: 553 not allowed", path="index.html", code=553), 1)
    broken = forge.push({**SITE, "index.html": b"two", "b": b"b"})
    run(service)
    broken = reload(broken)
    assert (broken.state, broken.error_kind) == (State.FAILED, "PermissionRefused")
    assert "553" in broken.error
    assert live_without_temporary(server) == SITE
    forge.push({**SITE, "index.html": b"three", "b": b"b"})
    run(service)
    assert live(server) == {**SITE, "index.html": b"three", "b": b"b"}
    assert reload(broken).state == State.RESTORED


def live_without_temporary(server: Store) -> dict[str, bytes]:
    return {path: content for path, content in live(server).items() if ".ftp-deploy-" not in path}


def test_what_is_complete_is_not_sent_again(service, forge, server) -> None:
    files = {f"file-{number}": bytes([number]) * 10 for number in range(30)}
    server.fail("rename", "", PermissionRefused("550 no"), 1)
    deploy = forge.push(files)
    run(service)
    assert reload(deploy).state == State.FAILED
    sent = sum(operation == "upload" for operation, _path in server.calls)
    assert sent == 30
    server.calls.clear()
    queue.retry(reload(deploy))
    run(service)
    assert live(server) == files
    assert not [path for operation, path in server.calls if operation == "upload"]


def test_a_passing_error_is_tried_again_later_and_holds_up_the_line(service, forge, server, settings) -> None:
    server.fail("upload", "", ConnectionFailed("421 closing"), 1)
    deploy = forge.push(SITE)
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


def test_an_error_that_does_not_pass_fails_at_last(service, forge, server, settings) -> None:
    settings.FTP_DEPLOY_MAX_ATTEMPTS = 2
    forge.fault = RepositoryUnavailable("the forge does not answer")
    deploy = forge.push(SITE)
    run(service)
    Deploy.objects.update(next_attempt_at=None)
    run(service)
    deploy = reload(deploy)
    assert (deploy.state, deploy.attempts, deploy.error) == (State.FAILED, 2, "the forge does not answer")


def test_a_full_disk_of_the_worker_is_named_and_waited_for(service, forge, server) -> None:
    deploy = forge.push(SITE)
    forge.fault = OSError(errno.ENOSPC, "No space left on device")
    run(service)
    waiting = reload(deploy)
    assert (waiting.state, waiting.error_kind) == (State.QUEUED, "WorkerDiskFull")
    assert "SPOOL_DIRECTORY" in waiting.advice
    assert waiting.next_attempt_at is not None


def test_an_unforeseen_error_fails_without_its_text(service, forge, server, caplog) -> None:
    forge.fault = RuntimeError("canary")
    deploy = forge.push(SITE)
    run(service)
    deploy = reload(deploy)
    assert deploy.state == State.FAILED
    assert "RuntimeError" in deploy.error
    assert "canary" not in deploy.error + "".join(deploy.log_lines.values_list("text", flat=True))


def test_a_wrong_password_fails_at_once(service, forge, server) -> None:
    server.password = "another"
    deploy = forge.push(SITE)
    run(service)
    assert (reload(deploy).state, reload(deploy).error_kind) == (State.FAILED, LoginRefused.__name__)


def test_a_full_server_is_left_as_it_was(service, forge, server) -> None:
    forge.push(SITE)
    run(service)
    server.fail("upload", "", StorageFull("552 quota", code=552), 1)
    deploy = forge.push({**SITE, "a": b"a", "index.html": b"two", "z": b"z"})
    run(service)
    assert reload(deploy).error_kind == "StorageFull"
    assert live(server) == SITE


def test_a_worker_that_dies_is_taken_over(service, forge, server) -> None:
    deploy = forge.push(SITE)
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


def test_a_deploy_that_kills_its_worker_is_parked_and_the_next_goes_on(service, forge, server, settings) -> None:
    Service.objects.update(combine_pushes=False)
    poison = forge.push({"poison": b"x"})
    forge.push(SITE)
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


def test_a_stopping_worker_hands_back_and_nothing_is_lost(service, forge, server) -> None:
    files = {f"file-{number}": b"x" * number for number in range(200)}
    deploy = forge.push(files)
    asked = iter([False, False])
    assert run(service, lambda: next(asked, True)) == 1
    deploy = reload(deploy)
    assert (deploy.state, deploy.attempts) == (State.QUEUED, 0)
    run(service)
    assert live(server) == files
    assert reload(deploy).crashes == 0


def test_a_cancelled_deploy_leaves_no_trace(service, forge, server, monkeypatch) -> None:
    forge.push(SITE)
    run(service)
    deploy = forge.push({**SITE, **{f"more/file-{number}": b"x" for number in range(200)}})
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


def test_a_cancellation_is_heard_while_the_forge_is_waited_for(service, forge, server, monkeypatch) -> None:
    monkeypatch.setattr("ftp_deploy.deploys.recorder.INTERVAL", 0.0)
    deploy = forge.push(SITE)
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


def test_why_nothing_was_done_is_in_the_log(service, forge, server) -> None:
    forge.push(SITE)
    run(service)
    late = forge.push(SITE)
    Deploy.objects.filter(pk=late.pk).update(order_unknown=True, after="f" * 40)
    forge.head = ServiceManifest.objects.get().commit
    run(service)
    assert reload(late).state == State.SUPERSEDED
    assert "which is live already: nothing to do." in late.log_lines.last().text


def test_a_run_that_lost_its_lease_only_puts_back_its_row(service, forge, server, monkeypatch) -> None:
    forge.push(SITE)
    run(service)
    deploy = forge.push({"index.html": b"two"})

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
def test_a_database_that_is_away_for_a_moment_costs_no_attempt(service, forge, server, monkeypatch, moment) -> None:
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
    deploy = forge.push(SITE)
    run(service)
    run(service)
    deploy = reload(deploy)
    assert (deploy.state, deploy.attempts, deploy.crashes) == (State.SUCCEEDED, 1, 0)
    assert live(server) == SITE


def test_a_database_error_that_always_comes_back_is_tried_with_pauses_and_then_final(
    service, forge, server, monkeypatch, settings
) -> None:
    """The rows of changes cannot be written, all others can: a full disk, a lock that is never let go."""
    settings.FTP_DEPLOY_MAX_ATTEMPTS = 3
    begun = []

    def broken(*_args, **_kwargs):
        begun.append(1)
        raise OperationalError("could not extend file: No space left on device")

    monkeypatch.setattr(journal.Journal, "begin", broken)
    deploy = forge.push(SITE)
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
    service, forge, server, monkeypatch
) -> None:
    monkeypatch.setattr(lease, "PAUSE", 0.0)
    tries = []

    def broken(*_args, **_kwargs):
        tries.append(1)
        raise OperationalError("could not extend file: No space left on device")

    for name in ("succeeded", "hand_back", "failed"):
        monkeypatch.setattr(runner.outcome, name, broken)
    deploy = forge.push(SITE)
    assert run(service) == 0
    assert len(tries) == 2 * lease.TRIES
    assert (reload(deploy).state, reload(deploy).crashes) == (State.QUEUED, 0)
    assert Service.objects.get().lease_until is None


def test_the_end_of_a_run_sweeps_where_nobody_did_so_lately(service, forge, server, published) -> None:
    """Beat may stand still: what a lost message told of is found by the runs of other services."""
    other = make_service(host="other.example.com")
    queue.deploy_now(other)
    forge.push(SITE)
    published.clear()
    run(service)
    assert published.count(("ftp_deploy.run", (other.pk,))) == 1
    forge.push({"index.html": b"two"})
    published.clear()
    assert run(service) == 1
    assert ("ftp_deploy.run", (other.pk,)) not in published
    Heartbeat.objects.update(at=timezone.now() - timedelta(seconds=16))
    run(service)
    assert ("ftp_deploy.run", (other.pk,)) not in published  # it did nothing: the sweep is left to others
    Heartbeat.objects.update(at=timezone.now() - timedelta(seconds=16))
    forge.push({"index.html": b"three"})
    run(service)
    assert published.count(("ftp_deploy.run", (other.pk,))) == 1


def test_a_run_of_one_small_push_asks_the_database_little(service, forge, server) -> None:
    """Statements are most of what a run costs a worker: a new one has to be worth a millisecond of each run."""
    forge.push(SITE)
    run(service)
    forge.push({**SITE, "index.html": b"two"})
    with CaptureQueriesContext(connection) as asked:
        assert run(service) == 1
    statements = [query["sql"] for query in asked if not query["sql"].startswith(("BEGIN", "COMMIT"))]
    assert len(statements) <= MOST_STATEMENTS, "\n".join(statements)


def test_renames_whose_answer_was_lost_are_settled(service, forge, server, monkeypatch) -> None:
    """A worker dies after its renames went through and before it could record them."""
    from ftp_deploy.deploys.journal import Journal

    forge.push(SITE)
    run(service)
    files = {**SITE, "index.html": b"two!", "new": b"n"}
    deploy = forge.push(files)

    def die(self) -> None:
        Service.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "write_applied", die)
    with pytest.raises(KeyboardInterrupt):
        run(service)
    monkeypatch.undo()
    for module in (runner, restore, fetch, skips):
        monkeypatch.setattr(module, "fetch_service", forge.fetch)
    assert live(server) == files
    assert service.manifest["index.html"].size == 3
    server.calls.clear()
    run(service)
    assert reload(deploy).state == State.SUCCEEDED
    assert not [path for operation, path in server.calls if operation == "upload"]
    assert service.manifest["index.html"].size == 4


def test_a_restore_puts_the_failed_deploys_live(service, forge, server) -> None:
    forge.push(SITE)
    run(service)
    server.fail("upload", "", PermissionRefused("553"), 2)
    first = forge.push({**SITE, "a": b"a"})
    run(service)
    second = forge.push({**SITE, "a": b"a", "b": b"b"})
    run(service)
    assert [reload(deploy).state for deploy in (first, second)] == [State.FAILED, State.FAILED]
    preview = restore.preview_restore(service)
    assert preview.added == ("a", "b")
    assert len(preview.commits) == 2
    restored = restore.restore(service)
    run(service)
    assert live(server) == {**SITE, "a": b"a", "b": b"b"}
    assert [reload(deploy).state for deploy in (first, second)] == [State.RESTORED, State.RESTORED]
    assert reload(first).run == restored


def test_a_skipped_deploy_is_left_out(service, forge, server) -> None:
    forge.push(SITE)
    run(service)
    server.fail("upload", "", PermissionRefused("553"), 1)
    skipped = forge.push({**SITE, "index.html": b"bad"})
    run(service)
    restore.skip(reload(skipped))
    assert reload(skipped).state == State.SKIPPED
    forge.push({**SITE, "index.html": b"bad", "good": b"good"})
    assert restore.preview(service, forge.head).left_out == ("index.html",)
    run(service)
    assert live(server) == {**SITE, "good": b"good"}
    forge.push({**SITE, "index.html": b"better", "good": b"good"})
    run(service)
    assert live(server)["index.html"] == b"better"


def test_a_skipped_deploy_that_never_had_a_plan_is_left_out_as_well(service, forge, server) -> None:
    forge.push(SITE)
    run(service)
    forge.fault = RepositoryMissing("no such repository")
    skipped = forge.push({"index.html": b"bad", "css/site.css": b"body {}", "added": b"a", "empty": b""})
    run(service)
    forge.fault = None
    assert not reload(skipped).changes.exists()
    restore.skip(reload(skipped))
    forge.push({"index.html": b"bad", "css/site.css": b"new", "added": b"a", "empty": b""})
    foreseen = restore.preview(service, forge.head)
    assert foreseen.left_out == ("added", "index.html", "old/page.html")
    assert (foreseen.added, foreseen.modified, foreseen.removed) == ((), ("css/site.css",), ())
    assert not reload(skipped).changes.exists()
    run(service)
    assert live(server) == {**SITE, "css/site.css": b"new"}
    assert set(service.manifest) == {"index.html", "css/site.css", "added", "empty"}


def test_people_read_the_live_name_of_a_file_never_the_temporary_one(service, forge, server, monkeypatch) -> None:
    told = []
    monkeypatch.setattr(recorder.Recorder, "advance", lambda _self, _files, _sent, current: told.append(current))
    monkeypatch.setattr(journal.secrets, "token_hex", lambda _bytes: "0a1b")
    forge.push(SITE)
    run(service)
    assert {"index.html", "css/site.css"} <= set(told) <= {*SITE, ""}
    deploy = forge.push({**SITE, "css/site.css": b"new"})
    epoch = Service.objects.get().lease_epoch + 1
    place = f"css/.ftp-deploy-{deploy.pk}-{epoch}-0a1b-0.tmp"
    server.fail("upload", "", PermissionRefused(f"{place}: 553 /www/{place}: not here. .ftp-deploy-9-9-ff-9.tmp"), 1)
    run(service)
    assert reload(deploy).error == "css/site.css: 553 /www/css/site.css: not here. .ftp-deploy-9-9-ff-9.tmp"


def test_a_roll_back_puts_an_earlier_commit_live(service, forge, server) -> None:
    forge.push(SITE)
    earlier = forge.head
    run(service)
    forge.push({"index.html": b"two", "new": b"n"})
    run(service)
    deploy = restore.roll_back(service, earlier)
    run(service)
    assert live(server) == SITE
    assert reload(deploy).commit == earlier


def test_too_many_deletes_stop_and_ask(service, forge, server) -> None:
    files = {f"file-{number}": b"x" for number in range(50)}
    forge.push(files)
    run(service)
    deploy = forge.push({"file-0": b"x"})
    run(service)
    deploy = reload(deploy)
    assert (deploy.state, deploy.error_kind) == (State.FAILED, "TooManyDeletes")
    assert live(server) == files
    queue.confirm_deletes(deploy)
    run(service)
    assert live(server) == {"file-0": b"x"}


def test_a_file_becomes_a_directory_and_back(service, forge, server) -> None:
    forge.push({"a": b"file", "b": b"b"})
    run(service)
    forge.push({"a/x/y": b"deep", "b": b"b"})
    run(service)
    assert live(server) == {"a/x/y": b"deep", "b": b"b"}
    forge.push({"a": b"file again", "b": b"b"})
    run(service)
    assert live(server) == {"a": b"file again", "b": b"b"}


def test_adopting_a_live_site_sends_only_the_differences(service, forge, server) -> None:
    Service.objects.update(first_deploy=Service.FirstDeploy.ADOPT)
    forge.push(SITE)
    run(service)
    ServiceManifest.objects.all().delete()
    server.calls.clear()
    forge.push({**SITE, "index.html": b"other length", "new": b"n"})
    run(service)
    uploads = [path for operation, path in server.calls if operation == "upload"]
    assert len(uploads) == 2
    assert live(server) == {**SITE, "index.html": b"other length", "new": b"n"}


@pytest.mark.parametrize("policy", [Service.DriftPolicy.STOP, Service.DriftPolicy.KEEP_COPY])
def test_files_changed_by_hand(service, forge, server, policy) -> None:
    Service.objects.update(drift_policy=policy)
    forge.push(SITE)
    run(service)
    server.files["/www/index.html"] = server.files["/www/css/site.css"]
    deploy = forge.push({**SITE, "index.html": b"two"})
    run(service)
    deploy = reload(deploy)
    if policy == Service.DriftPolicy.STOP:
        assert deploy.state == State.FAILED
        assert "index.html" in deploy.error
        assert live(server)["index.html"] == b"body {}"
    else:
        assert live(server)["index.html"] == b"two"
        assert live(server)[f".before-{deploy.pk}-index.html"] == b"body {}"
        assert "index.html" in deploy.warnings[0]


def test_direct_writing_uses_no_temporary_names(service, forge, server) -> None:
    Service.objects.update(atomic=False)
    forge.push(SITE)
    run(service)
    assert live(server) == SITE
    assert not [path for operation, path in server.calls if operation == "rename"]
    assert set(service.manifest) == set(SITE)


def test_an_executable_keeps_its_bit(service, forge, server, monkeypatch) -> None:
    tree = {"run.cgi": b"#!/bin/sh"}
    forge.push(tree)
    monkeypatch.setattr(runner, "fetch_service", lambda *_: snapshot(tree, "commit 0", modes={"run.cgi": 0o100755}))
    run(service)
    assert server.files["/www/run.cgi"].mode == 0o755


@pytest.fixture
def lfs_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LFSServer]:
    with LFSServer() as running:
        source = GitSource(running.url, running.username, running.password)
        monkeypatch.setattr(contents, "git_source", lambda _service: source)
        yield running


def pointer_to(content: bytes) -> bytes:
    oid = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n".encode()


def test_a_git_lfs_pointer_never_goes_live(service, forge, server, lfs_server) -> None:
    deploy = forge.push({"big.iso": pointer_to(b"lost"), "index.html": b"one"})
    run(service)
    assert reload(deploy).error_kind == "UnresolvedPointer"
    assert "big.iso" in reload(deploy).error
    assert live(server) == {}


def test_a_broken_git_lfs_pointer_is_named(service, forge, server) -> None:
    deploy = forge.push({"big.iso": pointer_to(b"x").replace(b"sha256:", b"md5:")})
    run(service)
    assert reload(deploy).error_kind == "UnresolvedPointer"
    assert "big.iso" in reload(deploy).error


def test_git_lfs_content_goes_live(service, forge, server, lfs_server) -> None:
    big = bytes(range(256)) * 5000
    lfs_server.add(big)
    deploy = forge.push({"big.iso": pointer_to(big), "index.html": b"one"})
    run(service)
    assert live(server) == {"big.iso": big, "index.html": b"one"}
    assert reload(deploy).bytes_total == len(big) + 3
    assert service.manifest["big.iso"].size == len(big)
    requests = len(lfs_server.requests)
    forge.push({"big.iso": pointer_to(big), "index.html": b"two"})
    run(service)
    assert live(server)["index.html"] == b"two"
    assert len(lfs_server.requests) == requests


def test_a_late_push_of_an_unknown_past_does_not_bring_back_old_files(service, forge, server) -> None:
    forge.push({"a": b"1"})
    forge.push({"a": b"2"})
    newest = forge.push({"a": b"3"})
    Deploy.objects.exclude(pk=newest.pk).delete()
    run(service)
    old_commit = next(iter(forge.trees))
    late = queue.record_push(service, "late", PushEvent("main", "", old_commit)).deploy
    assert late.order_unknown
    run(service)
    assert live(server) == {"a": b"3"}
    assert reload(late).state == State.SUPERSEDED


def test_runs_of_one_service_never_overlap(service, forge, server) -> None:
    for number in range(4):
        forge.push({"a": bytes([number])})
        run(service)
    events = list(LeaseEvent.objects.order_by("pk").values_list("event", flat=True))
    assert events == ["begin", "end"] * (len(events) // 2)


def test_a_restore_puts_the_newest_push_live_never_an_older_one(service, forge, server) -> None:
    server.fail("upload", "", PermissionRefused("553"), 1)
    broken = forge.push({"a": b"1"})
    run(service)
    newer = forge.push({"a": b"2"})
    restored = restore.restore(service)
    assert restored.after == newer.after
    assert queue.retry(reload(broken)).after == newer.after
    run(service)
    assert live(server) == {"a": b"2"}
    assert reload(broken).state == State.RESTORED


def test_a_failed_roll_back_is_nothing_to_restore(service, forge, server) -> None:
    forge.push({"a": b"1"})
    first = forge.head
    run(service)
    server.fail("upload", "", PermissionRefused("553"), 2)
    broken = forge.push({"a": b"2"})
    run(service)
    back = restore.roll_back(service, first)
    Service.objects.get(pk=service.pk).stored_manifest.delete()
    run(service)
    assert reload(back).state == State.FAILED
    assert list(restore.restorable(service)) == [broken]
    restore.restore(service)
    run(service)
    assert live(server) == {"a": b"2"}
    assert (reload(broken).state, reload(back).state) == (State.RESTORED, State.SUPERSEDED)


def test_another_place_on_the_server_starts_afresh(service, forge, server) -> None:
    """Nothing at the new place is ours: everything is sent, nothing that lies there is deleted."""
    forge.push({"a": b"1", "b": b"b", "c": b"c"})
    run(service)
    server.directories.add("/new")
    server.files["/new/c"] = server.files["/www/a"]
    Service.objects.update(path="/new")
    forge.push({"a": b"2", "b": b"b"})
    run(service)
    assert server.tree("/new") == {"a": b"2", "b": b"b", "c": b"1"}
    assert server.tree("/www") == {"a": b"1", "b": b"b", "c": b"c"}


def test_a_push_that_waits_with_a_failed_one_waits_as_long(service, forge, server) -> None:
    forge.push({"a": b"1"})
    forge.push({"a": b"2"})
    server.fail("upload", "", ConnectionFailed("421"), 1)
    assert run(service) == 1
    assert not Deploy.objects.filter(next_attempt_at=None).exists()


def test_a_file_cut_while_written_in_place_is_sent_again(service, forge, server) -> None:
    Service.objects.update(atomic=False)
    forge.push({"a": b"whole"})
    first = forge.head
    run(service)
    server.fail("upload", "", PermissionRefused("553 cut"), 1)
    forge.push({"a": b"other"})
    run(service)
    server.files["/www/a"] = replace(server.files["/www/a"], content=b"ot")
    restore.roll_back(service, first)
    run(service)
    assert live(server) == {"a": b"whole"}


def test_two_plans_of_one_epoch_never_share_a_temporary_name() -> None:
    from ftp_deploy.deploys.journal import temporary_path

    first, second = (temporary_path("x/" + "n" * 255, 10**9, 10**6, token, 99_999) for token in ("a" * 8, "b" * 8))
    assert first != second
    assert len(first.rpartition("/")[2]) <= 80
