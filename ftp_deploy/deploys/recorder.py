"""What a running deploy tells the database: its phase, its progress and its log, at most once a second."""

import logging
import time
from datetime import datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils import timezone

from ftp_deploy.deploys.lease import Lease
from ftp_deploy.exceptions import DeployCancelled, LeaseLost
from ftp_deploy.models import Deploy, LogLine

logger = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two writes of progress."""


class Recorder:
    """Writes to one deploy row, only as long as the row belongs to this run's epoch."""

    def __init__(self, deploy: Deploy, lease: Lease) -> None:
        self.deploy = deploy
        self.lease = lease
        self._lines: list[tuple[datetime, str, str]] = []
        self._written = 0.0
        self._changed = False

    def rows(self) -> Any:
        """Select the deploy's row as long as it is ours."""
        return Deploy.objects.filter(pk=self.deploy.pk, epoch=self.lease.epoch, state=Deploy.State.RUNNING)

    def enter(self, phase: str) -> None:
        """Begin a phase. Raises ``LeaseLost`` where the row is no longer ours."""
        values = self._begun(phase)
        if self._is_due():
            self.flush(**values)
        else:
            self._write_columns(values)
            self._changed = False

    def enter_switch(self) -> None:
        """Begin the switch; from here on nobody can cancel. Raises ``DeployCancelled`` where somebody just did."""
        values = self._begun(Deploy.Phase.SWITCHING) | self._progress()
        if not self.rows().filter(cancel_requested=False).update(**values):
            raise DeployCancelled if self.rows().exists() else LeaseLost
        self._changed = False

    def finish(self) -> None:
        """Begin the last phase, with everything written that there is to tell. Raises ``LeaseLost``."""
        self._write_news(self._begun(Deploy.Phase.FINISHING))

    def _begun(self, phase: str) -> dict[str, Any]:
        self.deploy.phase = phase
        self.deploy.steps[phase] = timezone.now().isoformat()
        return {"phase": phase, "steps": self.deploy.steps}

    def _progress(self) -> dict[str, Any]:
        return {name: getattr(self.deploy, name) for name in PROGRESS_COLUMNS}

    def guard(self) -> None:
        """Raise what must stop the run now; for waits, so that news is told and a cancellation is heard of."""
        self.flush_if_due()
        self.lease.guard()

    def write(self, **values: Any) -> None:
        """Set columns of the row. Raises ``LeaseLost`` where it is no longer ours."""
        for name, value in values.items():
            setattr(self.deploy, name, value)
        if not self.rows().update(**values):
            raise LeaseLost

    def log(self, text: str, level: str = "info") -> None:
        """Add a line to the deploy's log."""
        self._lines.append((timezone.now(), level, text))

    def warn(self, text: str) -> None:
        """Add a line that deserves a look to the log and to the deploy."""
        self.log(text, "warning")
        if text not in self.deploy.warnings:
            self.deploy.warnings.append(text)
            self._changed = True

    def plan(self, **totals: int) -> None:
        """Take the numbers of a plan."""
        for name, value in totals.items():
            setattr(self.deploy, name, value)
        self._changed = True

    def advance(self, files: int, sent: int, current: str) -> None:
        """Count finished files and sent bytes; ``current`` is the file under way."""
        self.deploy.files_done += files
        self.deploy.bytes_done += sent
        if current:
            self.deploy.current_file = current[:1024]
        self._changed = True

    def flush_if_due(self) -> bool:
        """Write what is new if the last write is a second ago; return whether it was written.

        A database that is away loses nothing: what is new is kept for the next write.
        """
        if not self._is_due():
            return False
        try:
            self.flush()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Deploy %s: progress not written: %s", self.deploy.pk, error)
            self._written = time.monotonic()
            if not connection.in_atomic_block:
                connection.close()
            return False
        return True

    def _is_due(self) -> bool:
        return time.monotonic() - self._written >= INTERVAL

    def flush(self, **values: Any) -> None:
        """Write what is new, and with it further columns; look whether somebody cancelled."""
        self._write_news(values)
        if self.rows().filter(cancel_requested=True).exists():
            self.lease.cancel()

    def _write_news(self, values: dict[str, Any]) -> None:
        lines = self._lines
        with transaction.atomic():
            self._write_columns(values)
            LogLine.objects.bulk_create(
                [LogLine(deploy=self.deploy, at=at, level=level, text=text) for at, level, text in lines],
                batch_size=500,
            )
        self._lines = self._lines[len(lines) :]
        self._changed = False
        self._written = time.monotonic()

    def _write_columns(self, values: dict[str, Any]) -> None:
        if self._changed:
            values = values | self._progress()
        if values:
            self.write(**values)


PROGRESS_COLUMNS = (
    *("files_done", "bytes_done", "current_file", "warnings"),
    *("files_total", "bytes_total", "files_added", "files_modified", "files_removed"),
)
"""What a running deploy counts: the columns that are written as it goes."""
