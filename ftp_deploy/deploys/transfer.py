"""Transfer: upload beside, check, switch over in one burst, delete last."""

import time
from collections.abc import Iterable

from django.template.defaultfilters import filesizeformat

from ftp_deploy.deploys import drift, recovery
from ftp_deploy.deploys.adopt import adopt_if_first
from ftp_deploy.deploys.contents import Contents
from ftp_deploy.deploys.journal import Journal, follow_destination, left_behind
from ftp_deploy.deploys.manifest import Manifest, parents_of
from ftp_deploy.deploys.planning import Planned, plan_service
from ftp_deploy.deploys.recorder import Recorder
from ftp_deploy.deploys.server import Server
from ftp_deploy.deploys.skips import settle_skips
from ftp_deploy.exceptions import LeaseLost, PermissionRefused, TransportError
from ftp_deploy.models import Change, Deploy, Service
from ftp_deploy.repository.snapshot import Snapshot
from ftp_deploy.transports.base import Rename, Transport, Upload

NAME_REFUSED = 553
NAME_ADVICE = (
    "Check the user's rights on the server. A server that takes no names that begin with a dot needs “upload beside, "
    "then switch” turned off in the service."
)


def transfer(recorder: Recorder, service: Service, snapshot: Snapshot) -> None:
    """Make the server hold the snapshot's tree. Raises what stops the run, with everything recorded so far."""
    deploy = recorder.deploy
    if follow_destination(recorder.lease, service):
        recorder.warn("The service names another server or path than before: everything is uploaded there.")
    recorder.enter(Deploy.Phase.PLANNING)
    with Server(service, recorder.guard) as server:
        adopt_if_first(recorder, service, snapshot, server)
        leftovers = recovery.recover(server.transport, recorder) if left_behind(service.pk) else {}
        settle_skips(recorder, service)
        planned = plan_service(
            service,
            snapshot,
            full=deploy.kind == Deploy.Kind.FULL,
            deletes_confirmed=deploy.confirmed_deletes,
        )
        contents = Contents(snapshot)
        contents.prepare(planned.plan.changes, recorder.guard)
        journal = Journal.begin(
            recorder.lease, deploy, planned.plan.changes, contents.sizes, leftovers, atomic=service.atomic
        )
        _tell_plan(recorder, planned, journal)
        if leftovers:
            used = {row.temporary_path for row in journal.puts}
            recovery.remove_unused(server.transport, leftovers, used, recorder)
        blobs = {row.path: row.blob_id for row in journal.to_upload()}
        if objects := contents.fetch_objects(service, blobs, recorder.guard):
            recorder.log(f"Fetched {objects} files from Git LFS.")
        if journal.rows:
            server.expect(len(journal.to_upload()))
            _Transfer(recorder, service, journal, contents, server.transport).run(planned)


def _tell_plan(recorder: Recorder, planned: Planned, journal: Journal) -> None:
    counts = {action: sum(row.action == action for row in journal.rows) for action in Change.Action}
    for warning in planned.plan.warnings:
        recorder.warn(warning)
    complete = [row for row in journal.puts if row.state == Change.State.UPLOADED]
    recorder.plan(
        files_total=len(journal.rows),
        files_done=len(complete),
        bytes_total=sum(row.size for row in journal.puts),
        bytes_done=sum(row.size for row in complete),
        files_added=counts[Change.Action.ADD],
        files_modified=counts[Change.Action.MODIFY],
        files_removed=counts[Change.Action.DELETE],
    )
    recorder.log(
        "Plan: {} new, {} modified, {} removed.".format(
            *(counts[action] for action in (Change.Action.ADD, Change.Action.MODIFY, Change.Action.DELETE))
        )
    )


