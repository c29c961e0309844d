"""Files changed by hand: found by size, by content, by the server's hash; overwritten, stopped at, or kept."""

import hashlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ftp_deploy.deploys import drift, queue, verify
from ftp_deploy.deploys.blobs import POINTER, blob_id, is_blob
from ftp_deploy.deploys.contents import Contents
from ftp_deploy.deploys.drift import keep_copies, kept_path
from ftp_deploy.deploys.manifest import Entry
from ftp_deploy.deploys.recorder import Recorder
from ftp_deploy.exceptions import RepositoryUnavailable, VerificationFailed
from ftp_deploy.models import Deploy, Service
from ftp_deploy.transports.base import Upload
from ftp_deploy.transports.memory import Memory, StoredFile
from tests.deploys.runs import SITE, State, live, reload, run

pytestmark = pytest.mark.django_db(transaction=True)

Policy = Service.DriftPolicy


class TestContents:
    """Which blob a content is."""

    @pytest.mark.parametrize("kind", ["sha1", "sha256"])
    def test_a_blob_is_known_by_its_content(self, kind: str) -> None:
        entry = Entry(blob_id(b"hello", kind), 0o100644, 5)
        assert is_blob([entry], [b"he", b"llo"])
        assert not is_blob([entry], [b"HELLO"])

    def test_gits_own_id(self) -> None:
        assert blob_id(b"hello\n", "sha1") == "ce013625030ba8dba906f756967f9e9ca394464a"
        assert blob_id(b"", "sha1") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"

    def test_a_git_lfs_object_is_known_by_its_pointer(self) -> None:
        content = b"x" * 3000
        pointer = POINTER.format(oid=hashlib.sha256(content).hexdigest(), size=3000).encode()
        entry = Entry(blob_id(pointer, "sha1"), 0o100644, 3000)
        assert is_blob([entry], [content])
        assert not is_blob([entry], [b"y" * 3000])

    def test_one_of_several_is_enough(self) -> None:
        entries = [Entry(blob_id(content, "sha1"), 0o100644, 3) for content in (b"old", b"new")]
        assert is_blob(entries, [b"new"])
        assert not is_blob(entries, [b"bad"])


class TestNames:
    def test_a_copy_is_hidden_beside_its_file_and_keeps_its_ending(self) -> None:
        assert kept_path("config.php", 7) == ".before-7-config.php"
        assert kept_path("a/b/config.php", 7) == "a/b/.before-7-config.php"
        assert kept_path("a/b/config.php", 7, {"a", "a/b"}) == ".before-7-a-b-config.php"

    def test_a_long_name_stays_a_name(self) -> None:
        name = kept_path("é" * 125 + ".php", 123456).encode()
        assert len(name) <= 255
        assert name.endswith(b".php")


def edit(server: Any, path: str, content: bytes) -> None:
    server.files[f"/www/{path}"] = StoredFile(content)


@pytest.mark.parametrize("content", [b"by hand, longer", b"ONE"], ids=["another size", "the same size"])
class TestPolicies:
    def deploy(self, service: Service, origin: Any, server: Any, policy: str, content: bytes) -> Deploy:
        Service.objects.update(drift_policy=policy)
        origin.push(SITE)
        run(service)
        edit(server, "index.html", content)
        deploy = origin.push({**SITE, "index.html": b"two"})
        run(service)
        return reload(deploy)

    def test_overwrite(self, service, origin, server, content) -> None:
        assert self.deploy(service, origin, server, Policy.OVERWRITE, content).state == State.SUCCEEDED
        assert live(server) == {**SITE, "index.html": b"two"}

    def test_stop(self, service, origin, server, content) -> None:
        deploy = self.deploy(service, origin, server, Policy.STOP, content)
        assert deploy.state == State.FAILED
        assert "index.html" in deploy.error
        assert live(server)["index.html"] == content

    def test_keep_a_copy(self, service, origin, server, content) -> None:
        deploy = self.deploy(service, origin, server, Policy.KEEP_COPY, content)
        assert live(server) == {**SITE, "index.html": b"two", f".before-{deploy.pk}-index.html": content}
        assert "index.html" in deploy.warnings[0]
        # The live file was never away: nothing moved it, and it was replaced by one rename.
        assert server.calls.count(("rename", "index.html")) == 2
        assert ("delete", "index.html") not in server.calls


def test_a_file_that_was_not_touched_stops_nothing(service, origin, server) -> None:
    Service.objects.update(drift_policy=Policy.STOP)
    origin.push(SITE)
    run(service)
    edit(server, "css/site.css", b"by hand")  # this deploy leaves it alone
    deploy = origin.push({**SITE, "index.html": b"two"})
    run(service)
    assert reload(deploy).state == State.SUCCEEDED
    assert live(server)["css/site.css"] == b"by hand"


