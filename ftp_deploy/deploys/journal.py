"""The journal of a run: one ``Change`` row per file, which says how far each file came.

A row names the temporary path at which its content lies. Whatever a dead run left on the server is found through these
rows: complete files are used again, the rest is removed.
"""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence

from django.db import transaction

from ftp_deploy.deploys.lease import Lease, after
from ftp_deploy.deploys.manifest import Entry, Manifest
from ftp_deploy.deploys.plan import Change as PlannedChange
from ftp_deploy.exceptions import LeaseLost
from ftp_deploy.models import Change, Deploy, Service, ServiceManifest

BATCH = 1000
"""Rows per statement."""

Leftovers = Mapping[tuple[str, str, int], str]
"""(path, blob id, mode) of complete uploads of earlier runs, and the temporary path of each."""


def temporary_path(path: str, deploy_id: int, epoch: int, token: str, number: int) -> str:
    """Return a hidden name beside ``path`` that no other plan ever uses; at most 80 bytes, whatever the name.

    ``token`` is new for each plan: one epoch may plan the same deploy twice, and numbers then mean other files.
    """
    folder, slash, _name = path.rpartition("/")
    return f"{folder}{slash}.ftp-deploy-{deploy_id}-{epoch}-{token}-{number}.tmp"


TEMPORARY_NAME = re.compile(r"\.ftp-deploy-\d+-\d+-[0-9a-f]+-\d+\.tmp")
"""What ``temporary_path`` makes, as it appears in messages."""


class Journal:
    """The changes of one run, in memory and in the database."""

    def __init__(self, lease: Lease, deploy: Deploy, rows: Sequence[Change]) -> None:
        self.lease = lease
        self.deploy = deploy
        self.rows = list(rows)
        self._by_place = {row.temporary_path or row.path: row for row in self.rows}
        self._by_path = {row.path: row for row in self.rows}
        self._by_temporary_name = {row.temporary_path.rpartition("/")[2]: row.path for row in self.puts}
        self._dirty: list[Change] = []
        self._applied: list[Change] = []

    @classmethod
    def begin(
        cls,
        lease: Lease,
        deploy: Deploy,
        changes: Iterable[PlannedChange],
        sizes: Mapping[str, int],
        leftovers: Leftovers,
        *,
        atomic: bool,
    ) -> "Journal":
        """Write the rows of a plan. ``sizes`` is by blob id; content in ``leftovers`` need not be sent again."""
        rows = []
        token = secrets.token_hex(4)
        for number, change in enumerate(changes):
            row = Change(
                deploy=deploy,
                path=change.path,
                action=change.action,
                blob_id=change.blob_id,
                mode=change.mode,
                size=sizes.get(change.blob_id, 0),
            )
            if change.action != Change.Action.DELETE and atomic:
                kept = leftovers.get((change.path, change.blob_id, change.mode))
                row.temporary_path = kept or temporary_path(change.path, deploy.pk, lease.epoch, token, number)
                row.state = Change.State.UPLOADED if kept else Change.State.PLANNED
            rows.append(row)
        with transaction.atomic():
            deploy.changes.all().delete()
            Change.objects.bulk_create(rows, batch_size=BATCH)
        return cls(lease, deploy, rows)

    def live_path(self, place: str) -> str:
        """Return the path that a file has once it is live, for the path under which it is sent."""
        row = self._by_place.get(place)
        return row.path if row else place

    def with_live_names(self, text: str) -> str:
        """Return a sentence with the names that people know in place of the temporary ones."""

        def known(match: re.Match[str]) -> str:
            path = self._by_temporary_name.get(match[0])
            return path.rpartition("/")[2] if path else match[0]

        return TEMPORARY_NAME.sub(known, text)

    def to_upload(self) -> list[Change]:
        """Return the files that are not complete on the server yet."""
        return [row for row in self.puts if row.state == Change.State.PLANNED]

    @property
    def puts(self) -> list[Change]:
        """The new and modified files."""
        return [row for row in self.rows if row.action != Change.Action.DELETE]

    @property
    def deletes(self) -> list[Change]:
        """The files to delete."""
        return [row for row in self.rows if row.action == Change.Action.DELETE]

    def uploaded(self, places: Iterable[str]) -> int:
        """Note files as complete under their temporary paths; return how many."""
        done = [self._by_place[place] for place in places]
        for row in done:
            row.state = Change.State.UPLOADED
        self._dirty.extend(done)
        return len(done)

    def applied(self, paths: Iterable[str]) -> int:
        """Note files as live or deleted; return how many."""
        done = [self._by_path[path] for path in paths]
        for row in done:
            row.state = Change.State.APPLIED
            row.temporary_path = ""
        self._applied.extend(done)
        return len(done)

    def write_uploaded(self) -> None:
        """Store which files are complete. A failing database keeps them for the next call."""
        pending = self._dirty
        for start in range(0, len(pending), BATCH):
            part = [row.pk for row in pending[start : start + BATCH]]
            Change.objects.filter(pk__in=part, state=Change.State.PLANNED).update(state=Change.State.UPLOADED)
        self._dirty = self._dirty[len(pending) :]

    def write_applied(self) -> None:
        """Store what is live and fold it into the manifest, in one transaction. Raises ``LeaseLost``."""
        if not self._applied:
            return
        pending = self._applied
        with transaction.atomic():
            hold(self.lease)
            for start in range(0, len(pending), BATCH):
                part = [row.pk for row in pending[start : start + BATCH]]
                Change.objects.filter(pk__in=part).update(state=Change.State.APPLIED, temporary_path="")
            fold(self.deploy.service_id, pending)
        self._applied = self._applied[len(pending) :]

    def forget(self, rows: Iterable[Change]) -> None:
        """Take files out of the manifest that are about to be destroyed before their new content is complete.

        A run that breaks off then leaves no manifest that says they are whole. Raises ``LeaseLost``.
        """
        paths = {row.path for row in rows if row.action == Change.Action.MODIFY}
        if paths:
            with transaction.atomic():
                hold(self.lease)
                accept(self.deploy.service_id, {}, paths)


