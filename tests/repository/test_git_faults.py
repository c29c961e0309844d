"""What can go wrong with a git server: refusals, garbage, silence, answers without end, and certificates."""

import errno
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from ftp_deploy.deploys.source import may_be_private
from ftp_deploy.exceptions import (
    AddressRefused,
    ConfigurationError,
    ConnectionFailed,
    FTPDeployError,
    IdentityRefused,
    RepositoryError,
    RepositoryLoginRefused,
    RepositoryMissing,
    RepositoryUnavailable,
    WorkerDiskFull,
)
from ftp_deploy.repository import allowance, snapshot
from ftp_deploy.repository.git import GitSource, branch_head, errors_of, fetch
from tests.repository.test_git import contents
from tests.servers.forge import SITE, source_of
from tests.servers.sshd import threaded_git

pytestmark = pytest.mark.integration


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
    listener = tls.wrap_socket(listener, server_side=True) if tls else listener
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
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}", requests
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
    with threaded_git() as server:
        server.answers["git-upload-pack '/x'"] = "000eversion 2\n0014ls-refs=unborn\n\n0000" + "0009xxxxx0000"
        with pytest.raises(RepositoryError, match="not git data"):
            branch_head(server.source("/x"), "main")


def test_the_words_of_a_server_steer_no_terminal():
    words = b"\x1b[2Jgone\nWARNING a line of its own"
    answer = response(200, [GIT], b"%04xERR " % (len(words) + 8) + words)
    with raw_server(answer) as (url, _), pytest.raises(RepositoryError) as caught:
        branch_head(GitSource(f"{url}/x"), "main")
    assert "gone WARNING" in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("kind", ["http", "ssh"])
def test_references_without_end_are_cut_off(kind, monkeypatch):
    monkeypatch.setattr(allowance, "LARGEST_TALK", 10_000)
    line = b"1" * 40 + b" refs/heads/%06d\n"
    body = advertised(b"1" * 40) + b"".join(b"003f" + line % number for number in range(1000)) + b"0000"
    if kind == "http":
        with raw_server(response(200, [GIT], body)) as (url, _), pytest.raises(RepositoryError, match="far too much"):
            branch_head(GitSource(f"{url}/x"), "main")
        return
    with threaded_git() as server:
        server.answers["git-upload-pack '/x'"] = body.removeprefix(b"001e# service=git-upload-pack\n0000").decode()
        with pytest.raises(RepositoryError, match="far too much"):
            branch_head(server.source("/x"), "main")


def test_a_server_that_stalls_does_not_hold_us():
    started = time.monotonic()

    def stall(connection, request):
        with suppress(OSError):
            connection.recv(1)

    with raw_server(stall) as (url, _), pytest.raises(RepositoryUnavailable, match="in time"):
        branch_head(GitSource(f"{url}/x", reply_timeout=1), "main")
    assert time.monotonic() - started < 60


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
    assert time.monotonic() - started < 60


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


def tls_context(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    return context


@pytest.fixture
def tls_forge(start_forge, certificates):
    forge = start_forge(tls=tls_context(certificates))
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


def test_a_redirect_from_https_to_http_is_not_followed(certificates):
    """The login and the code would travel in clear."""
    with raw_server(response(200, [GIT], b"0000")) as (plain, seen):
        redirect = response(302, [f"Location: {plain}/x/info/refs?service=git-upload-pack"])
        with raw_server(redirect, tls=tls_context(certificates)) as (url, _):
            authority = certificates.authority_pem
            source = GitSource(f"{url}/x", username="u", password="very-secret", certificate_authority=authority)
            with pytest.raises(RepositoryError, match="from https to http"):
                branch_head(source, "main")
    assert not any(b"authorization" in request.lower() for request in seen)


def test_a_head_that_the_server_does_not_give_out_is_an_error(forge):
    """The head was asked for by its id, so there is no other commit to try."""
    head = forge["site"].branches()["main"]
    folder = forge["site"].folder
    for place in (folder / "objects").rglob("*"):
        if place.is_file():
            place.unlink()
    with pytest.raises(RepositoryError):
        fetch(source_of(forge), "main", head)


def test_a_full_disk_of_the_worker_is_no_fault_of_the_forge(forge, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(snapshot, "Pack", full)
    with pytest.raises(WorkerDiskFull) as caught:
        fetch(source_of(forge), "main")
    assert caught.value.transient
    assert "FTP_DEPLOY_SPOOL_DIRECTORY" in caught.value.advice


def test_a_line_that_is_lost_over_ssh_is_worth_another_try():
    for error, transient in ((ConnectionFailed("cut"), True), (IdentityRefused("another key"), False)):
        with pytest.raises(FTPDeployError) as caught, errors_of(GitSource("ssh://git@host/x")):
            raise error
        assert caught.value.transient is transient
        assert isinstance(caught.value, RepositoryUnavailable) is transient
