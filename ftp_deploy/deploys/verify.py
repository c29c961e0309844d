"""Verify: does a server still hold what was put there? The command, the page and the first deploy all ask here."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ftp_deploy.deploys.contents import Contents
from ftp_deploy.deploys.fetch import fetch_service, live_commit
from ftp_deploy.deploys.manifest import Manifest
from ftp_deploy.deploys.paths import shown
from ftp_deploy.deploys.plan import MODIFY, Change
from ftp_deploy.exceptions import PlanError, RepositoryError
from ftp_deploy.models import Service
from ftp_deploy.transports.base import RemoteFile, Transport

BATCH = 500
"""Files between two looks at the clock."""

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class DriftReport:
    """How a server differs from what is expected there."""

    missing: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    expected: int = 0
    """How many files are expected."""
    compared: int = 0
    """How many of them were looked at."""
    hashed: int = 0
    """How many of them the server hashed as well; of all others the size is known alone."""

    @property
    def clean(self) -> bool:
        """Whether everything that we put there is there, unchanged as far as sizes and hashes tell."""
        return not self.missing and not self.different

    @property
    def complete(self) -> bool:
        """Whether every file was looked at."""
        return self.compared == self.expected


def compare(
    expected: Mapping[str, int], transport: Transport, *, seconds: float | None = None, tick: Tick = lambda: None
) -> DriftReport:
    """List the server once and compare sizes in bytes by path. Files that it hides from listings are asked for.

    After ``seconds`` the comparison stops, with what it knows. Raises ``TransportError`` and below.
    """
    ends = time.monotonic() + seconds if seconds is not None else None
    found, whole = _listed(transport.walk(), ends, tick)
    absent = [path for path in expected if path not in found] if whole else []
    for start in range(0, len(absent), BATCH):
        tick()
        batch = absent[start : start + BATCH]
        found.update((path, size) for path, size in transport.sizes(batch).items() if size is not None)
        if ends is not None and time.monotonic() > ends:
            absent, whole = absent[: start + BATCH], whole and start + BATCH >= len(absent)
            break
    missing = [path for path in absent if path not in found]
    return DriftReport(
        missing=tuple(sorted(missing)),
        different=tuple(sorted(path for path, size in expected.items() if found.get(path, size) != size)),
        unknown=tuple(sorted(readable(path) for path in found if path not in expected)),
        expected=len(expected),
        compared=len(expected) if whole else sum(path in found for path in expected) + len(missing),
    )


def readable(path: str) -> str:
    """Return a name that a server lists fit for a log, a terminal and a database, whatever bytes it holds."""
    return shown(path.encode("utf-8", "surrogateescape"))


def _listed(entries: Iterable[RemoteFile], ends: float | None, tick: Tick) -> tuple[dict[str, int], bool]:
    """Return the listed sizes, and whether the listing came to its end in time."""
    found: dict[str, int] = {}
    for number, entry in enumerate(entries):
        if not entry.is_directory:
            found[entry.path] = entry.size
        if number % BATCH == 0:
            tick()
            if ends is not None and time.monotonic() > ends:
                return found, False
    return found, True


def compare_hashes(
    report: DriftReport, digests: Mapping[str, str], transport: Transport, tick: Tick = lambda: None
) -> DriftReport:
    """Let the server hash those files that are there with the right size; ``digests`` are ours."""
    known = {*report.missing, *report.different}
    doubtful = [path for path in digests if digests[path] and path not in known]
    answers: dict[str, bool | None] = {}
    for start in range(0, len(doubtful), BATCH):
        tick()
        answers.update(transport.matches({path: digests[path] for path in doubtful[start : start + BATCH]}))
    changed = [path for path, same in answers.items() if same is False]
    return replace(
        report,
        different=tuple(sorted({*report.different, *changed})),
        hashed=sum(same is not None for same in answers.values()),
    )


def verify(service: Service, *, seconds: float | None = None) -> DriftReport:
    """Compare a server with the manifest. Raises ``TransportError`` and below.

    Where the server can hash files, and nobody waits (no ``seconds``), contents are fetched from the forge and
    compared as well.
    """
    manifest = service.manifest
    with service.transport() as transport:
        report = compare({path: entry.size for path, entry in manifest.items()}, transport, seconds=seconds)
        if seconds is None and transport.hash_kind and manifest:
            digests = deployed_digests(service, manifest, transport.hash_kind)
            report = compare_hashes(report, digests, transport)
    return report


def deployed_digests(service: Service, manifest: Manifest, kind: str) -> dict[str, str]:
    """Return the hash of each deployed content by path, as far as the forge still gives out the live commit."""
    commit = live_commit(service.pk)
    if not commit:
        return {}
    try:
        with fetch_service(service, commit) as snapshot:
            held = {entry.blob_id for entry in snapshot.tree}
            wanted = [
                Change(path, MODIFY, entry.blob_id, entry.mode)
                for path, entry in manifest.items()
                if entry.blob_id in held
            ]
            contents = Contents(snapshot)
            contents.prepare(wanted, _nobody_waits)
            return {change.path: contents.digest(change.blob_id, kind) for change in wanted}
    except (RepositoryError, PlanError):
        return {}


def _nobody_waits() -> None:
    """A guard that lets everything pass: no lease is held here."""
