"""Fetching from real git servers: with every feature, of old, and without a git binary.

Over 400 lines: one list of servers and their weaknesses, each a few lines on the same fixtures.
"""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ftp_deploy.deploys.source import may_be_private
from ftp_deploy.exceptions import (
    AddressRefused,
    BranchMissing,
    CommitMissing,
    ConfigurationError,
    RepositoryError,
    RepositoryLoginRefused,
    RepositoryMissing,
    RepositoryUnavailable,
)
from ftp_deploy.repository.git import GitSource, branch_head, fetch
from tests.servers.forge import SITE, source_of
from tests.servers.sshd import ThreadedGit

pytestmark = pytest.mark.integration

FLAVOURS = {
    "partial": {},
    "old": {"partial": False},
    "dulwich": {"partial": False, "use_git": False},
}


@pytest.fixture(params=list(FLAVOURS))
def any_forge(request, start_forge):
    """A forge of each flavour, with the repository ``site``."""
    if request.param != "dulwich" and not shutil.which("git"):
        pytest.skip("install git")
    forge = start_forge(**FLAVOURS[request.param])
    forge.create_repository("site", SITE)
    return forge


def contents(snapshot):
    """Fetch and read everything."""
    snapshot.fetch_blobs(entry.blob_id for entry in snapshot.tree)
    found = {}
    for entry in snapshot.tree:
        with snapshot.open(entry.blob_id) as file:
            found[entry.path.decode()] = file.read()
        assert snapshot.size(entry.blob_id) == len(found[entry.path.decode()])
    return found


def test_the_head_of_a_branch(any_forge):
    head = any_forge["site"].branches()["main"]
    assert branch_head(source_of(any_forge), "main") == head
    any_forge.commit("site", {"x": b"1"}, branch="main-2")
    assert branch_head(source_of(any_forge), "main") == head


def test_a_branch_that_is_not_there(any_forge):
    with pytest.raises(BranchMissing, match="'nowhere'"):
        branch_head(source_of(any_forge), "nowhere")
    with pytest.raises(BranchMissing):
        fetch(source_of(any_forge), "nowhere")


def test_the_head_is_fetched_when_no_commit_is_named(any_forge):
    head = any_forge.commit("site", {"deep/er/x": b"1", "index.html": None}, "Second")
    with fetch(source_of(any_forge), "main") as snapshot:
        assert (snapshot.commit, snapshot.exact) == (head, True)
        expected = {**SITE, "deep/er/x": b"1"}
        del expected["index.html"]
        assert contents(snapshot) == expected


def test_an_older_commit_is_fetched_by_its_id(forge):
    first = forge["site"].branches()["main"]
    forge.commit("site", {"index.html": b"newer"}, "Second")
    with fetch(source_of(forge), "main", first) as snapshot:
        assert (snapshot.commit, snapshot.exact) == (first, True)
        assert contents(snapshot) == SITE


@pytest.mark.parametrize("flavour", ["old", "dulwich"])
def test_a_server_that_refuses_ids_gives_the_head(start_forge, flavour):
    forge = start_forge(**FLAVOURS[flavour])
    first = forge.create_repository("site", SITE)
    second = forge.commit("site", {"index.html": b"newer"}, "Second")
    forge.push("site", "main", first)
    with fetch(source_of(forge), "main", second) as snapshot:
        assert (snapshot.commit, snapshot.exact) == (first, False)
        assert contents(snapshot) == SITE


def test_a_commit_that_vanished_gives_the_head(any_forge):
    head = any_forge["site"].branches()["main"]
    with fetch(source_of(any_forge), "main", "1" * 40) as snapshot:
        assert (snapshot.commit, snapshot.exact) == (head, False)


def test_a_commit_of_a_deleted_branch_is_still_fetched(forge):
    commit = forge.commit("site", {"x": b"1"}, branch="gone")
    forge["site"].move_branch("gone", "")
    with fetch(source_of(forge), "gone", commit) as snapshot:
        assert snapshot.exact


