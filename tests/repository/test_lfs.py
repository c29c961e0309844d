"""Git LFS against a real HTTP server."""

import hashlib
import io
import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ftp_deploy.exceptions import (
    AddressRefused,
    DeployCancelled,
    RepositoryError,
    RepositoryLoginRefused,
    RepositoryMissing,
    RepositoryUnavailable,
    UnresolvedPointer,
)
from ftp_deploy.repository import lfs, lfs_http
from ftp_deploy.repository.base import GitSource
from ftp_deploy.repository.lfs import Pointer, fetch_objects, parse_pointer
from ftp_deploy.repository.lfs_http import Client, Failure, Link, Sink, endpoint_of, same_origin
from tests.servers.lfs import LFSServer

OID = hashlib.sha256(b"x").hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 1\n".encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LFSServer]:
    monkeypatch.setattr(lfs, "BACK_OFF_SECONDS", 0.01)
    with LFSServer() as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[LFSServer]:
    with LFSServer() as running:
        yield running


def source(server: LFSServer, **changes: object) -> GitSource:
    values = {"username": server.username, "password": server.password, "connect_timeout": 10.0, **changes}
    return GitSource(server.url, **values)  # type: ignore[arg-type]


def pointers(server: LFSServer, contents: dict[str, bytes]) -> dict[str, Pointer]:
    return {path: Pointer(server.add(content), len(content)) for path, content in contents.items()}


class TestPointers:
    def test_a_pointer(self) -> None:
        assert parse_pointer(POINTER) == Pointer(OID, 1)

    def test_extensions_and_a_missing_line_end(self) -> None:
        text = POINTER.replace(b"oid", f"ext-0-foo sha256:{'0' * 64}\noid".encode()).rstrip()
        assert parse_pointer(text) == Pointer(OID, 1)

    @pytest.mark.parametrize(
        "broken",
        [
            b"",
            b"version https://git-lfs.github.com/spec/v1\n",
            POINTER.replace(b"sha256", b"md5"),
            POINTER.replace(b"size 1", b"size -1"),
            POINTER.replace(b"size 1", b"size 1e9"),
            POINTER.replace(b"size 1", b"size " + b"9" * 40),
            POINTER.replace(OID.encode(), OID.upper().encode()),
            POINTER.replace(OID.encode(), b"../../etc/passwd"),
            POINTER + b"size 2\n",
            POINTER + b"\xff\n",
            POINTER.replace(b"\n", b"\r\n"),
        ],
    )
    def test_what_is_none(self, broken: bytes) -> None:
        with pytest.raises(UnresolvedPointer):
            parse_pointer(broken)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://host/foo/bar", "https://host/foo/bar.git/info/lfs"),
        ("https://host/foo/bar.git", "https://host/foo/bar.git/info/lfs"),
        ("https://host/foo/bar.git/", "https://host/foo/bar.git/info/lfs"),
        ("ssh://git@host:22/foo/bar.git", "https://host/foo/bar.git/info/lfs"),
        ("git@host:foo/bar.git", "https://host/foo/bar.git/info/lfs"),
    ],
)
def test_where_the_endpoint_is(url: str, endpoint: str) -> None:
    assert endpoint_of(url) == endpoint


def test_origins() -> None:
    assert same_origin("https://Host/a", "https://host:443/b")
    assert not same_origin("https://host/a", "http://host/a")
    assert not same_origin("https://host/a", "https://host:444/a")
    assert not same_origin("https://host@evil/a", "https://host/a")
    assert not same_origin("nonsense", "nonsense")
    assert not same_origin("https://[host/", "https://[host/")


