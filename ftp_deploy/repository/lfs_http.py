"""The HTTP side of Git LFS: libcurl's multi interface, HTTP/2, the login that stays with its host, safe redirects."""

import base64
import hashlib
import ipaddress
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import urljoin, urlsplit

import certifi
import pycurl

from ftp_deploy.exceptions import AddressRefused, RepositoryUnavailable
from ftp_deploy.repository.base import GitSource
from ftp_deploy.transports.addresses import is_public

DOWNLOADS_AT_A_TIME = 8
"""Streams or connections; over HTTP/2 they share one connection."""
REDIRECTS = 5
TICK_SECONDS = 0.4
USER_AGENT = "git-lfs/3 (django-ftp-deploy)"
MEDIA_TYPE = "application/vnd.git-lfs+json"
HTTP2_STREAM_ERROR = 92
"""CURLE_HTTP2_STREAM, which pycurl has no name for."""
PASSING_CODES = frozenset(
    {
        pycurl.E_COULDNT_RESOLVE_HOST,
        pycurl.E_COULDNT_CONNECT,
        pycurl.E_PARTIAL_FILE,
        pycurl.E_OPERATION_TIMEDOUT,
        pycurl.E_GOT_NOTHING,
        pycurl.E_SEND_ERROR,
        pycurl.E_RECV_ERROR,
        pycurl.E_HTTP2,
        HTTP2_STREAM_ERROR,
        pycurl.E_SSL_CONNECT_ERROR,
    }
)
"""What a further try may mend. All others are for good."""
WORDS = {
    pycurl.E_COULDNT_RESOLVE_HOST: "the host name cannot be resolved",
    pycurl.E_COULDNT_CONNECT: "no connection",
    pycurl.E_PARTIAL_FILE: "the answer ended early",
    pycurl.E_OPERATION_TIMEDOUT: "no answer in time",
    pycurl.E_GOT_NOTHING: "the server hung up",
    pycurl.E_SEND_ERROR: "the connection was lost",
    pycurl.E_RECV_ERROR: "the connection was lost",
    pycurl.E_HTTP2: "the connection was lost",
    HTTP2_STREAM_ERROR: "the connection was lost",
    pycurl.E_SSL_CONNECT_ERROR: "no TLS connection",
    pycurl.E_PEER_FAILED_VERIFICATION: "the TLS certificate is not trusted",
    pycurl.E_UNSUPPORTED_PROTOCOL: "the link is not http or https",
    pycurl.E_URL_MALFORMAT: "the link is not a URL",
    pycurl.E_WRITE_ERROR: "it is larger than announced, or cannot be stored here",
}

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something did not work, and whether it may work later."""

    why: str
    transient: bool


@dataclass(frozen=True, slots=True)
class Link:
    """Where an object can be had, with the headers that the forge wants; ``login``: ours may be sent there."""

    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    login: bool = False


@dataclass(frozen=True, slots=True)
class Download:
    """One object to fetch into ``place``."""

    link: Link
    oid: str
    size: int
    place: Path


def origin_of(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL; empty values for none."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme,
            (parts.hostname or "").lower(),
            parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0),
        )
    except ValueError:
        return "", "", 0


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs lead to the same scheme, host and port."""
    return origin_of(one) == origin_of(other) != ("", "", 0)


def endpoint_of(url: str) -> str:
    """Return the Git LFS endpoint of a repository's URL (``docs/api/server-discovery.md``)."""
    if url.startswith("ssh://"):
        url = f"https://{urlsplit(url).hostname}{urlsplit(url).path}"
    elif "://" not in url:
        host, _, path = url.rpartition("@")[2].partition(":")
        url = f"https://{host}/{path}"
    url = url.rstrip("/")
    return f"{url}/info/lfs" if url.endswith(".git") else f"{url}.git/info/lfs"


