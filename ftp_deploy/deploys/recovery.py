"""What an earlier run left on the server: settle what is in doubt, keep what is complete, remove the rest."""

from django.db import transaction

from ftp_deploy.deploys.blobs import is_blob
from ftp_deploy.deploys.journal import Leftovers, disown, fold, hold, left_behind, release, stored_manifest
from ftp_deploy.deploys.manifest import Entry, Manifest
from ftp_deploy.deploys.recorder import Recorder
from ftp_deploy.models import Change, Deploy
from ftp_deploy.transports.base import Transport


def recover(transport: Transport, recorder: Recorder) -> Leftovers:
    """Bring the journal of dead runs in line with the server; return the complete uploads that can be used again.

    Only we ever touch our temporary names. So an upload that was complete, whose temporary file is gone, and whose
    final file has its size, was renamed by a run that died before it could say so. Where the old file had the same size
    the content is read: a server may have cleaned our temporary file away.
    """
    rows = left_behind(recorder.deploy.service_id)
    if not rows:
        return {}
    found = transport.sizes([row.temporary_path for row in rows])
    complete = [row for row in rows if row.state == Change.State.UPLOADED]
    kept = [row for row in complete if found[row.temporary_path] == row.size]
    _settle_renamed(transport, [row for row in complete if found[row.temporary_path] is None], recorder)
    keys = {row.pk for row in kept}
    broken = [row for row in rows if row.pk not in keys and found[row.temporary_path] is not None]
    _remove(transport, broken, recorder)
    release(row for row in rows if row.pk not in keys)
    if kept:
        recorder.log(f"{len(kept)} files of an earlier run are complete on the server and are not sent again.")
    return {(row.path, row.blob_id, row.mode): row.temporary_path for row in kept}


def _settle_renamed(transport: Transport, rows: list[Change], recorder: Recorder) -> None:
    switched = [row for row in rows if Deploy.Phase.SWITCHING in row.deploy.steps]
    if not switched:
        return
    sizes = transport.sizes([row.path for row in switched])
    known = stored_manifest(recorder.deploy.service_id).manifest
    alike = [row for row in switched if sizes[row.path] == row.size]
    live = [row for row in alike if not _is_doubtful(row, known) or _holds(transport, row)]
    if live:
        with transaction.atomic():
            hold(recorder.lease)
            fold(recorder.deploy.service_id, live)
            Change.objects.filter(pk__in=[row.pk for row in live]).update(state=Change.State.APPLIED, temporary_path="")
        recorder.log(f"{len(live)} files were switched by a run that died before it could say so.")


def _is_doubtful(row: Change, known: Manifest) -> bool:
    """Say whether the old content has the same size: then the size proves nothing."""
    old = known.get(row.path)
    return old is not None and old.size == row.size and old.blob_id != row.blob_id


def _holds(transport: Transport, row: Change) -> bool:
    return is_blob([Entry(row.blob_id, row.mode, row.size)], transport.download(row.path))


def remove_unused(transport: Transport, leftovers: Leftovers, used: set[str], recorder: Recorder) -> None:
    """Remove complete uploads of earlier runs that the new plan has no use for, and forget who made the others."""
    unused = [place for place in leftovers.values() if place not in used]
    disown(unused)
    for _progress in transport.delete(unused, recorder.lease.guard):
        recorder.flush_if_due()
    stale = [row for row in left_behind(recorder.deploy.service_id) if row.deploy_id != recorder.deploy.pk]
    release(stale)


def _remove(transport: Transport, rows: list[Change], recorder: Recorder) -> None:
    disown([row.temporary_path for row in rows])
    for _progress in transport.delete([row.temporary_path for row in rows], recorder.lease.guard):
        recorder.flush_if_due()
