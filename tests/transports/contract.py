"""What every transport does. A protocol's test class inherits ``TransportContract`` and gives it a ``place``.

A ``Place`` is a server as seen from behind: its target, and reading and writing its files without the transport.
"""

import io
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest

from ftp_deploy.exceptions import LeaseLost, PermissionRefused, TransportError, UnsafePath
from ftp_deploy.transports import transport_class
from ftp_deploy.transports.base import Progress, RemoteFile, Rename, Target, Transport, Upload

ODD_NAMES = (
    "two words.txt",
    " leading space.txt",
    "trailing space .txt",
    "-rf",
    "~partytown.js",
    "~",
    "#hash#.txt",
    "100%25.txt",
    "per%20cent.txt",
    "quo\"te'd.txt",
    "back\\slash.txt",
    "semi;colon&amp.txt",
    "star*?[x].txt",
    "pipe|and<angle>.txt",
    "caf\u00e9-nfc.txt",
    "cafe\u0301-nfd.txt",
    "\u65e5\u672c\u8a9e.html",
    "rocket \U0001f680.txt",
    ".htaccess",
    "..two-dots",
    "a -> b.txt",
    "con",
    "aux.txt",
    "UPPER.txt",
    "upper2.TXT",
    "x" * 255,
    "\u00e9" * 127,
)
UNSAFE_NAMES = (
    "a\r\nDELE victim.txt",
    "a\nDELE victim.txt",
    "a\rb",
    "nul\0byte",
    "tab\tbed",
    "bell\x07",
    "del\x7f",
    "../outside.txt",
    "a/../../outside.txt",
    "./here.txt",
    "a//b.txt",
    "/etc/absolute.txt",
    "trailing/",
    "bad-\udcff-utf8",
    "y" * 256,
)


class Place(Protocol):
    """A server seen from behind. Paths are relative to the target's path."""

    def target(self, **changes: Any) -> Target: ...
    def read(self, path: str) -> bytes | None: ...
    def write(self, path: str, content: bytes) -> None: ...
    def make_folder(self, path: str) -> None: ...
    def files(self) -> set[str]: ...
    def folders(self) -> set[str]: ...


def make_upload(path: str, content: bytes, **details: Any) -> Upload:
    return Upload(path, len(content), lambda: io.BytesIO(content), **details)


def unguarded() -> None:
    """A guard that lets everything pass."""


def finish(steps: Iterable[Progress]) -> list[Progress]:
    return list(steps)


def done(steps: Iterable[Progress]) -> list[str]:
    return [path for step in steps for path in step.done]


def contents(count: int, seed: int = 7) -> dict[str, bytes]:
    """Return ``count`` files of all sizes from empty to 100 kB, in a few directories."""
    dice = random.Random(seed)
    sizes = [0, 1, 1400, 65_536, 100_000]
    return {f"d{number % 3}/sub/file {number}.bin": dice.randbytes(dice.choice(sizes)) for number in range(count)}


def directories(paths: Iterable[str]) -> list[str]:
    found = {str(parent) for path in paths for parent in Path(path).parents if str(parent) != "."}
    return sorted(found, key=lambda one: (one.count("/"), one))