def test_only_the_wanted_blobs_are_fetched(forge):
    with fetch(source_of(forge), "main") as snapshot:
        ids = {entry.path: entry.blob_id for entry in snapshot.tree}
        with pytest.raises(RepositoryError, match="not among what the forge sent"):
            snapshot.open(ids[b"index.html"])
        snapshot.fetch_blobs([ids[b"index.html"], ids[b"index.html"]])
        assert snapshot.read(ids[b"index.html"], 4) == b"<h1>"
        with pytest.raises(RepositoryError):
            snapshot.size(ids[b"css/site.css"])


def test_fetching_again_asks_for_nothing(forge):
    with fetch(source_of(forge), "main") as snapshot:
        contents(snapshot)
        before = len(forge.log)
        contents(snapshot)
        assert len(forge.log) == before


def test_blobs_come_in_batches(forge, monkeypatch):
    monkeypatch.setattr("ftp_deploy.repository.git.BLOBS_PER_REQUEST", 3)
    forge.create_repository("many", {f"f{number}": b"%d" % number for number in range(10)})
    with fetch(source_of(forge, "many"), "main") as snapshot:
        before = len(forge.log)
        assert contents(snapshot)["f7"] == b"7"
        assert len(forge.log) - before == 4


def test_a_server_that_has_lost_a_blob_is_named(forge):
    with fetch(source_of(forge), "main") as snapshot, pytest.raises(CommitMissing, match=r"such as 1{40}"):
        snapshot.fetch_blobs(["1" * 40])


def test_links_can_be_read_at_once(forge):
    forge.commit("site", {"link": (0o120000, b"index.html")})
    with fetch(source_of(forge), "main") as snapshot:
        (link,) = [entry for entry in snapshot.tree if entry.mode == 0o120000]
        assert snapshot.read(link.blob_id, 4096) == b"index.html"


def test_an_empty_repository_and_an_empty_tree(forge):
    forge.create_repository("bare")
    with pytest.raises(BranchMissing):
        fetch(source_of(forge, "bare"), "main")
    forge.create_repository("emptied", {"x": b"1"})
    forge.commit("emptied", {"x": None})
    with fetch(source_of(forge, "emptied"), "main") as snapshot:
        assert snapshot.tree == ()


def test_all_files_are_gone_afterwards(forge, tmp_path):
    with fetch(source_of(forge), "main", folder=str(tmp_path)) as snapshot:
        contents(snapshot)
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    snapshot.close()
    with pytest.raises(RepositoryLoginRefused):
        fetch(source_of(forge, password="wrong"), "main", folder=str(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not shutil.which("git"), reason="install git")
def test_a_repository_with_sha256_ids(forge, tmp_path):
    work = tmp_path / "work"
    run = {"check": True, "capture_output": True, "cwd": work}
    work.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main", "--object-format=sha256"], **run)
    (work / "a").write_bytes(b"content")
    subprocess.run(["git", "add", "a"], **run)
    name = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *name, "commit", "-qm", "One"], **run)
    forge.import_repository("long-ids", work)
    with fetch(source_of(forge, "long-ids"), "main") as snapshot:
        assert len(snapshot.commit) == 64
        assert contents(snapshot) == {"a": b"content"}


# --- large and many ---


def test_large_files_and_deltas_between_them(forge):
    """Two large files that differ a little become a delta; neither is read whole into memory."""
    noise = os.urandom(3_000_000)
    files = {"one": noise, "two": noise[:1_000_000] + b"changed" + noise[1_000_000:], "small": noise[:2000]}
    forge.create_repository("large", files)
    if shutil.which("git"):
        folder = str(forge["large"].folder)
        subprocess.run(["git", "-C", folder, "-c", "safe.directory=*", "repack", "-adfq"], check=True)
    with fetch(source_of(forge, "large"), "main") as snapshot:
        assert contents(snapshot) == files


GROWTH = """\
import sys
from ftp_deploy.repository.git import GitSource, fetch

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

source = GitSource(sys.argv[1], username="webmaster", password=sys.argv[2])
before, total = peak(), 0
with fetch(source, "main") as snapshot:
    snapshot.fetch_blobs(entry.blob_id for entry in snapshot.tree)
    for entry in snapshot.tree:
        with snapshot.open(entry.blob_id) as file:
            while data := file.read(1 << 20):
                total += len(data)
print(total, (peak() - before) // 1024)
"""