def test_somebody_elses_file_in_the_place_of_a_new_one_counts_as_changed(service, origin, server) -> None:
    Service.objects.update(drift_policy=Policy.STOP)
    origin.push(SITE)
    run(service)
    edit(server, "shop.html", b"mine")
    deploy = origin.push({**SITE, "shop.html": b"ours"})
    run(service)
    assert reload(deploy).state == State.FAILED
    assert "shop.html" in reload(deploy).error
    edit(server, "shop.html", b"ours")  # the same by chance: nothing is lost
    queue.retry(reload(deploy))
    run(service)
    assert reload(deploy).state in (State.SUCCEEDED, State.RESTORED)


def test_a_changed_file_that_is_to_be_deleted_is_kept(service, origin, server) -> None:
    Service.objects.update(drift_policy=Policy.KEEP_COPY)
    origin.push(SITE)
    run(service)
    edit(server, "old/page.html", b"valuable")
    deploy = origin.push({path: content for path, content in SITE.items() if path != "old/page.html"})
    run(service)
    assert live(server)[f"old/.before-{deploy.pk}-page.html"] == b"valuable"
    assert "old/page.html" not in live(server)


def test_changed_files_in_the_way_of_other_kinds_are_kept_first(service, origin, server) -> None:
    """A file that becomes a directory, and one in a directory that becomes a file."""
    Service.objects.update(drift_policy=Policy.KEEP_COPY)
    origin.push({"x": b"file", "y/b/a": b"1", "z": b"z"})
    run(service)
    edit(server, "x", b"by hand")
    edit(server, "y/b/a", b"by hand too")
    deploy = origin.push({"x/a": b"1", "y": b"file", "z": b"z"})
    run(service)
    assert reload(deploy).state == State.SUCCEEDED, reload(deploy).error
    kept = {f".before-{deploy.pk}-x": b"by hand", f".before-{deploy.pk}-y-b-a": b"by hand too"}
    assert live(server) == {"x/a": b"1", "y": b"file", "z": b"z", **kept}


def test_beyond_the_limit_the_size_has_to_do(service, origin, server, monkeypatch) -> None:
    monkeypatch.setattr(drift, "READ_FILES", 0)
    Service.objects.update(drift_policy=Policy.STOP)
    origin.push(SITE)
    run(service)
    edit(server, "index.html", b"ONE")
    deploy = origin.push({**SITE, "index.html": b"two"})
    run(service)
    assert reload(deploy).state == State.SUCCEEDED
    assert "by their size alone" in reload(deploy).warnings[0]


class TestVerify:
    def test_missing_different_and_unknown(self, service, origin, server) -> None:
        origin.push(SITE)
        run(service)
        assert verify.verify(service).clean
        del server.files["/www/empty"]
        edit(server, "index.html", b"by hand")
        edit(server, "upload.jpg", b"a visitor's")
        report = verify.verify(service)
        assert (report.missing, report.different, report.unknown) == (("empty",), ("index.html",), ("upload.jpg",))
        assert (report.expected, report.compared, report.hashed) == (4, 4, 0)

    def test_files_that_a_listing_hides_are_asked_for(self, service, origin, server, monkeypatch) -> None:
        """vsftpd leaves dot files out of its listings."""
        walk = Memory.walk
        monkeypatch.setattr(Memory, "walk", lambda self: (one for one in walk(self) if not one.path.startswith(".")))
        origin.push({".htaccess": b"deny", "index.html": b"one"})
        run(service)
        assert verify.verify(service).clean
        del server.files["/www/.htaccess"]
        assert verify.verify(service).missing == (".htaccess",)

    def test_the_same_size_is_found_by_the_servers_hash(self, service, origin, server, monkeypatch) -> None:
        monkeypatch.setattr(verify, "fetch_service", origin.fetch)
        origin.push(SITE)
        run(service)
        edit(server, "index.html", b"ONE")
        assert verify.verify(service).clean
        server.hash_kind = "sha256"
        report = verify.verify(service)
        assert report.different == ("index.html",)
        assert report.hashed == 4

    def test_without_the_forge_the_sizes_are_still_compared(self, service, origin, server, monkeypatch) -> None:
        def away(*_arguments: object) -> None:
            raise RepositoryUnavailable("the forge does not answer")

        monkeypatch.setattr(verify, "fetch_service", away)
        origin.push(SITE)
        run(service)
        server.hash_kind = "sha256"
        report = verify.verify(service)
        assert report.clean
        assert report.hashed == 0

    def test_names_that_are_no_text_can_be_shown_and_stored(self, service, origin, server) -> None:
        Service.objects.update(first_deploy=Service.FirstDeploy.ADOPT)
        server.directories.add("/www")
        edit(server, "caf\udce9.jpg", b"latin-1")
        edit(server, "red\x1b[31m", b"escape")
        deploy = origin.push(SITE)
        run(service)
        assert reload(deploy).state == State.SUCCEEDED, reload(deploy).error
        report = verify.verify(service)
        assert report.unknown == ("caf\\xe9.jpg", "red\\x1b[31m")
        assert "2 unknown on the server" in "".join(reload(deploy).log_lines.values_list("text", flat=True))

    def test_it_stops_when_time_is_up(self, service, origin, server) -> None:
        origin.push(SITE)
        run(service)
        report = verify.verify(service, seconds=-1.0)
        assert not report.complete
        assert report.missing == ()


