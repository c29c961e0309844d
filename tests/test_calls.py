"""HTTP calls to addresses that people enter: judged, bounded in time and size, silent about tokens."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ftp_deploy.calls import call
from ftp_deploy.exceptions import CallFailed
from ftp_deploy.transports.addresses import Address, resolve
from tests.servers.http import Site, http_site


@pytest.fixture
def site() -> Iterator[Site]:
    with http_site() as found:
        yield found


def test_a_call_sends_and_brings_back(site: Site) -> None:
    site.answer = lambda asked: (201, {}, asked.body[::-1])
    answer = call("POST", f"{site.url}/a/b?c=d", headers={"X-One": "1"}, body=b"abc")
    assert (answer.status, answer.ok, answer.body) == (201, True, b"cba")
    assert (site.asked[0].path, site.asked[0].headers["x-one"]) == ("/a/b?c=d", "1")


def test_a_get_follows_redirects_and_a_post_does_not(site: Site) -> None:
    site.answer = lambda asked: (200, {}, b"") if asked.path == "/end" else (302, {"Location": "/end"}, b"")
    assert call("GET", f"{site.url}/start").status == 200
    assert call("POST", f"{site.url}/start", body=b"").status == 302
    site.answer = lambda asked: (302, {"Location": "/again"}, b"")
    with pytest.raises(CallFailed, match="circle"):
        call("GET", site.url)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "localhost"]
)
def test_addresses_inside_are_refused(host: str, settings: Any) -> None:
    settings.FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES = False
    with pytest.raises(CallFailed, match="not a public address") as caught:
        call("GET", f"http://{host}/")
    assert not caught.value.transient


def test_a_redirect_to_the_inside_is_refused(site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first host counts as public here; where it sends us is judged again."""
    port = int(site.url.rpartition(":")[2])

    def judged(host: str, port: int, *, allow_private: bool) -> tuple[Address, ...]:
        public = host == "public.example"
        return resolve("127.0.0.1" if public else host, port, allow_private=allow_private or public)

    settings.FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES = False
    monkeypatch.setattr("ftp_deploy.calls.resolve", judged)
    site.answer = lambda _: (302, {"Location": f"http://127.0.0.1:{port}/secret-token"}, b"")
    with pytest.raises(CallFailed, match="not a public address") as caught:
        call("GET", f"http://public.example:{port}/")
    assert not caught.value.transient
    assert "secret-token" not in str(caught.value)
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    "url", ["", "ftp://a/b", "file:///etc/passwd", "http://", "https://a:99999/", "//x", "http://[::1"]
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(CallFailed) as caught:
        call("GET", url)
    assert not caught.value.transient


def test_a_silent_and_a_dripping_server_are_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            line, _ = server.accept()
            with line:
                line.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.05):
                    try:
                        line.sendall(b"X: y\r\n")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        with pytest.raises(CallFailed):
            call("GET", f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=0.6)
        stop.set()
        thread.join()
        assert time.monotonic() - began < 5


def test_nobody_there_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(CallFailed, match=r"cannot be reached: .*onnection refused") as caught:
        call("GET", f"http://127.0.0.1:{port}/token")
    assert caught.value.transient
    assert "token" not in str(caught.value)


def test_tls_is_verified(site: Site) -> None:
    with pytest.raises(CallFailed, match="TLS"):
        call("GET", site.url.replace("http:", "https:"))
