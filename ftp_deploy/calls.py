"""HTTP calls to addresses that people enter: webhooks, cache purges, health checks.

The host is resolved once, each of its addresses is judged, and the connection goes to exactly the address that was
judged: a name that changes its mind in between gains nothing. Redirects are judged again. Time and size are bounded.
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import SplitResult, urljoin, urlsplit

import certifi

from ftp_deploy.conf import conf
from ftp_deploy.exceptions import AddressRefused, CallFailed, ConnectionFailed
from ftp_deploy.transports.addresses import open_socket, resolve

MOST_BYTES = 64 * 1024
"""Of an answer that much is read; the rest is not looked at."""
MOST_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, the beginning of the body, and how long it took in seconds."""

    status: int
    body: bytes = field(repr=False)
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300


def call(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout: float | None = None,
) -> Answer:
    """Make one HTTP call; a GET follows redirects.

    ``timeout`` is for the whole call, in seconds; default: ``FTP_DEPLOY_CALL_TIMEOUT``. Raises ``CallFailed``, whose
    message names the host and never the rest of the address, which may hold a token.
    """
    started = time.monotonic()
    deadline = started + (conf.CALL_TIMEOUT if timeout is None else timeout)
    for _ in range(MOST_REDIRECTS + 1):
        parts = _parse(url)
        status, location, text = _exchange(method, parts, dict(headers or {}), body, deadline)
        if method != "GET" or status not in REDIRECTS or not location:
            return Answer(status, text, time.monotonic() - started)
        url = urljoin(url, location)
    raise CallFailed(f"{parts.hostname} redirects in a circle.", transient=False)


def _parse(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        port_is_readable = parts.port is None or parts.port > 0
    except ValueError:
        raise CallFailed("The address cannot be read.", transient=False) from None
    if parts.scheme not in PORTS or not parts.hostname or not port_is_readable:
        raise CallFailed("The address must begin with https:// or http:// and name a host.", transient=False)
    return parts


def _exchange(
    method: str, parts: SplitResult, headers: dict[str, str], body: bytes | None, deadline: float
) -> tuple[int, str, bytes]:
    connection = _connect(parts, deadline)
    # A server that sends a byte now and then never meets a time-out of its own: at the deadline the line is cut.
    watch = threading.Timer(_left(deadline), partial(_cut, connection.sock))
    watch.daemon = True
    watch.start()
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body, {"User-Agent": "django-ftp-deploy", "Connection": "close", **headers})
        response = connection.getresponse()
        text = response.read(MOST_BYTES)
        _left(deadline)  # A line that was cut looks like an answer that ended.
        return response.status, response.getheader("Location", "") or "", text
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CallFailed(f"{parts.hostname} did not answer: {_words(error)}.") from None
    finally:
        watch.cancel()
        connection.close()


def _cut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _connect(parts: SplitResult, deadline: float) -> http.client.HTTPConnection:
    """Return a connection to a judged address, already made."""
    name, port = str(parts.hostname), parts.port or PORTS[parts.scheme]
    try:
        found = resolve(name, port, allow_private=conf.ALLOW_PRIVATE_ADDRESSES)
        connected = open_socket(found, _left(deadline))
    except AddressRefused as error:
        raise CallFailed(error.message, transient=False, advice=error.advice) from None
    except ConnectionFailed as error:
        raise CallFailed(f"{name} cannot be reached: {error.message}") from None
    except OSError as error:
        raise CallFailed(f"{name} cannot be reached: {_words(error)}.") from None
    connected.settimeout(_left(deadline))
    connection = http.client.HTTPConnection(name, port, timeout=_left(deadline))
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=certifi.where())
        try:
            connected = context.wrap_socket(connected, server_hostname=name)
        except OSError as error:
            connected.close()
            raise CallFailed(f"{name}: the TLS connection failed: {_words(error)}.") from None
    connection.sock = connected
    return connection