class _Transfer:
    """The steps between a plan and a server that holds it."""

    def __init__(
        self, recorder: Recorder, service: Service, journal: Journal, contents: Contents, transport: Transport
    ) -> None:
        self.recorder = recorder
        self.service = service
        self.journal = journal
        self.contents = contents
        self.transport = transport
        self.new_directories: list[str] = []

    def run(self, planned: Planned) -> None:
        """Upload, switch, delete; what was done is recorded even when a step fails."""
        changed = drift.look(self.recorder, self.service, self.transport, planned.manifest, self.journal)
        self.recorder.enter(Deploy.Phase.UPLOADING)
        try:
            drift.keep_copies(self.transport, changed, planned.plan.replaced_directories, self.recorder)
            self._clear_the_way(planned)
            self._make_directories(planned.manifest)
            self._upload()
            self.recorder.lease.persist(self.recorder.enter_switch)
            self._switch(planned)
            self._prune(planned)
        except LeaseLost:
            self._remove_own_unfinished()
            raise
        except TransportError as error:
            error.args = (self.journal.with_live_names(error.message), *error.args[1:])
            if error.code == NAME_REFUSED and self.service.atomic:
                error.advice = NAME_ADVICE
            raise
        finally:
            self._record()

    def _record(self) -> None:
        for write in (self.journal.write_uploaded, self.journal.write_applied):
            self.recorder.lease.persist(write)

    def _clear_the_way(self, planned: Planned) -> None:
        """Delete the files whose names new directories need; nothing could be put below them otherwise."""
        needed = parents_of({row.path for row in self.journal.puts})
        self._delete([change.path for change in planned.plan.deletes if change.first and change.path in needed])

    def _make_directories(self, manifest: Manifest) -> None:
        wanted = parents_of({row.path for row in self.journal.to_upload()})
        self.new_directories = sorted(wanted - manifest.directories)
        if self.new_directories:
            self.transport.make_directories(self.new_directories)

    def _upload(self) -> None:
        if not self.service.atomic:
            self.journal.forget(self.journal.to_upload())
        began = time.monotonic()
        count, size = len(self.journal.to_upload()), sum(row.size for row in self.journal.to_upload())
        try:
            self._send()
        except PermissionRefused as error:
            # Somebody may have removed a directory that held files of ours: then it has to be made again.
            if not parents_of({error.path}) - set(self.new_directories):
                raise
            self.journal.write_uploaded()
            self._make_directories(Manifest())
            said = self.journal.with_live_names(error.message)
            self.recorder.log(f"{said} Trying again, with all directories made anew.")
            self._send()
        self.journal.write_uploaded()
        self.recorder.lease.guard()
        if count:
            shown = filesizeformat(size).replace("\xa0", " ")
            self._log_step(f"Sent and checked {count} files, {shown}", began)

    def _send(self) -> None:
        uploads = [self._as_upload(row) for row in self.journal.to_upload()]
        for progress in self.transport.upload(uploads, self.recorder.lease.stopping):
            done = self.journal.uploaded(progress.done)
            self.recorder.advance(done, progress.bytes_sent, self.journal.live_path(progress.current))
            if progress.message:
                self.recorder.log(self.journal.with_live_names(progress.message))
            if not self.service.atomic:
                self.journal.applied(progress.done)
            if self.recorder.flush_if_due():
                self.journal.write_uploaded()
            self.recorder.lease.guard_files()

    def _log_step(self, what: str, began: float) -> None:
        self.recorder.log(f"{what}, in {time.monotonic() - began:.1f} s.")

    def _as_upload(self, row: Change) -> Upload:
        executable = row.mode & 0o111
        mode = self.transport.target.file_mode
        if executable:
            mode = (mode or 0o644) | 0o111
        return Upload(
            path=row.temporary_path or row.path,
            size=row.size,
            open=lambda: self.contents.open(row.blob_id),
            mode=mode,
            modified=self.recorder.deploy.created_at if self.service.set_modification_time else None,
            name=row.path,
        )

    def _switch(self, planned: Planned) -> None:
        self._delete(self._waiting(change.path for change in planned.plan.deletes if change.first))
        self.transport.prune(planned.plan.replaced_directories)
        if self.transport.traits.rename_over is False:
            self.journal.forget(self.journal.puts)
        began = time.monotonic()
        renames = [Rename(row.temporary_path, row.path) for row in self.journal.puts if row.temporary_path]
        guard = self.recorder.lease.must_hold
        for progress in self.transport.rename(renames, guard):
            self.journal.applied(progress.done)
            self.recorder.flush_if_due()
        if renames:
            self._log_step(f"Switched {len(renames)} files over", began)
        waiting = self._waiting(row.path for row in self.journal.deletes)
        self._delete(waiting)
        if waiting:
            self._log_step(f"Deleted {len(waiting)} files", began)

    def _waiting(self, paths: Iterable[str]) -> list[str]:
        """Leave out the paths that were dealt with already."""
        done = {row.path for row in self.journal.deletes if row.state == Change.State.APPLIED}
        return [path for path in paths if path not in done]

    def _delete(self, paths: list[str]) -> None:
        for progress in self.transport.delete(paths, self.recorder.lease.must_hold):
            done = self.journal.applied(progress.done)
            self.recorder.advance(done, 0, "")
            self.recorder.flush_if_due()

    def _prune(self, planned: Planned) -> None:
        """Remove directories that held only deleted files of ours, where the server's listing proves them empty."""
        gone = parents_of({row.path for row in self.journal.deletes}) - parents_of(planned.wanted.files)
        removed = self.transport.prune(sorted(gone, key=lambda path: path.count("/"), reverse=True)) if gone else ()
        if removed:
            self.recorder.log(f"Removed {len(removed)} empty directories.")

    def _remove_own_unfinished(self) -> None:
        """Take back what this epoch wrote and nobody else knows of: its names carry the epoch, so only it can."""
        mine = f"-{self.recorder.lease.epoch}-"
        unfinished = [
            row.temporary_path
            for row in self.journal.puts
            if row.state == Change.State.PLANNED and mine in row.temporary_path
        ]
        for _progress in self.transport.delete(unfinished, lambda: None):
            pass