def hold(lease: Lease) -> None:
    """Prolong the lease inside a transaction, which locks the service's row. Raises ``LeaseLost``."""
    if not lease.mine().update(lease_until=after(lease.seconds)):
        raise LeaseLost


def stored_manifest(service_id: int) -> ServiceManifest:
    """Return the manifest's row; a new one belongs to the server that the service names now."""
    stored = ServiceManifest.objects.filter(service=service_id).first()
    if stored is not None:
        return stored
    service = Service.objects.get(pk=service_id)
    return ServiceManifest.objects.get_or_create(service=service, defaults={"destination": service.destination})[0]


def follow_destination(lease: Lease, service: Service) -> bool:
    """Start afresh where the service names another server or path than the manifest; return whether it does.

    What we know of the old place says nothing about the new one: nothing there is ours yet.
    """
    stored = ServiceManifest.objects.filter(service=service).first()
    if stored is None or stored.destination in ("", service.destination):
        return False
    with transaction.atomic():
        hold(lease)
        stored.manifest = Manifest()
        stored.commit = ""
        stored.destination = service.destination
        stored.save()
        release(left_behind(service.pk))
    return True


def fold(service_id: int, rows: Sequence[Change]) -> None:
    """Fold applied changes into the stored manifest; while that goes on no single commit is live."""
    stored = stored_manifest(service_id)
    put = {row.path: Entry(row.blob_id, row.mode, row.size) for row in rows if row.action != Change.Action.DELETE}
    removed = {row.path for row in rows if row.action == Change.Action.DELETE}
    stored.manifest = stored.manifest.fold(put, removed)
    stored.commit = ""
    stored.save()


def left_behind(service_id: int) -> list[Change]:
    """Return the rows of earlier runs whose content may still lie on the server under a temporary path."""
    rows = Change.objects.filter(deploy__service=service_id).exclude(temporary_path="")
    return list(rows.select_related("deploy").order_by("pk")) if rows.exists() else []


def disown(places: Sequence[str]) -> None:
    """Say that the content under these temporary paths is not complete, before it is removed.

    If removing breaks off, nobody takes a file that is gone for one that was renamed.
    """
    for start in range(0, len(places), BATCH):
        rows = Change.objects.filter(temporary_path__in=places[start : start + BATCH])
        rows.filter(state=Change.State.UPLOADED).update(state=Change.State.PLANNED)


def release(rows: Iterable[Change]) -> None:
    """Forget temporary paths: nothing lies there any more, or another row names it now."""
    keys = [row.pk for row in rows]
    for start in range(0, len(keys), BATCH):
        Change.objects.filter(pk__in=keys[start : start + BATCH]).update(temporary_path="")


def accept(service_id: int, entries: Mapping[str, Entry], removed: set[str]) -> None:
    """Take the server's state as right for some paths, without touching the server."""
    stored = stored_manifest(service_id)
    stored.manifest = Manifest(stored.manifest).fold(entries, removed)
    stored.save()
