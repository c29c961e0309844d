"""Adopting a live site: the first deploy of a service whose server already holds the files."""

from django.db import transaction

from ftp_deploy.deploys.contents import Contents
from ftp_deploy.deploys.journal import accept, hold
from ftp_deploy.deploys.manifest import Entry, Manifest
from ftp_deploy.deploys.planning import Planned, plan_service
from ftp_deploy.deploys.recorder import Recorder
from ftp_deploy.deploys.server import Server
from ftp_deploy.deploys.verify import DriftReport, compare, compare_hashes
from ftp_deploy.models import Service, ServiceManifest
from ftp_deploy.models.service import FirstDeploy
from ftp_deploy.repository.snapshot import Snapshot
from ftp_deploy.transports.base import Guard

SHOWN = 20
"""File names per kind in the log."""


def adopt_if_first(recorder: Recorder, service: Service, snapshot: Snapshot, server: Server) -> None:
    """List the server once and take every file of the tree as deployed that is there with the right size.

    Where the server can hash files, the hash has to be right as well. Only the real differences are uploaded
    afterwards; files that the repository does not know are left alone.
    """
    known = ServiceManifest.objects.filter(service=service).exclude(files=0, commit="")
    if service.first_deploy != FirstDeploy.ADOPT or known.exists():
        return
    planned = plan_service(service, snapshot, manifest=Manifest())
    contents = Contents(snapshot)
    contents.prepare(planned.plan.changes, recorder.guard)
    expected = {change.path: contents.sizes[change.blob_id] for change in planned.plan.changes}
    transport, guard = server.transport, recorder.guard
    report = compare(expected, transport, tick=guard)
    if transport.hash_kind:
        report = compare_hashes(
            report, _digests(planned, report, contents, transport.hash_kind, guard), transport, guard
        )
    absent = {*report.missing, *report.different}
    same = {
        change.path: Entry(change.blob_id, change.mode, contents.sizes[change.blob_id])
        for change in planned.plan.changes
        if change.path not in absent
    }
    with transaction.atomic():
        hold(recorder.lease)
        accept(service.pk, same, set())
    how = f"size and {transport.hash_kind}" if report.hashed else "size; the server offers no hashes"
    recorder.log(f"Adopted {len(same)} files that the server already has, compared by {how}.")
    for word, paths in (("missing", report.missing), ("different", report.different), ("unknown", report.unknown)):
        if paths:
            shown = ", ".join(paths[:SHOWN]) + (" ..." if paths[SHOWN:] else "")
            recorder.log(f"{len(paths)} {word} on the server: {shown}")
    recorder.flush()


def _digests(planned: Planned, report: DriftReport, contents: Contents, kind: str, guard: Guard) -> dict[str, str]:
    """Return our hash of each file that is there with the right size: of the others it would decide nothing."""
    absent = {*report.missing, *report.different}
    digests = {}
    for change in planned.plan.changes:
        if change.path not in absent:
            guard()
            digests[change.path] = contents.digest(change.blob_id, kind)
    return digests