def growth(forge, name):
    """Return how many bytes a process of its own read from a repository, and by how many MB its memory grew."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("needs the /proc of Linux")
    command = [sys.executable, "-c", GROWTH, forge.clone_url(name), forge.token]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, check=True, timeout=300, env=environment)
    total, megabytes = map(int, done.stdout.split())
    return total, megabytes


@pytest.mark.slow
def test_a_large_file_takes_little_memory(forge):
    size = 64 * 1024 * 1024
    forge.create_repository("large", {"large.bin": os.urandom(1024 * 1024) * 64})
    total, megabytes = growth(forge, "large")
    assert total == size
    assert megabytes < 20


@pytest.mark.slow
def test_thousands_of_files_take_little_memory(forge):
    files = {f"d{number % 50}/e{number % 7}/f{number}": b"content %d\n" % number * 40 for number in range(5000)}
    forge.create_repository("many", files)
    total, megabytes = growth(forge, "many")
    assert total == sum(map(len, files.values()))
    assert megabytes < 40


def test_blobs_can_be_read_from_many_threads(forge):
    files = {f"f{number}": os.urandom(number * 37) for number in range(200)}
    forge.create_repository("many", files)
    with fetch(source_of(forge, "many"), "main") as snapshot:
        snapshot.fetch_blobs(entry.blob_id for entry in snapshot.tree)

        def check(entry):
            with snapshot.open(entry.blob_id) as file:
                return file.read() == files[entry.path.decode()]

        with ThreadPoolExecutor(16) as threads:
            assert all(threads.map(check, snapshot.tree * 10))


def test_a_commit_with_too_many_files_is_refused(forge):
    with pytest.raises(RepositoryError, match="more than 2 files"):
        fetch(source_of(forge, max_files=2), "main")


def test_a_forge_that_sends_too_much_is_cut_off(forge):
    forge.create_repository("big", {"x": os.urandom(100_000)})
    with fetch(source_of(forge, "big", max_bytes=50_000), "main") as snapshot, pytest.raises(RepositoryError) as caught:
        snapshot.fetch_blobs([snapshot.tree[0].blob_id])
    assert "50000 bytes" in caught.value.message


# --- what can go wrong ---


def test_a_wrong_password(any_forge):
    with pytest.raises(RepositoryLoginRefused, match="HTTP 401") as caught:
        branch_head(source_of(any_forge, password="wrong-secret"), "main")
    assert "wrong-secret" not in str(caught.value)
    with pytest.raises(RepositoryLoginRefused):
        branch_head(source_of(any_forge, password=""), "main")


def test_a_repository_that_is_not_there(any_forge):
    with pytest.raises(RepositoryMissing, match="HTTP 404"):
        branch_head(source_of(any_forge, url=any_forge.clone_url("site").replace("site", "other")), "main")


def test_a_renamed_repository_is_followed(forge):
    source = source_of(forge)
    forge.rename("site", "renamed")
    with fetch(source, "main") as snapshot:
        assert contents(snapshot) == SITE


def test_nobody_there():
    with pytest.raises(RepositoryUnavailable, match="No connection"):
        branch_head(GitSource("http://127.0.0.1:1/x"), "main")
    with pytest.raises(RepositoryUnavailable):
        branch_head(GitSource("http://host.invalid/x", connect_timeout=5), "main")


@contextmanager
def raw_server(answer, tls=None):
    """Answer each connection with bytes, or with what a function of (socket, request) does."""
    listener = socket.create_server(("127.0.0.1", 0))
    requests = []
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(20)
                request = b""
                while b"\r\n\r\n" not in request and (data := connection.recv(65536)):
                    request += data
                requests.append(request)
                if callable(answer):
                    answer(connection, request)
                else:
                    connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
    finally:
        stop.set()
        with socket.socket() as knock:
            knock.connect_ex(listener.getsockname())
        thread.join(20)
        listener.close()


def response(status, headers=(), body=b""):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


GIT = "Content-Type: application/x-git-upload-pack-advertisement"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, RepositoryLoginRefused),
        (403, RepositoryLoginRefused),
        (404, RepositoryMissing),
        (410, RepositoryMissing),
        (429, RepositoryUnavailable),
        (500, RepositoryUnavailable),
        (503, RepositoryUnavailable),
        (418, RepositoryError),
    ],
)
def test_statuses(status, error):
    with raw_server(response(status)) as (url, _), pytest.raises(error, match=str(status)):
        branch_head(GitSource(f"{url}/x"), "main")


def test_a_login_page_is_not_git():
    page = response(200, ["Content-Type: text/html"], b"<form>")
    with raw_server(page) as (url, _), pytest.raises(RepositoryError, match="text/html instead of git data"):
        branch_head(GitSource(f"{url}/x"), "main")


@pytest.mark.parametrize(
    "body",
    [b"", b"0000", b"zzzz", b"ffff", b"001e# service=git-upload-pack\n", b"001e# service=git-upload-pack\n0000",
     b"000eversion 2\n0000", b"0009ERR x", b"\x00" * 100, b"0004", b"0003", b"fff0" + b"x" * 10,
     b"001e# service=git-upload-pack\n0000003f" + b"1" * 40 + b" refs/heads/main\0 x\n0000"],
)  # fmt: skip
def test_garbage_is_an_error_of_ours(body):
    with raw_server(response(200, [GIT], body)) as (url, _), pytest.raises(RepositoryError):
        fetch(GitSource(f"{url}/x"), "main")


def test_the_words_of_the_server_are_passed_on():
    answer = response(200, [GIT], b"001bERR access denied today")
    with raw_server(answer) as (url, _), pytest.raises(RepositoryError, match="access denied today"):
        branch_head(GitSource(f"{url}/x"), "main")


def advertised(head: bytes) -> bytes:
    first = head + b" refs/heads/main\0 x\n"
    return b"001e# service=git-upload-pack\n0000%04x" % (len(first) + 4) + first


@pytest.mark.parametrize("head", [b"../../../passwd", b"1" * 39, b"1" * 4000, "é".encode() * 20])
def test_a_head_that_is_no_commits_id_is_refused(head):
    with raw_server(response(200, [GIT], advertised(head) + b"0000")) as (url, _), pytest.raises(RepositoryError):
        branch_head(GitSource(f"{url}/x"), "main")


def test_a_list_of_references_that_is_none_is_an_error_of_ours():
    server = ThreadedGit()
    try:
        server.answers["git-upload-pack '/x'"] = "000eversion 2\n0014ls-refs=unborn\n\n0000" + "0009xxxxx0000"
        source = GitSource(
            f"ssh://{server.username}@127.0.0.1:{server.port}/x",
            password=server.password,
            fingerprint=server.host_key.get_fingerprint(),
        )
        with pytest.raises(RepositoryError, match="not git data"):
            branch_head(source, "main")
    finally:
        server.stop()


def test_the_words_of_a_server_steer_no_terminal():
    words = b"\x1b[2Jgone\nWARNING a line of its own"
    answer = response(200, [GIT], b"%04xERR " % (len(words) + 8) + words)
    with raw_server(answer) as (url, _), pytest.raises(RepositoryError) as caught:
        branch_head(GitSource(f"{url}/x"), "main")
    assert "gone WARNING" in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("kind", ["http", "ssh"])
def test_references_without_end_are_cut_off(kind, monkeypatch):
    monkeypatch.setattr(f"ftp_deploy.repository.git_{kind}.LARGEST_TALK", 10_000)
    line = b"1" * 40 + b" refs/heads/%06d\n"
    body = advertised(b"1" * 40) + b"".join(b"003f" + line % number for number in range(1000)) + b"0000"
    if kind == "http":
        with raw_server(response(200, [GIT], body)) as (url, _), pytest.raises(RepositoryError, match="far too much"):
            branch_head(GitSource(f"{url}/x"), "main")
        return
    server = ThreadedGit()
    try:
        server.answers["git-upload-pack '/x'"] = body.removeprefix(b"001e# service=git-upload-pack\n0000").decode()
        source = GitSource(
            f"ssh://{server.username}@127.0.0.1:{server.port}/x",
            password=server.password,
            fingerprint=server.host_key.get_fingerprint(),
        )
        with pytest.raises(RepositoryError, match="far too much"):
            branch_head(source, "main")
    finally:
        server.stop()


def test_a_server_that_stalls_does_not_hold_us():
    started = time.monotonic()

    def stall(connection, request):
        with suppress(OSError):
            connection.recv(1)

    with raw_server(stall) as (url, _), pytest.raises(RepositoryUnavailable, match="in time"):
        branch_head(GitSource(f"{url}/x", reply_timeout=1), "main")
    assert time.monotonic() - started < 15


def test_a_server_that_stalls_in_the_middle_does_not_hold_us():
    def stall(connection, request):
        connection.sendall(response(200, [GIT], b"001e# service=git-upload-pack\n0000" + b"x" * 1000)[:-1000])
        with suppress(OSError):
            connection.recv(1)

    with raw_server(stall) as (url, _), pytest.raises(RepositoryUnavailable):
        branch_head(GitSource(f"{url}/x", reply_timeout=1), "main")


def test_a_server_that_drips_does_not_hold_us():
    started = time.monotonic()

    def drip(connection, request):
        connection.sendall(b"HTTP/1.1 200 X\r\n" + GIT.encode() + b"\r\n\r\n001e# service=git-upload-pack\n0000ffff")
        try:
            while True:
                connection.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            return

    with raw_server(drip) as (url, _), pytest.raises(RepositoryUnavailable):
        branch_head(GitSource(f"{url}/x", reply_timeout=5, total_timeout=1.5), "main")
    assert time.monotonic() - started < 15


def test_a_connection_that_breaks_is_worth_another_try():
    cut = response(200, [GIT], b"001e# service=git-upload-pack\n0000" + b"x" * 100)[:-99]
    with raw_server(cut) as (url, _), pytest.raises(RepositoryUnavailable):
        branch_head(GitSource(f"{url}/x"), "main")


def test_a_redirect_to_another_host_gets_no_login(forge):
    with raw_server(response(404)) as (other, seen):
        redirect = response(302, [f"Location: {other}/x/info/refs?service=git-upload-pack"])
        with raw_server(redirect) as (url, first), pytest.raises(RepositoryMissing):
            branch_head(GitSource(f"{url}/x", username="u", password="very-secret"), "main")
    assert b"authorization" in first[0].lower()
    assert seen
    assert b"authorization" not in seen[0].lower()


def test_a_redirect_without_end_is_an_error():
    def again(connection, request):
        connection.sendall(response(302, ["Location: /x/info/refs?service=git-upload-pack"]))

    with raw_server(again) as (url, requests), pytest.raises(RepositoryError, match="redirects"):
        branch_head(GitSource(f"{url}/x"), "main")
    assert len(requests) < 6


def test_a_login_in_the_url_is_used_and_not_shown(forge):
    url = forge.clone_url("site").replace("://", f"://webmaster:{forge.token}@")
    assert branch_head(GitSource(url), "main") == forge["site"].branches()["main"]
    with pytest.raises(RepositoryLoginRefused) as caught:
        branch_head(GitSource(url.replace(forge.token, "not-to-be-seen")), "main")
    assert "not-to-be-seen" not in str(caught.value)


# --- TLS ---


@pytest.fixture
def tls_forge(start_forge, certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    forge = start_forge(tls=context)
    forge.create_repository("site", SITE)
    return forge


def test_an_unknown_certificate_is_refused(tls_forge):
    with pytest.raises(RepositoryError, match="certificate") as caught:
        branch_head(source_of(tls_forge), "main")
    assert not caught.value.transient


def test_a_private_authority_can_be_given(tls_forge, certificates):
    source = source_of(tls_forge, certificate_authority=certificates.authority_pem)
    with fetch(source, "main") as snapshot:
        assert contents(snapshot) == SITE


def test_an_authority_that_is_no_pem(tls_forge):
    with pytest.raises(ConfigurationError, match="PEM"):
        branch_head(source_of(tls_forge, certificate_authority="no certificate"), "main")


def test_a_private_address_is_refused_where_a_person_entered_it(forge):
    refused = GitSource(
        f"{forge.url}/demo/site.git", username=forge.username, password=forge.token, allow_private_addresses=False
    )
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.1"):
        branch_head(refused, "main")


@pytest.mark.parametrize(
    ("provider", "has_account", "allowed"), [("github", False, True), ("github", True, False), ("git", False, False)]
)
def test_who_may_name_a_private_address(settings, provider, has_account, allowed):
    settings.FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES = False
    assert may_be_private(provider, has_account=has_account) is allowed
    settings.FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES = True
    assert may_be_private(provider, has_account=has_account)
