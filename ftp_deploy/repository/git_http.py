"""Git over HTTP: one urllib3 pool with time-outs, TLS from certifi and a login that stays with its host.

The protocol itself is dulwich's; this module gives it its HTTP requests and turns what goes wrong into our errors.
Smart HTTP is described in gitprotocol-http(5), the packets in gitprotocol-v2(5).
"""

import base64
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import certifi
from dulwich.client import AbstractHttpGitClient
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError
from urllib3.util import Retry, Timeout, parse_url

from ftp_deploy.exceptions import (
    ConfigurationError,
    RepositoryError,
    RepositoryLoginRefused,
    RepositoryMissing,
    RepositoryUnavailable,
)
from ftp_deploy.repository.allowance import Allowance
from ftp_deploy.repository.base import GitSource, ServerRefusal
from ftp_deploy.transports.judged_pools import JudgedPools

MAX_REDIRECTS = 3
USER_AGENT = "git/django-ftp-deploy"  # GitHub answers smart HTTP only to agents that begin with "git/"


class HttpGitClient(AbstractHttpGitClient):
    """A dulwich client for one repository. The references are asked for once and kept."""

    def __init__(self, source: GitSource) -> None:
        super().__init__(source.url, quiet=True)
        self.source = source
        self.allowance = Allowance(source)
        self._known: Any = None
        self._response: Any = None
        self._pool = JudgedPools(
            allow_private=source.allow_private_addresses,
            connect_timeout=source.connect_timeout,
            num_pools=4,
            timeout=Timeout(connect=source.connect_timeout, read=source.reply_timeout),
            retries=Retry(connect=1, read=0, redirect=MAX_REDIRECTS, status=0, other=0, raise_on_redirect=True),
            ssl_context=tls_context(source) if source.url.startswith("https:") else None,
        )

    @property
    def capabilities(self) -> set[bytes]:
        """What the server says it can do; empty before the first request."""
        return {name.strip() for name in self._known[1]} if self._known else set()

    def close(self) -> None:
        """Close the connections."""
        self._finish()
        self._pool.clear()

    def _finish(self) -> None:
        """Close the answer to the last request; dulwich leaves some of them open."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def _discover_references(
        self,
        service: bytes,
        base_url: str,
        protocol_version: int | None = None,
        ref_prefix: Sequence[bytes] | None = None,
    ) -> Any:
        if self._known is None:
            self._known = super()._discover_references(service, base_url, protocol_version, ref_prefix)
        return self._known

    def _http_request(
        self,
        url: str,
        headers: dict[str, str] | None = None,
        data: bytes | Iterator[bytes] | None = None,
        raise_for_status: bool = True,
    ) -> Any:
        sent = {"User-Agent": USER_AGENT, "Pragma": "no-cache", **(headers or {})}
        if self.source.password and same_origin(url, self.source.url):
            sent["Authorization"] = basic_login(self.source.username, self.source.password)
        self._finish()
        self.allowance.begin_answer()
        response: Any
        try:
            response = self._pool.request(
                "GET" if data is None else "POST", url, body=data, headers=sent, preload_content=False
            )
        except HTTPError as error:
            raise connection_error(self.source, error) from error
        self._response = response
        return self._checked(response, url)

    def _checked(self, response: Any, url: str) -> Any:
        """Refuse an answer that is not git's, then give dulwich the two attributes it wants of a response."""
        final_url = response.geturl() or url
        if response.status != 200:
            raise status_error(self.source, response.status)
        if urlsplit(url).scheme == "https" and urlsplit(final_url).scheme == "http":
            raise RepositoryError(f"{self.source.shown_url} redirects from https to http, which is not followed.")
        content_type = (response.headers.get("Content-Type") or "").partition(";")[0]
        if not content_type.startswith("application/x-git-"):
            raise RepositoryError(
                f"{self.source.shown_url} answered with {content_type or 'something'} instead of git data.",
                advice="Check the repository's address; a login page in between looks like this, too.",
            )
        response.content_type = content_type
        response.redirect_location = final_url if final_url != url else ""
        return response, self._reader(response)

    def _reader(self, response: Any) -> Callable[[int], bytes]:
        """Return a read function that keeps to the limits and notices an ``ERR`` packet at the start of an answer."""

        def read_some(size: int) -> bytes:
            self.allowance.check_time()
            try:
                data: bytes = response.read1(size)
            except HTTPError as error:
                raise connection_error(self.source, error) from error
            self.allowance.take(len(data))
            return data

        def read_limited(size: int) -> bytes:
            parts = []
            while size > 0 and (data := read_some(size)):
                parts.append(data)
                size -= len(data)
            return parts[0] if len(parts) == 1 else b"".join(parts)

        start = read_limited(4)
        if start[:1].isalnum() and start not in (b"0000", b"0001", b"0002"):
            start += read_limited(4)
        if start[4:] == b"ERR ":
            message = read_limited(max(0, min(int(start[:4], 16) - 8, 4096)))
            raise ServerRefusal(message.decode("utf-8", "replace").strip())
        first = BytesIO(start)
        last = b""

        def read(size: int) -> bytes:
            nonlocal last
            data = first.read(size)
            data = data if len(data) == size else data + read_limited(size - len(data))
            last = data[-4:]
            return data

        def close(hang_up: Callable[[], None] = response.close) -> None:
            # The last packet was read, not yet the end of the HTTP body. With that, the connection can be used again.
            if last == b"0000":
                with suppress(RepositoryError):
                    read_some(1)
            hang_up()

        response.close = close
        return read