class TransportContract:
    """The tests. ``protocol`` classes come from the registry; ``further`` adds to it."""

    further: dict[str, str] = {}
    replaces_atomically = True

    def open(self, place: Place, **changes: Any) -> Transport:
        target = place.target(**changes)
        return transport_class(target.protocol, self.further)(target)

    @pytest.fixture
    def transport(self, place: Place) -> Iterator[Transport]:
        with self.open(place) as transport:
            yield transport

    def test_files_arrive_byte_for_byte(self, transport: Transport, place: Place) -> None:
        tree = contents(25)
        transport.make_directories(directories(tree))
        steps = finish(transport.upload([make_upload(path, content) for path, content in tree.items()]))
        assert sorted(done(steps)) == sorted(tree)
        assert sum(step.bytes_sent for step in steps) >= sum(map(len, tree.values()))
        assert {path: place.read(path) for path in tree} == tree
        assert place.files() == set(tree)

    def test_nothing_to_do_is_fine(self, transport: Transport, place: Place) -> None:
        transport.make_directories([])
        assert finish(transport.upload([])) == []
        assert finish(transport.rename([], unguarded)) == []
        assert finish(transport.delete([], unguarded)) == []
        assert transport.prune([]) == ()
        assert transport.sizes([]) == {}
        assert list(transport.walk()) == []

    def test_an_existing_file_is_replaced(self, transport: Transport, place: Place) -> None:
        place.write("page.html", b"old and longer than the new one")
        finish(transport.upload([make_upload("page.html", b"new")]))
        assert place.read("page.html") == b"new"

    def test_directories_that_exist_are_fine(self, transport: Transport, place: Place) -> None:
        place.make_folder("a/b")
        transport.make_directories(["a", "a/b", "a/b/c"])
        transport.make_directories(["a", "a/b", "a/b/c"])
        assert place.folders() == {"a", "a/b", "a/b/c"}

    def test_a_file_in_the_place_of_a_directory_is_named(self, transport: Transport, place: Place) -> None:
        place.write("a", b"file")
        with pytest.raises(PermissionRefused) as caught:
            transport.make_directories(["a"])
        assert "a" in caught.value.path
        assert place.read("a") == b"file"

    def test_rename_over_old_files(self, transport: Transport, place: Place) -> None:
        names = [f"file {number}.txt" for number in range(40)]
        for name in names[:20]:
            place.write(name, b"old")
        for name in names:
            place.write(f".tmp-{name}", name.encode())
        steps = finish(transport.rename([Rename(f".tmp-{name}", name) for name in names], unguarded))
        assert sorted(done(steps)) == sorted(names)
        assert {name: place.read(name) for name in names} == {name: name.encode() for name in names}
        assert place.files() == set(names)

    def test_a_directory_in_the_place_of_a_file_stays(self, transport: Transport, place: Place) -> None:
        place.write("page.html/photo.jpg", b"somebody's")
        place.write(".tmp", b"new")
        with pytest.raises(TransportError, match=r"page\.html"):
            finish(transport.rename([Rename(".tmp", "page.html")], unguarded))
        assert place.read("page.html/photo.jpg") == b"somebody's"
        assert place.read(".tmp") == b"new"

    def test_a_missing_source_is_an_error(self, transport: Transport, place: Place) -> None:
        place.write("page.html", b"old")
        with pytest.raises(TransportError, match=r"page\.html|gone"):
            finish(transport.rename([Rename(".gone", "page.html")], unguarded))
        assert place.read("page.html") == b"old"

    def test_the_guard_stops_renames_and_deletes(self, transport: Transport, place: Place) -> None:
        place.write(".tmp", b"new")
        place.write("page.html", b"old")

        def guard() -> None:
            raise LeaseLost

        with pytest.raises(LeaseLost):
            finish(transport.rename([Rename(".tmp", "page.html")], guard))
        with pytest.raises(LeaseLost):
            finish(transport.delete(["page.html"], guard))
        assert place.read("page.html") == b"old"

    def test_the_guard_is_called_in_the_callers_thread(self, transport: Transport, place: Place) -> None:
        seen = set()
        place.write(".tmp", b"new")
        finish(transport.rename([Rename(".tmp", "page.html")], lambda: seen.add(threading.get_ident())))
        finish(transport.delete(["page.html"], lambda: seen.add(threading.get_ident())))
        assert seen == {threading.get_ident()}

    def test_delete(self, transport: Transport, place: Place) -> None:
        place.write("a/keep.txt", b"keep")
        for number in range(30):
            place.write(f"a/{number}.txt", b"x")
        wanted = [f"a/{number}.txt" for number in range(30)] + ["a/gone.txt", "never/was.txt"]
        assert sorted(done(transport.delete(wanted, unguarded))) == sorted(wanted)
        assert place.files() == {"a/keep.txt"}

    def test_prune_removes_empty_directories_only(self, transport: Transport, place: Place) -> None:
        place.make_folder("empty/deeper/deepest")
        place.write("full/page.html", b"x")
        place.write("hidden/.htaccess", b"x")
        place.make_folder("outer/kept")
        removed = transport.prune(
            ["empty", "empty/deeper", "empty/deeper/deepest", "full", "hidden", "outer", "missing"]
        )
        assert set(removed) <= {"empty", "empty/deeper", "empty/deeper/deepest"}
        assert place.folders() == {"full", "hidden", "outer", "outer/kept"}
        assert place.files() == {"full/page.html", "hidden/.htaccess"}
        assert set(removed) == {"empty", "empty/deeper", "empty/deeper/deepest"}

    def test_sizes(self, transport: Transport, place: Place) -> None:
        place.write("a/empty.txt", b"")
        place.write("a/some.bin", b"\r\n" * 3000)
        found = transport.sizes(["a/empty.txt", "a/some.bin", "a/none.txt", "none/none.txt"])
        assert found == {"a/empty.txt": 0, "a/some.bin": 6000, "a/none.txt": None, "none/none.txt": None}

    def test_many_sizes(self, transport: Transport, place: Place) -> None:
        names = [f"a directory with a long name/and a file with a longer one {number}.txt" for number in range(120)]
        for name in names:
            place.write(name, name.encode())
        assert transport.sizes(names) == {name: len(name) for name in names}

    def test_walk(self, transport: Transport, place: Place) -> None:
        tree = {"index.html": b"12345", "a/b/c.txt": b"", "a/with space.bin": b"x" * 3000, "a/.hidden": b"h"}
        for path, content in tree.items():
            place.write(path, content)
        place.make_folder("nothing here")
        found = list(transport.walk())
        files = {file.path: file.size for file in found if not file.is_directory}
        assert files == {path: len(content) for path, content in tree.items()}
        assert {file.path for file in found if file.is_directory} == {"a", "a/b", "nothing here"}
        assert all(isinstance(file, RemoteFile) for file in found)

    def test_download(self, transport: Transport, place: Place) -> None:
        content = random.Random(3).randbytes(300_000)
        place.write("a/file.bin", content)
        place.write("empty.bin", b"")
        assert b"".join(transport.download("a/file.bin")) == content
        assert b"".join(transport.download("empty.bin")) == b""
        assert b"".join(transport.download("a/file.bin")) == content

    def test_download_of_a_missing_file(self, transport: Transport, place: Place) -> None:
        with pytest.raises(PermissionRefused) as caught:
            list(transport.download("missing.txt"))
        assert caught.value.path == "missing.txt"
        assert transport.sizes(["missing.txt"]) == {"missing.txt": None}

    def test_a_download_can_be_left(self, transport: Transport, place: Place) -> None:
        place.write("big.bin", bytes(5_000_000))
        blocks = transport.download("big.bin")
        next(blocks)
        blocks.close()  # type: ignore[attr-defined]
        assert transport.sizes(["big.bin"]) == {"big.bin": 5_000_000}

    def test_probe_leaves_nothing_behind(self, transport: Transport, place: Place) -> None:
        place.write("index.html", b"x")
        traits = transport.probe()
        assert traits.rename_over is self.replaces_atomically
        assert place.files() == {"index.html"}
        assert place.folders() == set()
        assert type(traits).from_json(traits.as_json()) == traits

    def test_probe_of_a_missing_path(self, place: Place) -> None:
        self.missing_path(place)

    def missing_path(self, place: Place) -> None:
        path = place.target().path.rstrip("/") + "/no/such/place"
        with pytest.raises(PermissionRefused, match="no/such/place"), self.open(place, path=path) as transport:
            transport.probe()

    @pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
    def test_odd_names(self, transport: Transport, place: Place, name: str) -> None:
        self.round_trip(transport, place, name)

    def round_trip(self, transport: Transport, place: Place, name: str, folder: str = "") -> None:
        folder = folder or (f"dir {name}"[:120] if len(name) > 100 else name)
        path = f"{folder}/{name}"
        transport.make_directories([folder])
        finish(transport.upload([make_upload(f"{folder}/.tmp", b"content")]))
        assert done(transport.rename([Rename(f"{folder}/.tmp", path)], unguarded)) == [path]
        assert place.read(path) == b"content"
        assert place.files() == {path}
        assert transport.sizes([path]) == {path: 7}
        assert b"".join(transport.download(path)) == b"content"
        assert path in {file.path for file in transport.walk()}
        assert done(transport.delete([path], unguarded)) == [path]
        assert place.files() == set()
        assert transport.prune([folder]) == (folder,)

    @pytest.mark.parametrize("name", UNSAFE_NAMES, ids=ascii)
    def test_unsafe_names_never_reach_the_server(self, transport: Transport, place: Place, name: str) -> None:
        place.write("victim.txt", b"alive")
        attempts: list[Callable[[], object]] = [
            lambda: transport.make_directories([name]),
            lambda: finish(transport.upload([make_upload("fine.txt", b"x"), make_upload(name, b"x")])),
            lambda: finish(transport.rename([Rename("victim.txt", name)], unguarded)),
            lambda: finish(transport.rename([Rename(name, "victim.txt")], unguarded)),
            lambda: finish(transport.delete(["victim.txt", name], unguarded)),
            lambda: transport.prune([name]),
            lambda: transport.sizes([name]),
            lambda: list(transport.download(name)),
        ]
        for attempt in attempts:
            with pytest.raises(UnsafePath):
                attempt()
        assert place.files() == {"victim.txt"}
        assert place.read("victim.txt") == b"alive"

    def test_a_file_that_is_not_its_size_fails(self, transport: Transport, place: Place) -> None:
        short = Upload("page.html", 5000, lambda: io.BytesIO(b"short"))
        with pytest.raises(TransportError, match=r"page\.html"):
            finish(transport.upload([short]))

    def test_an_upload_can_be_left(self, place: Place) -> None:
        with self.open(place) as transport:
            steps = transport.upload([make_upload(f"{number}.bin", bytes(2_000_000)) for number in range(20)])
            next(steps)
            started = time.monotonic()
            steps.close()  # type: ignore[attr-defined]
            assert time.monotonic() - started < 15
        with self.open(place) as transport:
            finish(transport.upload([make_upload("0.bin", b"again")]))
        assert place.read("0.bin") == b"again"

    def test_enough_is_enough_once_the_files_under_way_are_complete(self, place: Place) -> None:
        tree = {f"{number:03}.bin": bytes([number]) * 300_000 for number in range(200)}
        done: list[str] = []
        with self.open(place) as transport:
            uploads = [make_upload(path, content) for path, content in tree.items()]
            for step in transport.upload(uploads, partial(bool, done)):
                done.extend(step.done)
        assert done
        assert {path: place.read(path) for path in place.files()} == {path: tree[path] for path in done}

    def test_a_slow_reader_does_not_hold_the_steps(self, transport: Transport, place: Place) -> None:
        class Slow(io.BytesIO):
            """Thinks before each read."""

            def read(self, size: int | None = -1) -> bytes:
                time.sleep(1.2)
                return super().read(size)

            def readinto(self, buffer: Any) -> int:
                time.sleep(1.2)
                return super().readinto(buffer)

            def getbuffer(self) -> Any:
                raise io.UnsupportedOperation

        if not self.yields_while_waiting:
            pytest.skip("works in the caller's thread")
        longest, last = 0.0, time.monotonic()
        for _ in transport.upload([Upload("slow.txt", 4, lambda: Slow(b"slow"))]):
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert longest < 1.0
        assert place.read("slow.txt") == b"slow"

    yields_while_waiting = True

    def test_modes_and_times(self, transport: Transport, place: Place) -> None:
        when = datetime(2024, 2, 29, 12, 30, 15, tzinfo=UTC)
        finish(transport.upload([make_upload("run.sh", b"#!/bin/sh\n", mode=0o755, modified=when)]))
        self.check_mode_and_time(transport, place, "run.sh", 0o755, when)

    def check_mode_and_time(self, transport: Transport, place: Place, path: str, mode: int, modified: datetime) -> None:
        assert place.read(path) is not None

    def test_close_twice(self, place: Place) -> None:
        transport = self.open(place)
        transport.connect()
        transport.close()
        transport.close()
