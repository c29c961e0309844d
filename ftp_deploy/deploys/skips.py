"""Skipped deploys that failed before they had a plan: what they would have changed is found out later."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, OuterRef

from ftp_deploy.deploys.fetch import fetch_service
from ftp_deploy.deploys.journal import BATCH, accept
from ftp_deploy.deploys.manifest import Entry, Manifest
from ftp_deploy.deploys.planning import LINK_BYTES, rules_of
from ftp_deploy.deploys.recorder import Recorder
from ftp_deploy.deploys.resolve import Wanted, resolve
from ftp_deploy.exceptions import RepositoryError
from ftp_deploy.models import Change, Deploy, Service


@dataclass(frozen=True, slots=True)
class Difference:
    """What a skipped deploy would have done to one file."""

    path: str
    action: str
    blob_id: str = ""
    mode: int = 0


def settle_skips(recorder: Recorder, service: Service) -> None:
    """Leave out what skipped deploys without a plan would have changed: compare the trees before and after them.

    The findings are stored as the deploy's changes, so each skip is settled once. A forge that no longer gives out one
    of the two commits is told of in the log; the files are then deployed like all others.
    """
    for deploy in _unsettled(service):
        try:
            _store(deploy, _would_have_done(service, deploy), service.manifest)
        except RepositoryError as error:
            recorder.warn(_not_left_out(deploy, error))


def foreseen(service: Service) -> tuple[Manifest, list[str], list[str]]:
    """Return what ``settle_skips`` would make of the manifest, the files it would leave out, and its warnings.

    Nothing is stored: this is for previews.
    """
    manifest, left_out, warnings = service.manifest, list[str](), list[str]()
    for deploy in _unsettled(service):
        try:
            differences = _would_have_done(service, deploy)
        except RepositoryError as error:
            warnings.append(_not_left_out(deploy, error))
            continue
        entries = {each.path: _entry(each, manifest) for each in differences if each.action != Change.Action.DELETE}
        removed = {each.path for each in differences if each.action == Change.Action.DELETE}
        manifest = Manifest(manifest).fold(entries, removed)
        left_out += [each.path for each in differences]
    return manifest, left_out, warnings


def _not_left_out(deploy: Deploy, error: RepositoryError) -> str:
    return f"Skipped deploy #{deploy.pk} cannot be left out: {error.message}"


def _would_have_done(service: Service, deploy: Deploy) -> list[Difference]:
    before = _tree(service, deploy.before) if deploy.before else Wanted({})
    return _differences(before, _tree(service, deploy.after))


def _entry(each: Difference, manifest: Manifest) -> Entry:
    return Entry(each.blob_id, each.mode, manifest[each.path].size if each.path in manifest else 0)


def _unsettled(service: Service) -> list[Deploy]:
    """Return skipped deploys without a plan, as far as nothing went live after them."""
    live = Deploy.objects.filter(
        service=OuterRef("service"), state=Deploy.State.SUCCEEDED, position__gte=OuterRef("position")
    )
    skipped = service.deploys.filter(~Exists(live), state=Deploy.State.SKIPPED, changes=None).exclude(after="")
    return list(skipped.order_by("position", "pk")) if skipped.exists() else []


def _tree(service: Service, commit: str) -> Wanted:
    with fetch_service(service, commit) as snapshot:
        if not snapshot.exact:
            raise RepositoryError(f"the forge does not give out commit {commit[:12]}.")
        return resolve(snapshot.tree, rules_of(service), lambda blob_id: snapshot.read(blob_id, LINK_BYTES))


def _differences(before: Wanted, after: Wanted) -> list[Difference]:
    changed = [
        Difference(path, Change.Action.MODIFY if path in before.files else Change.Action.ADD, file.blob_id, file.mode)
        for path, file in after.files.items()
        if before.files.get(path) != file
    ]
    return changed + [Difference(path, Change.Action.DELETE) for path in before.files if path not in after.files]


def _store(deploy: Deploy, differences: list[Difference], manifest: Manifest) -> None:
    rows = [
        Change(deploy=deploy, path=item.path, action=item.action, blob_id=item.blob_id, mode=item.mode)
        for item in differences
    ]
    with transaction.atomic():
        Change.objects.bulk_create(rows, batch_size=BATCH)
        accept_changes(deploy.service_id, rows, manifest)


def accept_changes(service_id: int, rows: list[Change], manifest: Manifest) -> None:
    """Fold changes that were not made into the manifest, as if the server held them.

    The size stays that of the file on the server, so that looking for hand-edited files goes on working.
    """
    entries = {
        row.path: Entry(row.blob_id, row.mode, manifest[row.path].size if row.path in manifest else row.size)
        for row in rows
        if row.action != Change.Action.DELETE
    }
    removed = {row.path for row in rows if row.action == Change.Action.DELETE}
    if entries or removed:
        accept(service_id, entries, removed)