def tls_context(source: GitSource) -> ssl.SSLContext:
    """Return a context that trusts certifi's authorities and the source's own; TLS 1.2 or newer."""
    context = ssl.create_default_context(cafile=certifi.where())
    if source.certificate_authority:
        try:
            context.load_verify_locations(cadata=source.certificate_authority)
        except ssl.SSLError as error:
            raise ConfigurationError("The certificate authority of the repository is not PEM text.") from error
    return context


def basic_login(username: str, password: str) -> str:
    """Return the value of an Authorization header (RFC 7617, UTF-8)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def same_origin(one: str, other: str) -> bool:
    """Say whether two URLs have the same scheme, host and port; only then may a login be sent to both."""

    def origin(url: str) -> tuple[str | None, str | None, int | None]:
        parts = parse_url(url)
        return parts.scheme, parts.host, parts.port or {"http": 80, "https": 443}.get(parts.scheme or "")

    return origin(one) == origin(other)


def status_error(source: GitSource, status: int) -> RepositoryError:
    """Return the error for an HTTP status other than 200."""
    where = source.shown_url
    if status in (401, 403):
        return RepositoryLoginRefused(f"{where} refused the login (HTTP {status}).")
    if status in (404, 410):
        return RepositoryMissing(f"There is no repository at {where} (HTTP {status}), or the token may not read it.")
    if status == 429 or status >= 500:
        return RepositoryUnavailable(f"{where} cannot answer now (HTTP {status}).")
    return RepositoryError(f"{where} answered HTTP {status}.")


def connection_error(source: GitSource, error: Exception) -> RepositoryError:
    """Return the error for a request without an answer."""
    cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    where = source.shown_url
    if isinstance(cause, SSLError):
        return RepositoryError(
            f"The TLS certificate of {where} is not trusted: {cause}",
            advice="Check the address, or give the certificate authority of a private forge.",
        )
    if isinstance(cause, Urllib3TimeoutError) and not isinstance(cause, NewConnectionError):
        return RepositoryUnavailable(f"{where} did not answer in time.")
    if isinstance(error, MaxRetryError) and "redirect" in str(cause):
        return RepositoryError(f"{where} redirects more than {MAX_REDIRECTS} times.")
    return RepositoryUnavailable(f"No connection to {where}: {type(cause).__name__}.")
