"""HTTP calls to the forges' APIs; the only module that knows ``requests``.

One ``Client`` is one base address with one way to log in. It never sends the credentials to another host, waits a
bounded time, reads a bounded body, tries idempotent calls again, and turns every failure into an ``ApiError`` in
plain words.
"""

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from ftp_deploy.exceptions import AddressRefused, ApiError, ConfigurationError
from ftp_deploy.providers.cache import Remembered, conditional_answers
from ftp_deploy.providers.refusals import Refusal, error_of, wait_of
from ftp_deploy.transports.judged_pools import JudgedPools

CONNECT_TIMEOUT = 5.0
REPLY_TIMEOUT = 10.0
TOTAL_SECONDS = 30.0
"""How long one call may take with its retries and redirects."""
ATTEMPTS = 3
FIRST_PAUSE = 0.5
LONGEST_WAIT = 5.0
"""A ``Retry-After`` of more seconds is not waited for: the call fails and says when it may work again."""
LARGEST_BODY = 16 * 1024 * 1024
MOST_PAGES = 200
MOST_REDIRECTS = 3
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
REDIRECTS = frozenset({301, 302, 307, 308})

Json = Any
Query = Mapping[str, Any]
NextPage = Callable[["Answer"], str]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of an API: status, header fields (in any case), decoded body, and the address that gave it."""

    status: int
    headers: Mapping[str, str]
    body: Json = field(repr=False, default=None)
    url: str = field(repr=False, default="")
    next_link: str = field(repr=False, default="")
    """Where the ``Link`` header says that the next page is (RFC 8288)."""


class Credentials(AuthBase):
    """Puts header fields on a request, and so keeps ``requests`` from looking for credentials in ``~/.netrc``."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the fields to a request that is being prepared."""
        request.headers.update(self.headers)
        return request


class JudgedAdapter(HTTPAdapter):
    """Connects to permitted addresses only. A proxy from the environment is the administrator's own choice."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Give the adapter its pools; called by ``requests`` itself."""
        self.poolmanager = JudgedPools(
            allow_private=self._allow_private,
            connect_timeout=CONNECT_TIMEOUT,
            num_pools=connections,
            maxsize=maxsize,
            block=block,
            **options,
        )


