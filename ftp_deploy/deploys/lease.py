"""The lease: which worker may work on a service, until when, by the database's clock.

A claim is one conditional UPDATE; whoever changes the row owns the service. The epoch grows with each claim. A holder
shows signs of life from a thread of its own; one that fell silent loses the service to the next claim. Because an FTP
server cannot check an epoch, the holder itself calls ``guard`` before each batch of renames and deletes.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q
from django.db.models.functions import Now

from ftp_deploy.conf import conf
from ftp_deploy.exceptions import DeployCancelled, LeaseLost, WorkerStopping
from ftp_deploy.models import Deploy, LeaseEvent, Service

logger = logging.getLogger(__name__)

StopAsked = Callable[[], bool]
T = TypeVar("T")

DATABASE_AWAY = (OperationalError, InterfaceError)
"""What a database raises that was restarted, is out of reach, or is locked by somebody else."""
PAUSE = 0.5
"""Seconds before the second try to reach a database that is away; doubled before each further one."""
LONGEST_PAUSE = 8.0
FORGIVEN = 2
TRIES = 10
"""How often a write is tried: about a minute. An error that comes back longer than that does not pass by itself."""


def after(seconds: float) -> Any:
    """Return the database's time ``seconds`` from now, as an expression."""
    return ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=DateTimeField())


def free() -> Q:
    """Select services that nobody holds."""
    return Q(lease_until=None) | Q(lease_until__lt=Now())


def never() -> bool:
    """Say that nobody asked to stop."""
    return False


class Lease:
    """A held lease. As a context manager it shows signs of life until it is left, and then lets go."""

    def __init__(
        self, service_id: int, owner: str, epoch: int, stop_asked: StopAsked = never, patience: float = 0.0
    ) -> None:
        self.service_id = service_id
        self.owner = owner
        self.epoch = epoch
        self._stop_asked = stop_asked
        self._patience = patience
        self._stopping_since = 0.0
        self.seconds = float(conf.LEASE_SECONDS)
        self._beat_seconds = float(conf.HEARTBEAT_SECONDS)
        self._last_beat = time.monotonic()
        self._lost = False
        self._cancelled = False
        self._forgiven = 0
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{service_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()
        if kind is not None:
            self.give_up()
        self.release()

    def guard(self) -> None:
        """Raise what must stop the run now: a lost lease, a cancelled deploy, a stopping worker.

        Half of the lease is kept as a margin for a last batch that is already on its way.
        """
        if self._lost or time.monotonic() - self._last_beat > self.seconds / 2:
            raise LeaseLost
        if self._cancelled:
            raise DeployCancelled
        if self.stopping():
            raise WorkerStopping

    def stopping(self) -> bool:
        """Say whether the worker was asked to stop: nothing further is begun then."""
        if not self._stopping_since and self._stop_asked():
            self._stopping_since = time.monotonic()
        return bool(self._stopping_since)

    def guard_files(self) -> None:
        """The same as ``guard``, but a stopping worker has some patience with the files that are under way."""
        if not self.stopping() or time.monotonic() - self._stopping_since > self._patience:
            self.guard()
        self.must_hold()
        if self._cancelled:
            raise DeployCancelled

    def must_hold(self) -> None:
        """Raise ``LeaseLost`` unless the lease is surely held; used once a switch has begun."""
        if self._lost or time.monotonic() - self._last_beat > self.seconds / 2:
            raise LeaseLost

    def cancel(self) -> None:
        """Make the next ``guard`` raise ``DeployCancelled``."""
        self._cancelled = True

    def new_deploy(self) -> None:
        """Forget what was asked about the previous deploy of this lease."""
        self._cancelled = False

    def is_forgiven(self) -> bool:
        """Say whether a database that was away is no failed attempt, which it is ``FORGIVEN`` times for each lease.

        An error that always comes back would otherwise be met again and again without a pause.
        """
        self._forgiven += 1
        return self._forgiven <= FORGIVEN

    def mine(self) -> Any:
        """Select the service row as long as this lease is in force."""
        return Service.objects.filter(
            pk=self.service_id, lease_owner=self.owner, lease_epoch=self.epoch, lease_until__gt=Now()
        )

    def beat(self) -> None:
        """Prolong the lease. Raises ``LeaseLost`` where it is no longer ours."""
        asked = time.monotonic()
        if not self.mine().update(lease_until=after(self.seconds)):
            self._lost = True
            raise LeaseLost
        self._last_beat = asked

    def persist(self, write: Callable[[], T]) -> T:
        """Run a write that may run twice; where the database is away try again, as long as the lease is surely held.

        Raises ``LeaseLost`` once it is not, and the database's own error where it comes back ``TRIES`` times.
        """
        for number in range(TRIES - 1):
            try:
                return write()
            except DATABASE_AWAY as error:
                logger.warning("Service %s: the database is away: %s", self.service_id, type(error).__name__)
                connection.close()
            self.must_hold()
            self._left.wait(min(PAUSE * 2**number, LONGEST_PAUSE))
        return write()

    def give_up(self) -> None:
        """Put back what this epoch still has as running: its worker lives, so nobody needs to count a crash."""
        left = Deploy.objects.filter(service=self.service_id, epoch=self.epoch, state=Deploy.State.RUNNING)
        try:
            left.update(state=Deploy.State.QUEUED, run=None)
        except (DatabaseError, InterfaceError):
            connection.close()

    def release(self) -> None:
        """Let go; harmless where the lease was lost. A database that is away lets the lease run out instead."""
        try:
            with transaction.atomic():
                if self.mine().update(lease_owner="", lease_until=None):
                    record_event(self.service_id, self.epoch, self.owner, "end")
        except (DatabaseError, InterfaceError):
            logger.warning("Service %s: the lease could not be released; it runs out by itself.", self.service_id)
            connection.close()

    def _keep(self) -> None:
        try:
            while not self._left.wait(self._beat_seconds):
                try:
                    self.beat()
                except (DatabaseError, InterfaceError) as error:
                    logger.warning("Service %s: no sign of life possible: %s", self.service_id, error)
                    connection.close()
        except LeaseLost:
            logger.warning("Service %s: the lease of epoch %s was lost.", self.service_id, self.epoch)
        finally:
            connection.close()


def record_event(service_id: int, epoch: int, owner: str, event: str) -> None:
    """Append to the record of runs."""
    LeaseEvent.objects.create(service_id=service_id, epoch=epoch, owner=owner, event=event)


def new_owner() -> str:
    """Return a name for one claim that no other claim ever has."""
    return f"{socket.gethostname()[:20]}-{os.getpid()}-{uuid.uuid4().hex[:16]}"


def claim(service_id: int, stop_asked: StopAsked = never, patience: float = 0.0) -> Lease | None:
    """Take the lease of a service; None where somebody else holds it.

    ``patience`` is how many seconds files under way are given once ``stop_asked`` is true.
    """
    owner = new_owner()
    with transaction.atomic():
        taken = Service.objects.filter(free(), pk=service_id).update(
            lease_owner=owner, lease_until=after(conf.LEASE_SECONDS), lease_epoch=F("lease_epoch") + 1
        )
        if not taken:
            return None
        epoch = Service.objects.values_list("lease_epoch", flat=True).get(pk=service_id)
        record_event(service_id, epoch, owner, "begin")
    return Lease(service_id, owner, epoch, stop_asked, patience)