class TestLinks:
    """What is not followed whatever a forge says."""

    entered = GitSource("https://forge.example/site.git", allow_private_addresses=False)

    def test_a_link_in_clear_is_refused_where_a_person_entered_the_address(self) -> None:
        item = {"oid": OID, "actions": {"download": {"href": "http://forge.example/x"}}}
        refused = lfs._link_of(item, self.entered)
        assert isinstance(refused, Failure)
        assert "not encrypted" in refused.why

    def test_a_redirect_from_https_to_http_is_not_followed(self) -> None:
        client = Client(self.entered, allow_private=False)
        link = Link("https://forge.example/x", (("X-Link", "signed"),), login=True)
        assert client._followed(link, "http://elsewhere.example/y").url == "refused:unencrypted"
        assert client._followed(link, "/y") == Link("https://forge.example/y", (("X-Link", "signed"),), login=True)
        assert client._followed(link, "https://elsewhere.example/y") == Link("https://elsewhere.example/y")

    @pytest.mark.parametrize("body", [b"<html>", b"[]", b"[" * 200_000])
    def test_words_that_are_none_are_left_out(self, body: bytes) -> None:
        assert lfs._message_of(body) == ""

    @pytest.mark.parametrize(("host", "public"), [("127.0.0.1", False), ("1.1.1.1", True), ("no address", False)])
    def test_only_public_addresses_are_public(self, host: str, public: bool) -> None:
        assert lfs_http._is_public(host) is public

    def test_a_full_disk_stops_the_transfer(self) -> None:
        class Full(io.BytesIO):
            def write(self, data: object, /) -> int:
                raise OSError(28, "No space left on device")

        assert Sink(Full(), 10).write(b"x") == -1
        assert Sink(io.BytesIO(), 10).write(b"x") is None