def test_adopting_compares_hashes_where_the_server_has_them(service, origin, server) -> None:
    Service.objects.update(first_deploy=Service.FirstDeploy.ADOPT)
    server.hash_kind = "md5"
    server.directories |= {"/www", "/www/css", "/www/old"}
    for path, content in SITE.items():
        edit(server, path, content)
    edit(server, "index.html", b"ONE")
    deploy = origin.push(SITE)
    run(service)
    uploads = [path for operation, path in server.calls if operation == "upload"]
    assert len(uploads) == 1
    assert live(server) == SITE
    text = "\n".join(reload(deploy).log_lines.values_list("text", flat=True))
    assert "compared by size and md5" in text
    assert "1 different on the server: index.html" in text


def test_pages_and_logs_name_the_file_and_not_its_temporary_name(service, origin, server, monkeypatch) -> None:
    shown: list[str] = []
    advance = Recorder.advance

    def noted(self: Recorder, files: int, sent: int, current: str) -> None:
        shown.append(current)
        advance(self, files, sent, current)

    monkeypatch.setattr(Recorder, "advance", noted)
    origin.push(SITE)
    run(service)
    monkeypatch.setattr(Memory, "_note", refuse_uploads(Memory._note))
    deploy = origin.push({**SITE, "index.html": b"two"})
    run(service)
    assert set(SITE) <= set(shown)
    assert "index.html could not be written" in reload(deploy).error
    texts = [*shown, reload(deploy).error, *reload(deploy).log_lines.values_list("text", flat=True)]
    assert not any(".ftp-deploy-" in text for text in texts)


def refuse_uploads(note: Any) -> Any:
    """Let each upload go to a directory that is not there."""
    return lambda self, operation, path: "/none/x" if operation == "upload" else note(self, operation, path)


def test_adopting_hashes_only_what_is_there(service, origin, server, monkeypatch) -> None:
    """An empty server of a large tree: nothing is read for a comparison that is decided already."""
    Service.objects.update(first_deploy=Service.FirstDeploy.ADOPT)
    server.hash_kind = "sha256"
    server.directories |= {"/www", "/www/css", "/www/old"}
    edit(server, "index.html", SITE["index.html"])
    hashed: list[str] = []
    digest = Contents.digest
    monkeypatch.setattr(Contents, "digest", lambda self, *asked: hashed.append(asked[0]) or digest(self, *asked))
    deploy = origin.push(SITE)
    run(service)
    assert reload(deploy).state == State.SUCCEEDED, reload(deploy).error
    assert hashed == [blob_id(SITE["index.html"], "sha1")]


def test_a_long_list_of_missing_files_is_not_gone_through_for_each_file() -> None:
    class Missing(tuple[str, ...]):
        looks = 0

        def __iter__(self) -> Iterator[str]:
            Missing.looks += 1
            return super().__iter__()

    report = verify.DriftReport(missing=Missing(("a", "b")))
    server: Any = SimpleNamespace(matches=dict.fromkeys)
    compared = verify.compare_hashes(report, dict.fromkeys("abcdef", "00"), server)
    assert compared.hashed == 0
    assert Missing.looks == 1


class Changing:
    """A transport on which a file is gone, grows or shrinks while it is read."""

    def __init__(self, size: int | None, *blocks: bytes) -> None:
        self.size = size
        self.blocks = blocks
        self.uploaded: list[str] = []

    def sizes(self, paths: list[str]) -> dict[str, int | None]:
        return dict.fromkeys(paths, self.size)

    def download(self, path: str) -> Iterator[bytes]:
        yield from self.blocks

    def upload(self, uploads: list[Upload]) -> Iterator[None]:
        for upload in uploads:
            with upload.open() as stream:
                self.uploaded.append(f"{upload.path}: {stream.read().decode()}")
            yield None


def test_a_copy_is_whole_or_there_is_none() -> None:
    told: list[str] = []
    telling = SimpleNamespace(warn=told.append, deploy=SimpleNamespace(pk=7), lease=SimpleNamespace(guard=lambda: None))
    for transport in (Changing(3, b"ab", b"cd", b"ef"), Changing(30, b"ab")):
        with pytest.raises(VerificationFailed, match=r"page\.html was changed on the server"):
            keep_copies(transport, ["page.html"], (), telling)  # type: ignore[arg-type]
        assert transport.uploaded == []
    gone, whole = Changing(None), Changing(4, b"ab", b"cd")
    keep_copies(gone, ["page.html"], (), telling)  # type: ignore[arg-type]
    assert (gone.uploaded, told) == ([], [])
    keep_copies(whole, ["page.html"], (), telling)  # type: ignore[arg-type]
    assert whole.uploaded == [".before-7-page.html: abcd"]
    assert len(told) == 1