class Sink:
    """Takes the body of an answer: hashed, counted, and never more than was announced."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._limit = limit
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int | None:
        """Take some bytes; any other number than theirs stops libcurl."""
        self.size += len(data)
        if self.size > self._limit:
            return -1
        self.digest.update(data)
        try:
            self._file.write(data)
        except OSError:
            return -1
        return None


class Client:
    """A libcurl multi handle for one forge. Use as a context manager."""

    def __init__(self, source: GitSource, *, allow_private: bool) -> None:
        self.source = source
        self.allow_private = allow_private
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, DOWNLOADS_AT_A_TIME)
        self._authorities = self._authority_file()
        self._refused: set[str] = set()
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._multi.close()
        if self._authorities is not None:
            self._authorities.close()

    def _authority_file(self) -> Any:
        """Return the public authorities and the service's own in one file, None where the public ones do."""
        if not self.source.certificate_authority:
            return None
        file = tempfile.NamedTemporaryFile(prefix="ftp-deploy-ca-", suffix=".pem")  # noqa: SIM115
        file.write(Path(certifi.where()).read_bytes() + b"\n" + self.source.certificate_authority.encode())
        file.flush()
        return file

    def post_json(
        self, endpoint: Link, body: bytes, answer: BytesIO, limit: int, tick: Tick, deadline: float
    ) -> "int | Failure":
        """Send a batch request; return the HTTP status, or why there is none."""
        url, media = endpoint.url, (("Accept", MEDIA_TYPE), ("Content-Type", MEDIA_TYPE))
        login = endpoint.login and same_origin(url, self.source.url)
        link = Link(url, (*endpoint.headers, *media), login)
        handle = self._handle(link, Sink(answer, limit))
        handle.setopt(pycurl.POSTFIELDS, body)
        for _, failure in self._perform([(handle, None)], tick, deadline):
            if failure:
                handle.close()
                if origin_of(url)[1] in self._refused:
                    raise AddressRefused(f"Git LFS of {self.source.shown_url} is at an address that is not public.")
                return failure
        status: int = handle.getinfo(pycurl.RESPONSE_CODE)
        handle.close()
        return status

    def download(
        self, downloads: Sequence[Download], tick: Tick, deadline: float
    ) -> Iterator[tuple[Download, Failure | None]]:
        """Fetch objects side by side; give each one back as it ends."""
        waiting = list(downloads)
        while waiting:
            group, waiting = waiting[:DOWNLOADS_AT_A_TIME], waiting[DOWNLOADS_AT_A_TIME:]
            yield from self._download_group(group, tick, deadline)

    def _download_group(
        self, group: Sequence[Download], tick: Tick, deadline: float
    ) -> Iterator[tuple[Download, Failure | None]]:
        redirects = 0
        while group and redirects <= REDIRECTS:
            moved: list[Download] = []
            for download, failure, target in self._download_once(group, tick, deadline):
                if target:
                    moved.append(replace(download, link=self._followed(download.link, target)))
                else:
                    yield download, failure
            group, redirects = moved, redirects + 1
        for download in group:
            yield download, Failure("the forge redirects for ever", transient=False)

    def _download_once(
        self, group: Sequence[Download], tick: Tick, deadline: float
    ) -> "list[tuple[Download, Failure | None, str]]":
        results: list[tuple[Download, Failure | None, str]] = []
        files = [download.place.open("wb") for download in group]
        sinks = [Sink(file, download.size) for file, download in zip(files, group, strict=True)]
        handles = [self._handle(download.link, sink) for download, sink in zip(group, sinks, strict=True)]
        try:
            for number, failure in self._perform([(handle, n) for n, handle in enumerate(handles)], tick, deadline):
                assert number is not None  # noqa: S101
                files[number].flush()
                status = handles[number].getinfo(pycurl.RESPONSE_CODE)
                target = handles[number].getinfo(pycurl.REDIRECT_URL) or ""
                if failure is None and not target:
                    failure = judge(group[number], sinks[number], status)
                if failure and origin_of(group[number].link.url)[1] in self._refused:
                    failure = Failure("its link leads to an address that is not public", transient=False)
                results.append((group[number], failure, target if failure is None else ""))
        finally:
            for handle in handles:
                handle.close()
            for file in files:
                file.close()
        return results

    def _followed(self, link: Link, target: str) -> Link:
        """Return the link to go on with. To another host goes neither our login nor a header of the forge."""
        url = urljoin(link.url, target)
        if same_origin(url, link.url):
            return replace(link, url=url)
        if link.url.startswith("https:") and not url.startswith("https:"):
            return Link("refused:unencrypted")
        return Link(url, login=same_origin(url, self.source.url))

    def _handle(self, link: Link, sink: Sink) -> Any:
        """Return an easy handle with every option set; nothing of the environment is used."""
        handle = pycurl.Curl()
        headers = [f"{name}: {value}" for name, value in link.headers]
        if link.login and self.source.password and not any(n.lower() == "authorization" for n, _ in link.headers):
            login = f"{self.source.username}:{self.source.password}".encode()
            headers.append(f"Authorization: Basic {base64.b64encode(login).decode()}")
        options = {
            pycurl.URL: link.url,
            pycurl.HTTPHEADER: headers,
            pycurl.USERAGENT: USER_AGENT,
            pycurl.NOSIGNAL: 1,
            pycurl.PROTOCOLS: pycurl.PROTO_HTTPS | (pycurl.PROTO_HTTP if link.url.startswith("http:") else 0),
            pycurl.FOLLOWLOCATION: 0,
            pycurl.PROXY: "",
            pycurl.NETRC: pycurl.NETRC_IGNORED,
            pycurl.CAINFO: self._authorities.name if self._authorities else certifi.where(),
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_2TLS,
            pycurl.PIPEWAIT: 1,
            pycurl.CONNECTTIMEOUT_MS: int(self.source.connect_timeout * 1000),
            pycurl.LOW_SPEED_LIMIT: 1,
            pycurl.LOW_SPEED_TIME: max(1, int(self.source.reply_timeout)),
            pycurl.OPENSOCKETFUNCTION: self._socket_opener(link.url),
            pycurl.WRITEFUNCTION: sink.write,
        }
        for option, value in options.items():
            handle.setopt(option, value)
        return handle

    def _socket_opener(self, url: str) -> Callable[[int, Any], Any]:
        """Return the function that libcurl asks for each socket: public addresses, and others where they may be.

        The forge's own host may be a private address where its repository may.
        """
        own = origin_of(url)[1] == origin_of(self.source.url)[1]
        trusted = self.allow_private or (own and self.source.allow_private_addresses)

        def open_socket(purpose: int, address: Any) -> Any:
            family, kind, protocol, place = address
            host = place[0].decode() if isinstance(place[0], bytes) else place[0]
            if not trusted and not _is_public(host):
                self._refused.add(origin_of(url)[1])
                return pycurl.SOCKET_BAD
            made = socket.socket(family, kind, protocol)
            self._sockets.append(made)
            return made

        return open_socket

    def _perform(
        self, handles: "Sequence[tuple[Any, int | None]]", tick: Tick, deadline: float
    ) -> "list[tuple[int | None, Failure | None]]":
        """Run transfers to their ends. Stops with ``tick``'s error, and with ours after the deadline."""
        numbers = {id(handle): number for handle, number in handles}
        ended: list[tuple[int | None, Failure | None]] = []
        for handle, _ in handles:
            self._multi.add_handle(handle)
        try:
            while len(ended) < len(handles):
                self._multi.perform()
                _, fine, failed = self._multi.info_read()
                ended.extend((numbers[id(handle)], None) for handle in fine)
                ended.extend((numbers[id(handle)], failure_of(code, said)) for handle, code, said in failed)
                tick()
                if time.monotonic() > deadline:
                    raise RepositoryUnavailable(f"Git LFS of {self.source.shown_url} takes too long.")
                if len(ended) < len(handles):
                    self._multi.select(TICK_SECONDS)
        finally:
            for handle, _ in handles:
                self._multi.remove_handle(handle)
            while self._sockets:
                # pycurl works on duplicates of the sockets that it was given.
                self._sockets.pop().close()
        return ended