@pytest.mark.integration
class TestFetching:
    def test_objects_arrive(self, server: LFSServer, tmp_path: Path) -> None:
        dice = random.Random(5)
        contents = {f"img/{number}.bin": dice.randbytes(number * 10_000) for number in range(20)}
        wanted = pointers(server, contents)
        found = fetch_objects(source(server), wanted, tmp_path)
        assert {path: found[wanted[path].oid].read_bytes() for path in contents} == contents
        assert not list(tmp_path.glob("*.part"))

    def test_several_at_once(self, server: LFSServer, tmp_path: Path) -> None:
        gate = threading.Barrier(4, timeout=20)
        wanted = pointers(server, {f"{number}.bin": bytes([number]) * 5 for number in range(4)})

        class Gated(dict[str, bytes]):
            def get(self, key: str, default: object = None) -> bytes:  # type: ignore[override]
                gate.wait()
                return self[key]

        server.objects = Gated(server.objects)
        fetch_objects(source(server), wanted, tmp_path)
        assert server.most_at_once >= 4

    def test_many_in_several_batches(self, server: LFSServer, tmp_path: Path) -> None:
        contents = {f"{number}.txt": f"content {number}".encode() for number in range(230)}
        found = fetch_objects(source(server), pointers(server, contents), tmp_path)
        assert len(found) == 230
        assert sum(method == "POST" for method, _, _ in server.requests) == 3

    def test_the_same_object_under_two_names_is_fetched_once(self, server: LFSServer, tmp_path: Path) -> None:
        fetch_objects(source(server), pointers(server, {"a": b"same", "b": b"same"}), tmp_path)
        assert sum(method == "GET" for method, _, _ in server.requests) == 1

    def test_a_missing_object_is_named(self, server: LFSServer, tmp_path: Path) -> None:
        wanted = pointers(server, {"there.bin": b"here"})
        wanted |= {f"img/{number}.png": Pointer(OID, 1) for number in range(7)}
        with pytest.raises(UnresolvedPointer, match=r"img/0\.png.* and 2 more.*does not exist") as caught:
            fetch_objects(source(server), wanted, tmp_path)
        assert "git lfs push" in caught.value.advice
        assert "there.bin" not in caught.value.message

    @pytest.mark.parametrize("fault", ["500", "429", "403", "cut", "wrong", "short"])
    def test_what_passes_is_tried_again(self, server: LFSServer, tmp_path: Path, fault: str) -> None:
        wanted = pointers(server, {"a.bin": b"a" * 5000, "b.bin": b"b" * 5000})
        server.faults[wanted["a.bin"].oid] = [fault]
        found = fetch_objects(source(server), wanted, tmp_path)
        assert found[wanted["a.bin"].oid].read_bytes() == b"a" * 5000

    @pytest.mark.parametrize("fault", ["500", "cut", "wrong", "short"])
    def test_what_never_passes_names_the_file(self, server: LFSServer, tmp_path: Path, fault: str) -> None:
        wanted = pointers(server, {"img/a.bin": b"a" * 5000})
        server.faults[wanted["img/a.bin"].oid] = [fault] * 3
        with pytest.raises(RepositoryUnavailable, match=r"img/a\.bin"):
            fetch_objects(source(server), wanted, tmp_path)

    def test_more_than_announced_is_cut_off(self, server: LFSServer, tmp_path: Path) -> None:
        wanted = pointers(server, {"img/a.bin": b"a" * 5000})
        server.faults[wanted["img/a.bin"].oid] = ["long"]
        with pytest.raises(UnresolvedPointer, match=r"img/a\.bin.*larger"):
            fetch_objects(source(server), wanted, tmp_path)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(403, RepositoryLoginRefused), (404, RepositoryMissing), (509, RepositoryError), (422, RepositoryError)],
    )
    def test_a_refused_batch(self, server: LFSServer, tmp_path: Path, status: int, kind: type[RepositoryError]) -> None:
        server.batch_status = [status]
        with pytest.raises(kind, match=f"{status}.*not now"):
            fetch_objects(source(server), pointers(server, {"a": b"a"}), tmp_path)

    def test_a_batch_that_passes_later(self, server: LFSServer, tmp_path: Path) -> None:
        server.batch_status = [503, 429]
        assert fetch_objects(source(server), pointers(server, {"a": b"a"}), tmp_path)

    def test_a_wrong_login(self, server: LFSServer, tmp_path: Path) -> None:
        with pytest.raises(RepositoryLoginRefused) as caught:
            fetch_objects(source(server, password="canary"), pointers(server, {"a": b"a"}), tmp_path)
        assert "canary" not in str(caught.value)

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"{}", b"<html>", b'{"objects": 5}', b'{"objects": []}', b"[" * 200_000]
    )
    def test_nonsense(self, server: LFSServer, tmp_path: Path, body: bytes) -> None:
        server.batch_body = body
        with pytest.raises((RepositoryError, UnresolvedPointer)):
            fetch_objects(source(server), pointers(server, {"a": b"a"}), tmp_path)

    @pytest.mark.parametrize(
        "href",
        [
            "file:///etc/passwd",
            "gopher://127.0.0.1/x",
            "nonsense",
            "",
            "http://127.0.0.1/\xe9",
            "http://127.0.0.1/ a\r\nb: c",
            "http://a\0",
        ],
    )
    def test_a_link_that_is_not_http(self, server: LFSServer, tmp_path: Path, href: str) -> None:
        wanted = pointers(server, {"a": b"a"})
        item = {"oid": wanted["a"].oid, "size": 1, "actions": {"download": {"href": href}}}
        server.batch_body = json.dumps({"objects": [item]}).encode()
        with pytest.raises(UnresolvedPointer):
            fetch_objects(source(server), wanted, tmp_path)

    @pytest.mark.parametrize(
        ("answer", "kind", "words"),
        [
            ({"transfer": "tus", "objects": []}, RepositoryError, "insists on the transfer 'tus'"),
            ({"objects": [{"oid": "0" * 64, "size": 1}, 7]}, UnresolvedPointer, "says nothing about it"),
            ({"objects": [{"oid": OID, "size": 1}]}, UnresolvedPointer, "gives no link"),
            ({"objects": [{"oid": OID, "actions": {"download": {"href": 7}}}]}, UnresolvedPointer, "gives no link"),
            (
                {"objects": [{"oid": OID, "actions": {"download": {"href": "http://x/", "header": [1]}}}]},
                UnresolvedPointer,
                "link to it cannot be read",
            ),
        ],
    )
    def test_an_answer_without_a_link(
        self, server: LFSServer, tmp_path: Path, answer: object, kind: type[RepositoryError], words: str
    ) -> None:
        server.batch_body = json.dumps(answer).encode()
        with pytest.raises(kind, match=words):
            fetch_objects(source(server), {"img/a.png": Pointer(OID, 1)}, tmp_path)

    def test_a_disk_without_room_is_named_before_anything_is_asked(
        self, server: LFSServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lfs.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=10))
        with pytest.raises(RepositoryError, match="have 11 bytes, but only 10 are free") as caught:
            fetch_objects(source(server), pointers(server, {"a": b"a" * 11}), tmp_path)
        assert "FTP_DEPLOY_SPOOL_DIRECTORY" in caught.value.advice
        assert server.requests == []

    def test_it_does_not_take_for_ever(self, server: LFSServer, tmp_path: Path) -> None:
        with pytest.raises(RepositoryUnavailable, match="takes too long"):
            fetch_objects(source(server, total_timeout=-1.0), pointers(server, {"a": b"a"}), tmp_path)

    def test_nobody_listens(self, tmp_path: Path) -> None:
        with LFSServer() as gone:
            wanted, nobody = pointers(gone, {"a": b"a"}), source(gone)
        with pytest.raises(RepositoryUnavailable):
            fetch_objects(nobody, wanted, tmp_path)

    def test_it_can_be_stopped(self, server: LFSServer, tmp_path: Path) -> None:
        def tick() -> None:
            raise DeployCancelled

        with pytest.raises(DeployCancelled):
            fetch_objects(source(server), pointers(server, {"a": b"a"}), tmp_path, tick=tick)

    def test_more_than_a_deploy_may_fetch(self, server: LFSServer, tmp_path: Path) -> None:
        with pytest.raises(RepositoryError, match="limit"):
            fetch_objects(source(server, max_bytes=10), pointers(server, {"a": b"a" * 11}), tmp_path)
        assert server.requests == []


