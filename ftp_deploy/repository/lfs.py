"""Git LFS: pointers resolved to their content, downloaded in parallel over HTTP/2 with libcurl.

Pointers: the Git LFS specification, ``docs/spec.md``. Where objects are: ``docs/api/server-discovery.md``,
``docs/api/batch.md`` and ``docs/api/basic-transfers.md`` of Git LFS. Only this room knows pycurl.
"""

import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from ftp_deploy.exceptions import (
    RepositoryError,
    RepositoryLoginRefused,
    RepositoryMissing,
    RepositoryUnavailable,
    UnresolvedPointer,
)
from ftp_deploy.repository.base import GitSource, plain
from ftp_deploy.repository.lfs_http import (
    Client,
    Download,
    Failure,
    Link,
    clean_headers,
    endpoint_of,
    is_address,
    same_origin,
)
from ftp_deploy.repository.lfs_ssh import authenticate, must_be_encrypted

OBJECTS_PER_BATCH = 100
"""Objects in one batch request; GitHub and GitLab take no more."""
ROUNDS = 3
"""How often what failed is asked for again, with fresh links."""
BACK_OFF_SECONDS = 1.0
LARGEST_ANSWER = 8 * 1024 * 1024
NAMES_SHOWN = 5
OID = re.compile(r"[0-9a-f]{64}")
LINE = re.compile(r"([a-z0-9.-]+) ([^\r\n]*)")

Tick = Callable[[], None]
"""Called at least twice a second; raises to stop."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a pointer file says: which object, and how many bytes it has."""

    oid: str
    size: int


def parse_pointer(content: bytes) -> Pointer:
    """Read a pointer file (version 1 of the specification).

    Raises ``UnresolvedPointer`` for one that begins like a pointer and is none.
    """
    values: dict[str, str] = {}
    try:
        for line in content.decode().removesuffix("\n").split("\n"):
            match = LINE.fullmatch(line)
            if match is None or match[1] in values:
                raise ValueError("a line is not a key and a value")
            values[match[1]] = match[2]
        method, _, oid = values["oid"].partition(":")
        size = int(values["size"]) if values["size"].isdecimal() else -1
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise UnresolvedPointer(f"A Git LFS pointer cannot be read: {error}.") from None
    if method != "sha256" or not OID.fullmatch(oid) or not 0 <= size < 2**50:
        raise UnresolvedPointer("A Git LFS pointer names no SHA-256 object with a size.")
    return Pointer(oid, size)