def _is_public(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return is_public(host)


def failure_of(code: int, said: str) -> Failure:
    """Return what a libcurl error means. libcurl's own words may hold the link, a secret: they are left out."""
    return Failure(WORDS.get(code, f"libcurl error {code}"), code in PASSING_CODES)


def judge(download: Download, sink: Sink, status: int) -> Failure | None:
    """Say what is wrong with an answer, None where it is the object."""
    if status != 200:
        # A link may have run out (403, 410): the next round asks for a fresh one.
        return Failure(f"HTTP {status}", transient=status in (403, 408, 410, 429) or status >= 500)
    if sink.size != download.size:
        return Failure(f"it has {sink.size} bytes instead of {download.size}", transient=True)
    if sink.digest.hexdigest() != download.oid:
        return Failure("its content does not match its SHA-256", transient=True)
    return None


OUR_OWN = frozenset({"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect"})
"""Header fields that say where a request goes and where it ends: no forge sets them."""


def is_address(url: str) -> bool:
    """Whether a text can be an address at all: libcurl takes ASCII, and would send what is in it as it stands."""
    return url.isascii() and url.isprintable() and " " not in url


def clean_headers(headers: Mapping[Any, Any]) -> tuple[tuple[str, str], ...]:
    """Take over the headers that the forge wants to see again; one with a line end could smuggle in others."""
    pairs: Iterable[tuple[str, str]] = ((str(name), str(value)) for name, value in headers.items())
    return tuple(
        (name, value)
        for name, value in pairs
        if re.fullmatch(r"[\w-]+", name, re.ASCII)
        and name.lower() not in OUR_OWN
        and value.isascii()
        and value.isprintable()
    )