@pytest.mark.integration
class TestWhoIsToldTheLogin:
    def login_sent(self, server: LFSServer) -> set[str | None]:
        return {headers.get("Authorization") for method, _, headers in server.requests if method == "GET"}

    def test_the_forge_itself(self, server: LFSServer, tmp_path: Path) -> None:
        fetch_objects(source(server), pointers(server, {"a": b"a"}), tmp_path)
        assert self.login_sent(server) == {server.authorization}

    def test_the_links_own_headers_come_first(self, server: LFSServer, tmp_path: Path) -> None:
        server.link_headers = {
            "Authorization": "Bearer for-this-link",
            "X-Amz-Key": "1",
            "Bad\r\nName": "x",
            "B": "y\r\nz",
            "C": "\xe9",
            "N\xe4me": "x",
            "Host": "other.example",
            "Content-Length": "5",
        }
        fetch_objects(source(server), pointers(server, {"a": b"a"}), tmp_path)
        headers = server.requests[-1][2]
        assert headers["Authorization"] == "Bearer for-this-link"
        assert headers["X-Amz-Key"] == "1"
        assert {"B", "Bad", "Name", "C", "Content-Length"}.isdisjoint(headers)
        assert headers["Host"] != "other.example"

    def test_another_host_never(self, server: LFSServer, elsewhere: LFSServer, tmp_path: Path) -> None:
        server.elsewhere = elsewhere.base
        wanted = pointers(server, {"a": b"a"})
        elsewhere.objects = server.objects
        server.link_headers = {"X-Link": "signed"}
        fetch_objects(source(server), wanted, tmp_path)
        assert self.login_sent(elsewhere) == {None}
        assert elsewhere.requests[0][2]["X-Link"] == "signed"

    def test_a_redirect_to_another_host_takes_nothing_along(
        self, server: LFSServer, elsewhere: LFSServer, tmp_path: Path
    ) -> None:
        wanted = pointers(server, {"a": b"a"})
        elsewhere.objects = server.objects
        server.link_headers = {"X-Link": "signed"}
        server.faults[wanted["a"].oid] = [f"redirect {elsewhere.base}/objects/{wanted['a'].oid}"]
        fetch_objects(source(server), wanted, tmp_path)
        assert self.login_sent(elsewhere) == {None}
        assert "X-Link" not in elsewhere.requests[0][2]

    def test_a_redirect_in_a_circle_ends(self, server: LFSServer, tmp_path: Path) -> None:
        wanted = pointers(server, {"a": b"a"})
        server.faults[wanted["a"].oid] = [f"redirect /objects/{wanted['a'].oid}"] * 50
        with pytest.raises(UnresolvedPointer, match="redirects"):
            fetch_objects(source(server), wanted, tmp_path)

    def test_another_private_host_is_refused(self, server: LFSServer, tmp_path: Path) -> None:
        wanted = pointers(server, {"a": b"a"})
        port = server.base.rpartition(":")[2]
        server.elsewhere = f"http://localhost:{port}"
        with pytest.raises(UnresolvedPointer, match="not public"):
            fetch_objects(source(server), wanted, tmp_path)
        assert self.login_sent(server) == set()
        fetch_objects(source(server), wanted, tmp_path, allow_private=True)
        assert self.login_sent(server) == {None}

    def test_the_forges_own_host_is_judged_where_a_person_entered_it(self, server: LFSServer, tmp_path: Path) -> None:
        wanted = pointers(server, {"a": b"a"})
        with pytest.raises(AddressRefused, match="not public"):
            fetch_objects(source(server, allow_private_addresses=False), wanted, tmp_path)
        assert server.requests == []

    def test_proxies_of_the_environment_are_not_used(
        self, server: LFSServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("http_proxy", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        assert fetch_objects(source(server), pointers(server, {"a": b"a"}), tmp_path)