def fetch_objects(
    source: GitSource,
    pointers: Mapping[str, Pointer],
    folder: Path,
    *,
    allow_private: bool = False,
    tick: Tick = lambda: None,
) -> dict[str, Path]:
    """Download the objects of ``pointers`` (by file path) into ``folder``; return the files by object id.

    Each is checked for its size and its SHA-256. ``source`` gives the forge and the login; the login is sent to the
    forge alone, and links to other hosts must be public addresses unless ``allow_private``. Raises
    ``UnresolvedPointer`` by file name for objects that the forge does not have, ``RepositoryError`` and below.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fetch = _Fetch(source.cleaned(), pointers, folder, tick)
    with Client(fetch.source, allow_private=allow_private) as client:
        fetch.run(client)
    return {oid: folder / oid for oid in fetch.sizes}


@dataclass
class _Fetch:
    """One call of ``fetch_objects``."""

    source: GitSource
    pointers: Mapping[str, Pointer]
    folder: Path
    tick: Tick
    sizes: dict[str, int] = field(init=False)
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self.sizes = {pointer.oid: pointer.size for pointer in self.pointers.values()}
        self.deadline = time.monotonic() + self.source.total_timeout
        self._refuse_too_much()

    def run(self, client: Client) -> None:
        """Ask and download, round by round, until nothing is missing."""
        missing = [oid for oid in self.sizes if not self._is_here(oid)]
        failures: dict[str, Failure] = {}
        for number in range(ROUNDS):
            if number:
                self._wait(BACK_OFF_SECONDS * 2**number)
            failures = {}
            for start in range(0, len(missing), OBJECTS_PER_BATCH):
                failures.update(self._round(client, missing[start : start + OBJECTS_PER_BATCH]))
            for_good = {oid: failure for oid, failure in failures.items() if not failure.transient}
            if for_good:
                raise self._unresolved(for_good)
            missing = list(failures)
            if not missing:
                return
        raise RepositoryUnavailable(f"Git LFS: {self._named(failures)}.")

    def _round(self, client: Client, oids: Sequence[str]) -> dict[str, Failure]:
        """Ask for links to these objects and download them; return what failed."""
        answer = self._ask(client, oids)
        if isinstance(answer, Failure):
            return dict.fromkeys(oids, answer)
        links, failures = self._links(answer, oids)
        downloads = [Download(links[oid], oid, self.sizes[oid], self.folder / f"{oid}.part") for oid in links]
        for download, failure in client.download(downloads, self.tick, self.deadline):
            if failure is None:
                download.place.rename(self.folder / download.oid)
            else:
                failures[download.oid] = failure
        return failures

    def _ask(self, client: Client, oids: Sequence[str]) -> "dict[str, Any] | Failure":
        """Send one batch request. Raises where the forge refuses as a whole; a failure may pass."""
        request = {
            "operation": "download",
            "transfers": ["basic"],
            "hash_algo": "sha256",
            "objects": [{"oid": oid, "size": self.sizes[oid]} for oid in oids],
        }
        endpoint = self._endpoint()
        link = replace(endpoint, url=f"{endpoint.url}/objects/batch")
        body = BytesIO()
        status = client.post_json(link, json.dumps(request).encode(), body, LARGEST_ANSWER, self.tick, self.deadline)
        if isinstance(status, Failure):
            return status
        if status == 200:
            return _object_of(body.getvalue())
        return self._refusal(status, _message_of(body.getvalue()))

    def _endpoint(self) -> Link:
        """Return where batch requests go. Over ssh the server is asked each time: what it hands out runs out."""
        if self.source.is_ssh:
            return authenticate(self.source)
        return Link(endpoint_of(self.source.url), login=True)

    def _refusal(self, status: int, said: str) -> Failure:
        """Return the failure that may pass, raise all others."""
        where = f"Git LFS of {self.source.shown_url}"
        said = f": {said}" if said else "."
        if status in (401, 403):
            raise RepositoryLoginRefused(f"{where} refused the login (HTTP {status}){said}")
        if status in (404, 410):
            raise RepositoryMissing(
                f"{where} does not exist (HTTP {status}){said}",
                advice="Check that Git LFS is turned on for the repository and that the token may read it.",
            )
        if status == 509:
            raise RepositoryError(
                f"{where} has used up its bandwidth (HTTP 509){said}", advice="Raise the limit at the forge."
            )
        if status == 429 or status >= 500:
            return Failure(f"HTTP {status}{said}", transient=True)
        raise RepositoryError(f"{where} answered with HTTP {status}{said}")

    def _links(self, answer: dict[str, Any], oids: Sequence[str]) -> tuple[dict[str, Link], dict[str, Failure]]:
        """Read where each object can be had. What the answer does not speak of is missing."""
        if answer.get("transfer", "basic") != "basic":
            raise RepositoryError(f"Git LFS: the forge insists on the transfer {str(answer['transfer'])[:40]!r}.")
        links: dict[str, Link] = {}
        failures = dict.fromkeys(oids, Failure("the forge says nothing about it", transient=False))
        for item in answer.get("objects") or ():
            oid = item.get("oid") if isinstance(item, dict) else None
            if oid not in failures:
                continue
            found = _link_of(item, self.source)
            if isinstance(found, Link):
                links[oid] = found
                del failures[oid]
            else:
                failures[oid] = found
        return links, failures

    def _is_here(self, oid: str) -> bool:
        return (self.folder / oid).exists()

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.tick()
            time.sleep(0.1)

    def _named(self, failures: Mapping[str, Failure]) -> str:
        """Say which files failed, and why the first one did."""
        paths = sorted(path for path, pointer in self.pointers.items() if pointer.oid in failures)
        more = f" and {len(paths) - NAMES_SHOWN} more" if len(paths) > NAMES_SHOWN else ""
        why = failures[self.pointers[paths[0]].oid].why.rstrip(".")
        return f"{', '.join(paths[:NAMES_SHOWN])}{more} could not be fetched: {why}"

    def _unresolved(self, failures: Mapping[str, Failure]) -> UnresolvedPointer:
        return UnresolvedPointer(
            f"Git LFS: {self._named(failures)}.",
            advice="Push the objects with `git lfs push --all`, or exclude the files in the service.",
        )

    def _refuse_too_much(self) -> None:
        total = sum(self.sizes.values())
        free = shutil.disk_usage(self.folder).free
        if total > self.source.max_bytes:
            raise RepositoryError(f"The Git LFS objects have {total} bytes, more than the limit of a deploy.")
        if total > free:
            raise RepositoryError(
                f"The Git LFS objects have {total} bytes, but only {free} are free in {tempfile.gettempdir()}.",
                advice="Free space on the worker, or set FTP_DEPLOY_SPOOL_DIRECTORY.",
            )


def _object_of(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("objects"), list):
        raise RepositoryError("Git LFS: the forge's answer to a batch request is not one.")
    return found


def _message_of(body: bytes) -> str:
    """Return the forge's own words, cut and on one line."""
    try:
        said = json.loads(body).get("message", "")
    except (ValueError, AttributeError, RecursionError):
        said = ""
    return plain(str(said))[:200]


def _link_of(item: dict[str, Any], source: GitSource) -> Link | Failure:
    """Read one object of an answer."""
    error = item.get("error")
    if isinstance(error, dict):
        code = error.get("code")
        said = plain(str(error.get("message", "")))[:200]
        return Failure(f"{said} ({code})", transient=isinstance(code, int) and (code == 429 or code >= 500))
    actions = item.get("actions")
    action = actions.get("download") if isinstance(actions, dict) else None
    if not isinstance(action, dict) or not isinstance(action.get("href"), str):
        return Failure("the forge gives no link to it", transient=False)
    headers = action.get("header") or {}
    if not isinstance(headers, dict):
        return Failure("the forge's link to it cannot be read", transient=False)
    if not is_address(action["href"]):
        return Failure("the forge's link to it is not a URL", transient=False)
    if must_be_encrypted(source) and not action["href"].startswith("https:"):
        return Failure("the forge's link to it is not encrypted", transient=False)
    return Link(action["href"], clean_headers(headers), login=same_origin(action["href"], source.url))
