"""Drift: files on the server that somebody changed since we put them there."""

import tempfile
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from ftp_deploy.conf import conf
from ftp_deploy.deploys.blobs import is_blob
from ftp_deploy.deploys.journal import Journal
from ftp_deploy.deploys.manifest import Entry, Manifest
from ftp_deploy.deploys.recorder import Recorder
from ftp_deploy.exceptions import PlanError, VerificationFailed
from ftp_deploy.models import Change, Service
from ftp_deploy.models.service import DriftPolicy
from ftp_deploy.transports.base import Transport, Upload

READ_FILES = 200
READ_BYTES = 64 * 1024 * 1024
"""Up to so many files, and bytes in all, are read from the server to compare them; of others the size has to do."""
LONGEST_NAME = 255


def look(recorder: Recorder, service: Service, transport: Transport, manifest: Manifest, journal: Journal) -> list[str]:
    """Apply the service's policy to files that the deploy would overwrite or delete; return those to keep a copy of.

    A file is changed where it is neither what the manifest says nor what is to go live, also a file that somebody
    else put where the repository has a new one. Raises ``PlanError`` naming the files where the policy is to stop.
    """
    if service.drift_policy == DriftPolicy.OVERWRITE:
        return []
    fine = {row.path: fine_contents(row, manifest) for row in journal.rows}
    changed = _changed(transport, fine, recorder)
    if changed and service.drift_policy == DriftPolicy.STOP:
        raise PlanError(
            f"Changed by hand on the server: {', '.join(changed[:10])}" + (" ..." if changed[10:] else "."),
            advice="Bring the changes into the repository, or let the service overwrite such files.",
        )
    return changed


def fine_contents(row: Change, manifest: Manifest) -> list[Entry]:
    """Return the contents that a file may have without anybody having changed it by hand."""
    known = [manifest[row.path]] if row.path in manifest else []
    new = [Entry(row.blob_id, row.mode, row.size)] if row.action != Change.Action.DELETE else []
    return [*known, *new]


def _changed(transport: Transport, fine: Mapping[str, list[Entry]], recorder: Recorder) -> list[str]:
    """Return the paths whose content on the server is none of the given ones."""
    sizes = transport.sizes(list(fine))
    there = {path: size for path, size in sizes.items() if size is not None}
    alike = {path: [entry for entry in fine[path] if entry.size == size] for path, size in there.items()}
    changed = [path for path, entries in alike.items() if not entries]
    doubtful = sorted((path for path, entries in alike.items() if entries), key=lambda path: there[path])
    left = READ_BYTES
    for number, path in enumerate(doubtful):
        left -= there[path]
        if number >= READ_FILES or left < 0:
            recorder.warn(f"{len(doubtful) - number} files on the server were compared by their size alone.")
            break
        recorder.lease.guard()
        if not is_blob(alike[path], transport.download(path)):
            changed.append(path)
    return sorted(changed)


def kept_path(path: str, deploy_id: int, leaving: Collection[str] = ()) -> str:
    """Return where the copy of a hand-edited file goes: beside it, hidden, and with its ending.

    With another ending a web server might show the source text of a script. ``leaving`` are directories that will be
    gone: the copy goes beside them.
    """
    folder, slash, name = path.rpartition("/")
    while folder in leaving:
        folder, slash, last = folder.rpartition("/")
        name = f"{last}-{name}"
    prefix = f".before-{deploy_id}-"
    while len((prefix + name).encode()) > LONGEST_NAME:
        name = name[1:]
    return f"{folder}{slash}{prefix}{name}"


def keep_copies(transport: Transport, paths: list[str], leaving: Collection[str], recorder: Recorder) -> None:
    """Put a copy of each hand-edited file beside it. The file itself stays live until the switch replaces it."""
    for path in paths:
        with ExitStack() as stack:
            spool = stack.enter_context(tempfile.NamedTemporaryFile(dir=conf.SPOOL_DIRECTORY or None))
            size = transport.sizes([path])[path]
            if size is None:
                continue
            for block in transport.download(path):
                spool.write(block)
                if spool.tell() > size:
                    break
            spool.flush()
            if spool.tell() != size:
                raise VerificationFailed(f"{path} was changed on the server while it was read.", path=path)
            copy = Upload(kept_path(path, recorder.deploy.pk, leaving), size, _opener(spool.name), name=path)
            for _progress in transport.upload([copy]):
                recorder.lease.guard()
        recorder.warn(f"{path}: kept as it was on the server before this deploy, as {copy.path}.")


def _opener(place: str) -> Callable[[], BinaryIO]:
    return lambda: Path(place).open("rb")
