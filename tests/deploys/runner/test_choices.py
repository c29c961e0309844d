"""What people choose, in whole runs: restore, skip, roll back, adopt, confirm deletes; and odd trees."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ftp_deploy.deploys import contents, journal, queue, recorder, restore, runner
from ftp_deploy.exceptions import (
    ConnectionFailed,
    PermissionRefused,
    RepositoryMissing,
)
from ftp_deploy.models import Deploy, LeaseEvent, Service, ServiceManifest
from ftp_deploy.providers.base import PushEvent
from ftp_deploy.repository.base import GitSource
from tests.deploys.runs import SITE, State, live, reload, run
from tests.deploys.trees import snapshot
from tests.servers.lfs import LFSServer

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_restore_puts_the_failed_deploys_live(service, origin, server) -> None:
    origin.push(SITE)
    run(service)
    server.fail("upload", "", PermissionRefused("553"), 2)
    first = origin.push({**SITE, "a": b"a"})
    run(service)
    second = origin.push({**SITE, "a": b"a", "b": b"b"})
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


def test_a_skipped_deploy_is_left_out(service, origin, server) -> None:
    origin.push(SITE)
    run(service)
    server.fail("upload", "", PermissionRefused("553"), 1)
    skipped = origin.push({**SITE, "index.html": b"bad"})
    run(service)
    restore.skip(reload(skipped))
    assert reload(skipped).state == State.SKIPPED
    origin.push({**SITE, "index.html": b"bad", "good": b"good"})
    assert restore.preview(service, origin.head).left_out == ("index.html",)
    run(service)
    assert live(server) == {**SITE, "good": b"good"}
    origin.push({**SITE, "index.html": b"better", "good": b"good"})
    run(service)
    assert live(server)["index.html"] == b"better"


def test_a_skipped_deploy_that_never_had_a_plan_is_left_out_as_well(service, origin, server) -> None:
    origin.push(SITE)
    run(service)
    origin.fault = RepositoryMissing("no such repository")
    skipped = origin.push({"index.html": b"bad", "css/site.css": b"body {}", "added": b"a", "empty": b""})
    run(service)
    origin.fault = None
    assert not reload(skipped).changes.exists()
    restore.skip(reload(skipped))
    origin.push({"index.html": b"bad", "css/site.css": b"new", "added": b"a", "empty": b""})
    foreseen = restore.preview(service, origin.head)
    assert foreseen.left_out == ("added", "index.html", "old/page.html")
    assert (foreseen.added, foreseen.modified, foreseen.removed) == ((), ("css/site.css",), ())
    assert not reload(skipped).changes.exists()
    run(service)
    assert live(server) == {**SITE, "css/site.css": b"new"}
    assert set(service.manifest) == {"index.html", "css/site.css", "added", "empty"}


def test_people_read_the_live_name_of_a_file_never_the_temporary_one(service, origin, server, monkeypatch) -> None:
    told = []
    monkeypatch.setattr(recorder.Recorder, "advance", lambda _self, _files, _sent, current: told.append(current))
    monkeypatch.setattr(journal.secrets, "token_hex", lambda _bytes: "0a1b")
    origin.push(SITE)
    run(service)
    assert {"index.html", "css/site.css"} <= set(told) <= {*SITE, ""}
    deploy = origin.push({**SITE, "css/site.css": b"new"})
    epoch = Service.objects.get().lease_epoch + 1
    place = f"css/.ftp-deploy-{deploy.pk}-{epoch}-0a1b-0.tmp"
    server.fail("upload", "", PermissionRefused(f"{place}: 553 /www/{place}: not here. .ftp-deploy-9-9-ff-9.tmp"), 1)
    run(service)
    assert reload(deploy).error == "css/site.css: 553 /www/css/site.css: not here. .ftp-deploy-9-9-ff-9.tmp"


def test_a_roll_back_puts_an_earlier_commit_live(service, origin, server) -> None:
    origin.push(SITE)
    earlier = origin.head
    run(service)
    origin.push({"index.html": b"two", "new": b"n"})
    run(service)
    deploy = restore.roll_back(service, earlier)
    run(service)
    assert live(server) == SITE
    assert reload(deploy).commit == earlier


def test_too_many_deletes_stop_and_ask(service, origin, server) -> None:
    files = {f"file-{number}": b"x" for number in range(50)}
    origin.push(files)
    run(service)
    deploy = origin.push({"file-0": b"x"})
    run(service)
    deploy = reload(deploy)
    assert (deploy.state, deploy.error_kind) == (State.FAILED, "TooManyDeletes")
    assert live(server) == files
    queue.confirm_deletes(deploy)
    run(service)
    assert live(server) == {"file-0": b"x"}


def test_a_file_becomes_a_directory_and_back(service, origin, server) -> None:
    origin.push({"a": b"file", "b": b"b"})
    run(service)
    origin.push({"a/x/y": b"deep", "b": b"b"})
    run(service)
    assert live(server) == {"a/x/y": b"deep", "b": b"b"}
    origin.push({"a": b"file again", "b": b"b"})
    run(service)
    assert live(server) == {"a": b"file again", "b": b"b"}


def test_adopting_a_live_site_sends_only_the_differences(service, origin, server) -> None:
    Service.objects.update(first_deploy=Service.FirstDeploy.ADOPT)
    origin.push(SITE)
    run(service)
    ServiceManifest.objects.all().delete()
    server.calls.clear()
    origin.push({**SITE, "index.html": b"other length", "new": b"n"})
    run(service)
    uploads = [path for operation, path in server.calls if operation == "upload"]
    assert len(uploads) == 2
    assert live(server) == {**SITE, "index.html": b"other length", "new": b"n"}


@pytest.mark.parametrize("policy", [Service.DriftPolicy.STOP, Service.DriftPolicy.KEEP_COPY])
def test_files_changed_by_hand(service, origin, server, policy) -> None:
    Service.objects.update(drift_policy=policy)
    origin.push(SITE)
    run(service)
    server.files["/www/index.html"] = server.files["/www/css/site.css"]
    deploy = origin.push({**SITE, "index.html": b"two"})
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


def test_direct_writing_uses_no_temporary_names(service, origin, server) -> None:
    Service.objects.update(atomic=False)
    origin.push(SITE)
    run(service)
    assert live(server) == SITE
    assert not [path for operation, path in server.calls if operation == "rename"]
    assert set(service.manifest) == set(SITE)


def test_an_executable_keeps_its_bit(service, origin, server, monkeypatch) -> None:
    tree = {"run.cgi": b"#!/bin/sh"}
    origin.push(tree)
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


def test_a_git_lfs_pointer_never_goes_live(service, origin, server, lfs_server) -> None:
    deploy = origin.push({"big.iso": pointer_to(b"lost"), "index.html": b"one"})
    run(service)
    assert reload(deploy).error_kind == "UnresolvedPointer"
    assert "big.iso" in reload(deploy).error
    assert live(server) == {}


def test_a_broken_git_lfs_pointer_is_named(service, origin, server) -> None:
    deploy = origin.push({"big.iso": pointer_to(b"x").replace(b"sha256:", b"md5:")})
    run(service)
    assert reload(deploy).error_kind == "UnresolvedPointer"
    assert "big.iso" in reload(deploy).error


def test_git_lfs_content_goes_live(service, origin, server, lfs_server) -> None:
    big = bytes(range(256)) * 5000
    lfs_server.add(big)
    deploy = origin.push({"big.iso": pointer_to(big), "index.html": b"one"})
    run(service)
    assert live(server) == {"big.iso": big, "index.html": b"one"}
    assert reload(deploy).bytes_total == len(big) + 3
    assert service.manifest["big.iso"].size == len(big)
    requests = len(lfs_server.requests)
    origin.push({"big.iso": pointer_to(big), "index.html": b"two"})
    run(service)
    assert live(server)["index.html"] == b"two"
    assert len(lfs_server.requests) == requests


def test_a_late_push_of_an_unknown_past_does_not_bring_back_old_files(service, origin, server) -> None:
    origin.push({"a": b"1"})
    origin.push({"a": b"2"})
    newest = origin.push({"a": b"3"})
    Deploy.objects.exclude(pk=newest.pk).delete()
    run(service)
    old_commit = next(iter(origin.trees))
    late = queue.record_push(service, "late", PushEvent("main", "", old_commit)).deploy
    assert late.order_unknown
    run(service)
    assert live(server) == {"a": b"3"}
    assert reload(late).state == State.SUPERSEDED


def test_runs_of_one_service_never_overlap(service, origin, server) -> None:
    for number in range(4):
        origin.push({"a": bytes([number])})
        run(service)
    events = list(LeaseEvent.objects.order_by("pk").values_list("event", flat=True))
    assert events == ["begin", "end"] * (len(events) // 2)


def test_a_restore_puts_the_newest_push_live_never_an_older_one(service, origin, server) -> None:
    server.fail("upload", "", PermissionRefused("553"), 1)
    broken = origin.push({"a": b"1"})
    run(service)
    newer = origin.push({"a": b"2"})
    restored = restore.restore(service)
    assert restored.after == newer.after
    assert queue.retry(reload(broken)).after == newer.after
    run(service)
    assert live(server) == {"a": b"2"}
    assert reload(broken).state == State.RESTORED


def test_a_failed_roll_back_is_nothing_to_restore(service, origin, server) -> None:
    origin.push({"a": b"1"})
    first = origin.head
    run(service)
    server.fail("upload", "", PermissionRefused("553"), 2)
    broken = origin.push({"a": b"2"})
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


def test_another_place_on_the_server_starts_afresh(service, origin, server) -> None:
    """Nothing at the new place is ours: everything is sent, nothing that lies there is deleted."""
    origin.push({"a": b"1", "b": b"b", "c": b"c"})
    run(service)
    server.directories.add("/new")
    server.files["/new/c"] = server.files["/www/a"]
    Service.objects.update(path="/new")
    origin.push({"a": b"2", "b": b"b"})
    run(service)
    assert server.tree("/new") == {"a": b"2", "b": b"b", "c": b"1"}
    assert server.tree("/www") == {"a": b"1", "b": b"b", "c": b"c"}


def test_a_push_that_waits_with_a_failed_one_waits_as_long(service, origin, server) -> None:
    origin.push({"a": b"1"})
    origin.push({"a": b"2"})
    server.fail("upload", "", ConnectionFailed("421"), 1)
    assert run(service) == 1
    assert not Deploy.objects.filter(next_attempt_at=None).exists()


def test_a_file_cut_while_written_in_place_is_sent_again(service, origin, server) -> None:
    Service.objects.update(atomic=False)
    origin.push({"a": b"whole"})
    first = origin.head
    run(service)
    server.fail("upload", "", PermissionRefused("553 cut"), 1)
    origin.push({"a": b"other"})
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
