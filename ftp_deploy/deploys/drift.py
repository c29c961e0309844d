"""Drift: files on the server that somebody changed since we put them there."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ftp_deploy.deploys.journal import Journal
from ftp_deploy.deploys.manifest import Manifest
from ftp_deploy.deploys.recorder import Recorder
from ftp_deploy.exceptions import PlanError
from ftp_deploy.models import Change, Service
from ftp_deploy.models.service import DriftPolicy
from ftp_deploy.transports.base import RemoteFile, Rename, Transport


@dataclass(frozen=True, slots=True)
class DriftReport:
    """How a server differs from its manifest. ``unknown`` are files that no deploy put there."""

    missing: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    expected: int = 0
    """How many files the manifest holds."""
    complete: bool = True
    """Whether the whole server was listed; where it was not, nothing can be said to be missing."""

    @property
    def clean(self) -> bool:
        """Whether everything that we put there is there, unchanged as far as sizes tell."""
        return not self.missing and not self.different


def compare(expected: Mapping[str, int], listed: Iterable[RemoteFile], *, complete: bool = True) -> DriftReport:
    """Compare sizes in bytes by path with a server's listing."""
    found = {entry.path: entry.size for entry in listed if not entry.is_directory}
    return DriftReport(
        missing=tuple(sorted(path for path in expected if path not in found)) if complete else (),
        different=tuple(sorted(path for path, size in expected.items() if found.get(path, size) != size)),
        unknown=tuple(sorted(path for path in found if path not in expected)),
        expected=len(expected),
        complete=complete,
    )


def verify(service: Service, seconds: float = math.inf) -> DriftReport:
    """List the server, ``seconds`` long at most, and compare it with the manifest. Raises ``TransportError``."""
    expected = {path: entry.size for path, entry in service.manifest.items()}
    listed: list[RemoteFile] = []
    with service.transport() as transport:
        complete = _list(transport.walk(), listed, time.monotonic() + seconds)
    return compare(expected, listed, complete=complete)


def _list(walk: Iterator[RemoteFile], listed: list[RemoteFile], ends: float) -> bool:
    """Collect a listing; return False where time was up before its end."""
    for entry in walk:
        listed.append(entry)
        if time.monotonic() > ends:
            return False
    return True


def look(
    recorder: Recorder, service: Service, transport: Transport, manifest: Manifest, journal: Journal
) -> list[Rename]:
    """Apply the service's policy to files that the deploy would overwrite or delete; return the copies to keep.

    Raises ``PlanError`` naming the files where the policy is to stop.
    """
    if service.drift_policy == DriftPolicy.OVERWRITE:
        return []
    touched = [row.path for row in journal.rows if row.action != Change.Action.ADD and row.path in manifest]
    sizes = transport.sizes(touched)
    changed = [path for path in touched if sizes[path] not in (None, manifest[path].size)]
    if changed and service.drift_policy == DriftPolicy.STOP:
        raise PlanError(
            f"Changed by hand on the server: {', '.join(changed[:10])}" + (" ..." if changed[10:] else "."),
            advice="Bring the changes into the repository, or let the service overwrite such files.",
        )
    suffix = f".before-{recorder.deploy.pk}"
    return [Rename(path, path + suffix) for path in changed]


def keep_copies(transport: Transport, copies: list[Rename], recorder: Recorder) -> None:
    """Move hand-edited files aside, just before the switch replaces them."""
    for progress in transport.rename(copies, recorder.lease.must_hold):
        for path in progress.done:
            recorder.warn(f"{path}: kept as it was on the server before this deploy.")
