"""What a transfer does to a server: names, modes, times, kinds that change, and deaths in the middle of a switch."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import QuerySet
from django.utils import timezone

from ftp_deploy.deploys import lease, queue, runner
from ftp_deploy.exceptions import LoginRefused, PermissionRefused, StorageFull
from ftp_deploy.models import Change, Deploy, Service
from ftp_deploy.transports.memory import Memory, StoredFile
from tests.deploys.runs import SITE, State, live, reload, run
from tests.deploys.trees import snapshot

pytestmark = pytest.mark.django_db(transaction=True)

BAD_NAMES = {
    "cr": "a\rDELE victim",
    "lf": "a\nDELE victim",
    "crlf": "a\r\nDELE victim\r\n",
    "tab": "tab\tbed",
    "escape": "red\x1b[31m",
    "delete": "del\x7f",
    "c1": "c1\x85next line",
    "dots": "..",
    "dot": ".",
    "git": ".git",
    "git in disguise": ".GIT ",
    "backslash": "..\\..\\boot.ini",
    "no utf-8": "bad-\udcff-name",
    "256 bytes": "x" * 256,
}
GOOD_NAMES = {
    "leading space": " a.txt",
    "leading dash": "-rf",
    "tilde": "~",
    "tilde user": "~root",
    "255 bytes": "x" * 255,
    "nfc": "caf\u00e9.txt",
    "nfd": "cafe\u0301.txt",
    "emoji": "\U0001f680.txt",
    "reserved": "con",
    "reserved too": "AUX.txt",
    "dots in front": "..two",
}


class TestNames:
    """A name arrives byte for byte, or the deploy says which name it is and why, before anything is sent."""

    @pytest.mark.parametrize("name", BAD_NAMES.values(), ids=list(BAD_NAMES))
    @pytest.mark.parametrize("folder", ["", "deep/er/"])
    def test_a_bad_name_stops_before_anything_is_sent(self, service, origin, server, name, folder) -> None:
        deploy = origin.push({"index.html": b"one", f"{folder}{name}": b"bad"})
        run(service)
        deploy = reload(deploy)
        assert (deploy.state, deploy.error_kind) == (State.FAILED, "UnsafePath")
        assert any(words in deploy.error for words in ("holds", "is not UTF-8", "longer than", "git directory"))
        assert deploy.error.isprintable()
        assert deploy.advice
        assert server.calls == []

    @pytest.mark.parametrize("name", GOOD_NAMES.values(), ids=list(GOOD_NAMES))
    def test_a_good_name_arrives(self, service, origin, server, name) -> None:
        origin.push({name: b"good", f"{name[:100]}.d/{name}": b"too"})
        run(service)
        assert live(server) == {name: b"good", f"{name[:100]}.d/{name}": b"too"}

    def test_names_that_differ_in_case_arrive_with_a_warning(self, service, origin, server) -> None:
        deploy = origin.push({"Readme": b"1", "README": b"2"})
        run(service)
        assert live(server) == {"Readme": b"1", "README": b"2"}
        assert "differ only in case" in reload(deploy).warnings[0]


class TestModesAndTimes:
    def modes(self, server: Any) -> dict[str, int | None]:
        return {path: stored.mode for path, stored in server.files.items()}

    def test_the_server_decides_unless_told(self, service, origin, server) -> None:
        origin.push({"a": b"1"})
        run(service)
        stored = server.files["/www/a"]
        assert (stored.mode, stored.modified) == (None, None)

    def test_a_mode_and_the_executable_bit(self, service, origin, server, monkeypatch) -> None:
        Service.objects.update(file_mode="640")
        tree = {"a": b"1", "run": b"2"}
        origin.push(tree)
        monkeypatch.setattr(runner, "fetch_service", lambda *_: snapshot(tree, "commit 0", modes={"run": 0o100755}))
        run(service)
        assert self.modes(server) == {"/www/a": 0o640, "/www/run": 0o751}

    def test_a_mode_alone_is_a_change(self, service, origin, server, monkeypatch) -> None:
        tree = {"run": b"#!/bin/sh"}
        origin.push(tree)
        run(service)
        origin.push({**tree, "x": b"x"})
        monkeypatch.setattr(
            runner, "fetch_service", lambda *_: snapshot(origin.trees[origin.head], "commit 1", modes={"run": 0o100755})
        )
        run(service)
        assert self.modes(server)["/www/run"] == 0o755

    def test_times_are_those_of_the_deploy(self, service, origin, server) -> None:
        Service.objects.update(set_modification_time=True)
        deploy = origin.push({"a": b"1"})
        run(service)
        assert server.files["/www/a"].modified == reload(deploy).created_at


class TestEdges:
    def test_a_push_without_files(self, service, origin, server) -> None:
        first = origin.push({})
        run(service)
        assert reload(first).state == State.SUCCEEDED
        origin.push({"a": b"1"})
        run(service)
        last = origin.push({})
        run(service)
        assert reload(last).state == State.SUCCEEDED
        assert live(server) == {}

    def test_another_sub_directory(self, service, origin, server) -> None:
        tree = {"old/a": b"1", "old/b": b"2", "new/a": b"3", "new/c": b"4"}
        Service.objects.update(subdirectory="old")
        origin.push(tree)
        run(service)
        assert live(server) == {"a": b"1", "b": b"2"}
        Service.objects.update(subdirectory="new")
        queue.deploy_now(service)
        run(service)
        assert live(server) == {"a": b"3", "c": b"4"}

    def test_a_sub_directory_that_is_gone_leaves_the_site(self, service, origin, server) -> None:
        Service.objects.update(subdirectory="site")
        origin.push({"site/a": b"1"})
        run(service)
        deploy = origin.push({"other/a": b"1"})
        run(service)
        assert reload(deploy).error_kind == "PlanError"
        assert live(server) == {"a": b"1"}

    def test_files_that_are_excluded_later_stay_and_come_back(self, service, origin, server) -> None:
        origin.push({"a": b"1", "secret": b"2"})
        run(service)
        Service.objects.update(excludes="secret")
        origin.push({"a": b"3", "secret": b"changed"})
        run(service)
        assert live(server) == {"a": b"3", "secret": b"2"}
        origin.push({"a": b"3"})
        run(service)
        assert live(server) == {"a": b"3", "secret": b"2"}
        Service.objects.update(excludes="")
        origin.push({"a": b"3", "secret": b"4"})
        run(service)
        assert live(server) == {"a": b"3", "secret": b"4"}

    def test_a_name_that_changes_only_its_case(self, service, origin, server) -> None:
        origin.push({"Logo.PNG": b"same", "a": b"1"})
        run(service)
        server.calls.clear()
        origin.push({"logo.png": b"same", "a": b"1"})
        run(service)
        assert live(server) == {"logo.png": b"same", "a": b"1"}
        # The old name goes first: a server that ignores case would otherwise lose the new file with it.
        order = [call for call in server.calls if call[0] in ("delete", "rename")]
        assert order == [("delete", "Logo.PNG"), ("rename", "logo.png")]

    def test_kinds_change_both_ways_in_one_push(self, service, origin, server) -> None:
        origin.push({"x": b"file", "y/a": b"1", "y/b/c": b"2", "z": b"z"})
        run(service)
        origin.push({"x/a": b"1", "x/b/c": b"2", "y": b"file", "z": b"z"})
        run(service)
        assert live(server) == {"x/a": b"1", "x/b/c": b"2", "y": b"file", "z": b"z"}

    def test_somebody_elses_file_in_a_directory_that_becomes_a_file(self, service, origin, server) -> None:
        """It is not ours to delete: the deploy says so, and it stays."""
        origin.push({"y/a": b"1", "z": b"z"})
        run(service)
        server.files["/www/y/photo.jpg"] = StoredFile(b"a visitor's")
        deploy = origin.push({"y": b"file", "z": b"z"})
        run(service)
        assert reload(deploy).state == State.FAILED
        assert "y" in reload(deploy).error
        assert server.files["/www/y/photo.jpg"].content == b"a visitor's"

    def test_a_directory_that_somebody_removed_is_made_again(self, service, origin, server) -> None:
        origin.push(SITE)
        run(service)
        del server.files["/www/css/site.css"]
        server.directories.remove("/www/css")
        deploy = origin.push({**SITE, "css/site.css": b"new"})
        run(service)
        assert reload(deploy).state == State.SUCCEEDED, reload(deploy).error
        assert live(server) == {**SITE, "css/site.css": b"new"}

    def test_a_content_left_with_another_mode_is_sent_again(self, service, origin, server, monkeypatch) -> None:
        server.fail("rename", "", PermissionRefused("550 no"), 1)
        tree = {"run": b"#!/bin/sh"}
        origin.push(tree)
        run(service)
        monkeypatch.setattr(runner, "fetch_service", lambda *_: snapshot(tree, "commit 1", modes={"run": 0o100755}))
        origin.push({**tree})
        run(service)
        assert server.files["/www/run"].mode == 0o755
        assert live(server) == tree


class TestDeathsInTheSwitch:
    """A worker dies or loses its lease while files are being switched; the next one ends the work."""

    FILES = {f"file-{number:03}": b"old" for number in range(130)}
    NEW = dict.fromkeys(FILES, b"new!")

    @pytest.fixture
    def half_way(self, service, origin, server, monkeypatch) -> Iterator[Any]:
        """A function that deploys, and calls what it is given after the 60th rename."""

        def deploy(act: Any, new: dict[str, bytes] = self.NEW) -> Deploy:
            origin.push(self.FILES)
            run(service)
            server.calls.clear()
            pushed = origin.push(new)
            note = Memory._note

            def noted(transport: Memory, operation: str, path: str) -> str:
                if sum(call[0] == "rename" for call in server.calls) == 60 and operation == "rename":
                    monkeypatch.setattr(Memory, "_note", note)
                    act()
                return note(transport, operation, path)

            monkeypatch.setattr(Memory, "_note", noted)
            return pushed

        return deploy

    def test_another_worker_takes_over(self, service, origin, server, half_way) -> None:
        """The first one renames no further batch once it lost its lease, and what it had done is not sent again."""
        taken: list[Any] = []

        def take_over() -> None:
            Service.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
            taken.append(lease.claim(service.pk))
            current.append(True)

        current: list[bool] = []
        guard = lease.Lease.must_hold

        def must_hold(self: lease.Lease) -> None:
            if current and self.owner != taken[0].owner:
                self._lost = True  # what its next sign of life would find
            guard(self)

        lease.Lease.must_hold = must_hold  # type: ignore[method-assign]
        try:
            deploy = half_way(take_over)
            run(service)
        finally:
            lease.Lease.must_hold = guard  # type: ignore[method-assign]
        renamed = sum(call[0] == "rename" for call in server.calls)
        assert renamed == 100  # the batch that was on its way, and no other
        taken[0].release()
        server.calls.clear()
        run(service)
        assert reload(deploy).state == State.SUCCEEDED
        assert live(server) == self.NEW
        assert not [call for call in server.calls if call[0] == "upload"]

    def test_the_worker_dies(self, service, origin, server, half_way) -> None:
        def die() -> None:
            Service.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
            raise KeyboardInterrupt

        deploy = half_way(die)
        run(service)  # what it would still record finds that the lease is not its own any more
        assert {entry.size for entry in service.manifest.values()} == {3}
        assert set(live_names(server)) >= set(self.FILES)
        server.calls.clear()
        run(service)
        assert reload(deploy).state == State.SUCCEEDED
        assert live(server) == self.NEW
        assert not [call for call in server.calls if call[0] == "upload"]

    def test_a_temporary_file_that_the_server_cleaned_away_is_no_proof(
        self,
        service,
        origin,
        server,
        half_way,
    ) -> None:
        """The old file has the size of the new one: only its content tells that it was never replaced."""

        def die_and_clean() -> None:
            for path in [path for path in server.files if ".ftp-deploy-" in path and path.endswith("-99.tmp")]:
                del server.files[path]
            Service.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
            raise KeyboardInterrupt

        deploy = half_way(die_and_clean, new=dict.fromkeys(self.FILES, b"new"))
        run(service)
        server.calls.clear()
        run(service)
        assert reload(deploy).state == State.SUCCEEDED
        assert live(server) == dict.fromkeys(self.FILES, b"new")
        assert len([call for call in server.calls if call[0] == "upload"]) == 1

    def test_a_refused_rename_keeps_both_halves_known(self, service, origin, server, half_way) -> None:
        def refuse() -> None:
            raise PermissionRefused("550 no", path="file-060", code=550)

        deploy = half_way(refuse)
        run(service)
        assert reload(deploy).state == State.FAILED
        sizes = {path: entry.size for path, entry in service.manifest.items()}
        known = {path: len(server.files[f"/www/{path}"].content) for path in self.FILES}
        assert all(sizes[path] <= known[path] for path in self.FILES)
        queue.retry(reload(deploy))
        run(service)
        assert live(server) == self.NEW
        assert not Change.objects.exclude(temporary_path="").exists()


def live_names(server: Any) -> set[str]:
    return set(live(server))


class TestRefusals:
    def test_a_refused_login_is_checked_no_further(self, service, origin, server, published) -> None:
        """Each further login would bring the account nearer to being locked."""
        server.password = "another"
        deploy = origin.push(SITE)
        published.clear()
        run(service)
        assert reload(deploy).error_kind == LoginRefused.__name__
        assert [call for call in server.calls if call[0] == "connect"] == [("connect", "")]
        assert ("ftp_deploy.validate", (service.pk,)) not in published
        service.refresh_from_db()
        assert service.status == Service.Status.FAILING
        assert "refused the login" in service.status_message

    def test_people_hear_of_a_refused_login_though_the_database_was_away(
        self, service, origin, server, published, monkeypatch
    ) -> None:
        """The outcome and the service's status are stored together, or both again."""
        server.password = "another"
        deploy = origin.push(SITE)
        published.clear()
        update, faults = QuerySet.update, [OperationalError("the server closed the connection")]

        def fail_once(self: Any, **values: Any) -> int:
            if values.get("status") == Service.Status.FAILING and faults:
                raise faults.pop()
            return update(self, **values)

        monkeypatch.setattr(QuerySet, "update", fail_once)
        monkeypatch.setattr(lease, "PAUSE", 0.01)
        run(service)
        assert not faults
        assert reload(deploy).error_kind == LoginRefused.__name__
        assert ("ftp_deploy.notify", (deploy.pk,)) in published
        service.refresh_from_db()
        assert service.status == Service.Status.FAILING

    def test_a_full_disk_says_what_to_do_and_is_not_tried_again(self, service, origin, server) -> None:
        origin.push(SITE)
        run(service)
        server.fail("upload", "", StorageFull("The server refused to upload a: 452 no space.", code=452), 1)
        deploy = origin.push({**SITE, "a": b"a", "index.html": b"two"})
        run(service)
        deploy = reload(deploy)
        assert (deploy.state, deploy.error_kind, deploy.next_attempt_at) == (State.FAILED, "StorageFull", None)
        assert "452" in deploy.error
        assert "Free space" in deploy.advice
        assert live(server) == SITE