class Client:
    """Calls to one API.

    ``label`` names the forge in messages. ``credentials`` are header fields that log in, ``headers`` all others.
    ``allow_private`` says whether the API may be at a private, loopback or link-local address.
    """

    def __init__(
        self,
        label: str,
        base_url: str,
        credentials: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        *,
        allow_private: bool = False,
    ) -> None:
        self.label = label
        self.base_url = checked_address(base_url.rstrip("/"))
        for value in credentials.values():
            if not value.isascii() or not value.isprintable():
                raise ConfigurationError(
                    f"The token for {label} holds a character that no token has.",
                    advice="Copy the token again and enter it in the account.",
                )
        self._credentials = Credentials(credentials)
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, JudgedAdapter(allow_private=allow_private))
        self._session.headers.update({"User-Agent": "django-ftp-deploy", "Accept": "application/json"})
        self._session.headers.update(headers or {})

    def __repr__(self) -> str:
        return f"<Client of {self.label} at {self.base_url}>"

    def get(self, path: str, params: Query | None = None) -> dict[str, Any]:
        """Return the object that ``path`` answers; an unchanged one is not sent again (``If-None-Match``)."""
        return self._object(self.call("GET", path, params=params).body)

    def send(self, method: str, path: str, body: Json = None, params: Query | None = None) -> dict[str, Any]:
        """Send a JSON body and return the object of the answer; empty where the answer has no body."""
        answer = self.call(method, path, body=body, params=params).body
        return {} if answer is None else self._object(answer)

    def remove(self, path: str) -> None:
        """Delete what a path names; what is already gone is fine."""
        try:
            self.call("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise

    def items(
        self, path: str, params: Query, *, inside: str = "", next_page: NextPage | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the objects of a list over all its pages.

        ``inside`` is the field of the body that holds the list, empty where the body is the list. ``next_page`` finds
        the next address in an answer; without it the ``Link`` header tells.
        """
        answer = self.call("GET", path, params=params)
        for _ in range(MOST_PAGES):
            listed = self._object(answer.body).get(inside) if inside else answer.body
            if not isinstance(listed, list):
                raise self._strange()
            yield from map(self._object, listed)
            address = next_page(answer) if next_page else answer.next_link
            if not address:
                return
            answer = self.call("GET", urljoin(answer.url, address))

    def _object(self, body: Json) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise self._strange()
        return body

    def _strange(self) -> ApiError:
        return ApiError(
            f"{self.label} answered something else than its API describes.",
            advice="Check the address of the account: it may point at a page instead of the API.",
        )

    def call(self, method: str, path: str, *, body: Json = None, params: Query | None = None) -> Answer:
        """Make one call, with retries and redirects. Raises ``ApiError`` for every answer but 2xx."""
        whole = path.startswith(("http://", "https://"))
        url = self._own(path) if whole else f"{self.base_url}/{path.lstrip('/')}"
        deadline = time.monotonic() + TOTAL_SECONDS
        attempts = ATTEMPTS if method in IDEMPOTENT else 1
        for attempt in range(1, attempts + 1):
            try:
                return self._follow(method, url, body, params, deadline)
            except Refusal as refusal:
                pause = wait_of(refusal, FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311
                if attempt == attempts or pause > LONGEST_WAIT or time.monotonic() + pause > deadline:
                    raise error_of(refusal, self.label) from refusal.__cause__
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _follow(self, method: str, url: str, body: Json, params: Query | None, deadline: float) -> Answer:
        """Follow redirects inside this forge: a renamed repository answers with one."""
        for _ in range(MOST_REDIRECTS):
            answer = self._once(method, url, body, params, deadline)
            if answer.status not in REDIRECTS:
                return answer
            if answer.status in {301, 302} and method not in {"GET", "HEAD"}:
                raise ApiError(
                    f"{self.label} says that the repository was moved or renamed.",
                    status=answer.status,
                    advice="Enter the repository's new name in the service.",
                )
            url, params = self._own(urljoin(url, answer.headers.get("Location", ""))), None
        raise ApiError(f"{self.label} redirects in a circle.", status=answer.status)

    def _own(self, url: str) -> str:
        """Return ``url`` where it is on this forge; the credentials go nowhere else."""
        here, there = urlsplit(self.base_url), urlsplit(url)
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            raise ApiError(
                f"{self.label} sends us to another host ({there.scheme}://{there.hostname}).",
                advice="Check the address of the account.",
            )
        return url

    def _once(self, method: str, url: str, body: Json, params: Query | None, deadline: float) -> Answer:
        """Send one request and read its answer. Raises ``Refusal`` for what may be tried again, else ``ApiError``."""
        request = requests.Request(method, url, params=params, json=body, auth=self._credentials)
        prepared = self._session.prepare_request(request)
        remembered = conditional_answers.look_up(prepared) if method == "GET" else None
        if remembered:
            prepared.headers["If-None-Match"] = remembered.etag
        settings = self._session.merge_environment_settings(prepared.url, {}, True, None, None)
        try:
            with self._session.send(
                prepared, timeout=(CONNECT_TIMEOUT, REPLY_TIMEOUT), allow_redirects=False, **settings
            ) as response:
                text = self._read(response, deadline)
        except AddressRefused as error:
            raise ApiError(f"{self.label}: {error.message}", advice=error.advice) from None
        except (requests.RequestException, UnicodeError) as error:
            # The text of a requests error may hold the address; unreachable() says only what went wrong.
            raise unreachable(error, prepared.url or "") from None
        if remembered and response.status_code == 304:
            return Answer(200, response.headers, json.loads(remembered.text), prepared.url or "", remembered.next_link)
        return self._answer(prepared, response, text)

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        """Read a body of bounded size in bounded time."""
        blocks, size = [], 0
        for block in response.iter_content(65536):
            size += len(block)
            if size > LARGEST_BODY:
                raise ApiError(f"{self.label} sent an answer of more than {LARGEST_BODY} bytes.")
            if time.monotonic() > deadline:
                raise ApiError(f"{self.label} took too long to answer.", transient=True)
            blocks.append(block)
        return b"".join(blocks)

    def _answer(self, request: requests.PreparedRequest, response: requests.Response, text: bytes) -> Answer:
        """Turn a complete response into an answer, or raise what it means."""
        status, url = response.status_code, request.url or ""
        if status in REDIRECTS:
            return Answer(status, response.headers, None, url)
        if not 200 <= status < 300:
            raise Refusal(status, response.headers, text, url)
        if status == 204 or not text:
            return Answer(status, response.headers, None, url)
        try:
            body = json.loads(text.decode())
        except (ValueError, RecursionError):
            raise self._strange() from None
        next_link = response.links.get("next", {}).get("url", "")
        if request.method == "GET" and (etag := response.headers.get("ETag")):
            conditional_answers.remember(request, Remembered(etag, text, next_link))
        return Answer(status, response.headers, body, url, next_link)


def checked_address(url: str) -> str:
    """Return the address of an API. Raises ``ConfigurationError`` where it is none."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError(
            "The account's address is not a web address.", advice="Enter it as https://git.example.com."
        )
    return url


def unreachable(error: Exception, url: str) -> Refusal:
    """Say why there was no answer."""
    host = urlsplit(url).hostname or "the server"
    reasons: list[tuple[type[Exception], str]] = [
        (requests.exceptions.SSLError, f"the TLS certificate of {host} is not valid"),
        (requests.exceptions.ProxyError, "the proxy refused the connection"),
        (requests.exceptions.ConnectTimeout, f"{host} did not accept a connection in time"),
        (requests.exceptions.Timeout, f"{host} did not answer in time"),
        (requests.exceptions.ConnectionError, f"no connection to {host}"),
    ]
    reason = next((words for kind, words in reasons if isinstance(error, kind)), f"the answer of {host} was cut")
    return Refusal(None, reason=reason, url=url)
