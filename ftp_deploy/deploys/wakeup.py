"""Waking a worker: the message is a hint, the row is the truth.

Publishing never raises and never takes longer than a bounded time, whatever the broker does. A lost message costs
seconds: the sweep finds what waits. A request does not even wait for the broker: it leaves word with the announcer, a
thread that publishes for all requests of the process.
"""

import atexit
import logging
import os
import threading
import time
from typing import Any

from celery import Celery, current_app
from django.db import transaction

from ftp_deploy.conf import conf
from ftp_deploy.models import Service

logger = logging.getLogger(__name__)

RUN = "ftp_deploy.run"
STUCK_LIMIT = 8
"""Publishers that may hang at one time; further messages are left to the sweep until one of them returns."""
AGAIN_SECONDS = 0.5
"""The least time between two messages for one service: what comes in between is told by the second."""


class Publisher:
    """Sends Celery messages from short-lived threads, so that a broker that hangs never holds up the caller."""

    def __init__(self) -> None:
        self.failures = 0
        self._free = threading.BoundedSemaphore(STUCK_LIMIT)

    def send(self, name: str, *ids: int, queue: str = "") -> bool:
        """Send the task ``name`` with primary keys; return whether the broker took it in time."""
        app = current_app._get_current_object()
        if app.conf.task_always_eager:
            app.tasks[name].apply(args=ids)
            return True
        if not self._free.acquire(blocking=False):
            return self._failed(name, "earlier messages are still on their way")
        taken = threading.Event()
        thread = threading.Thread(target=self._try, args=(app, name, ids, queue, taken), daemon=True)
        thread.start()
        thread.join(conf.PUBLISH_SECONDS)
        return taken.is_set() or (thread.is_alive() and self._failed(name, "the broker does not answer"))

    def _try(self, app: Celery, name: str, ids: tuple[int, ...], queue: str, taken: threading.Event) -> None:
        try:
            if self.publish(app, name, *ids, queue=queue):
                taken.set()
        finally:
            self._free.release()

    def publish(self, app: Celery, name: str, *ids: int, queue: str = "") -> bool:
        """Send a message from this thread, however long the broker's time-outs let that take."""
        options: dict[str, Any] = {"queue": queue} if queue else {}
        try:
            app.send_task(name, args=ids, retry=False, ignore_result=True, **options)
        except Exception as error:  # noqa: BLE001 - whatever a broker client raises, the push is stored already
            return self._failed(name, type(error).__name__)
        return True

    def _failed(self, name: str, reason: str) -> bool:
        self.failures += 1
        logger.warning("%s was not published (%s); the sweep will find what waits.", name, reason)
        return False


class Announcer:
    """Publishes which services have something waiting, from one thread of its own.

    Services, not pushes, are announced: many pushes of one service in a short time are few messages. A process that
    ends waits a moment for what is left to say.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._changed = threading.Condition()
        self._waiting: dict[int, str] = {}
        self._told: dict[int, float] = {}
        self._thread: threading.Thread | None = None
        self._busy = False

    def announce(self, service_id: int, queue: str = "") -> None:
        """Leave word that something waits for a service; returns at once."""
        app = current_app._get_current_object()
        if app.conf.task_always_eager:
            self._publisher.send(RUN, service_id, queue=queue)
            return
        with self._changed:
            self._waiting[service_id] = queue
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, args=(app,), name="announcer", daemon=True)
                self._thread.start()
            if self._is_due(service_id, time.monotonic()):
                self._changed.notify()

    def drain(self, seconds: float) -> bool:
        """Wait until everything is told, at most so long; return whether it is."""
        with self._changed:
            self._told.clear()
            self._changed.notify()
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, seconds)

    def _work(self, app: Celery) -> None:
        while True:
            service_id, queue = self._next()
            self._publisher.publish(app, RUN, service_id, queue=queue)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _next(self) -> tuple[int, str]:
        """Wait for a service whose turn it is, and take it off the list."""
        with self._changed:
            while True:
                now = time.monotonic()
                due = next((pk for pk in self._waiting if self._is_due(pk, now)), None)
                if due is not None:
                    self._forget(now)
                    self._told[due] = now
                    self._busy = True
                    return due, self._waiting.pop(due)
                self._changed.wait(AGAIN_SECONDS / 10 if self._waiting else None)

    def _is_due(self, service_id: int, now: float) -> bool:
        told = self._told.get(service_id)
        return told is None or now - told >= AGAIN_SECONDS

    def _forget(self, now: float) -> None:
        """Keep no record of services that may be announced again anyway."""
        if len(self._told) > len(self._waiting) + 1000:
            self._told = {pk: at for pk, at in self._told.items() if now - at < AGAIN_SECONDS}


publisher = Publisher()
announcer = Announcer(publisher)


def start_anew() -> None:
    """Give a forked process an announcer of its own: threads and held locks stay with the parent."""
    global announcer
    announcer = Announcer(publisher)


os.register_at_fork(after_in_child=start_anew)
atexit.register(lambda: announcer.drain(conf.PUBLISH_SECONDS))


def send(name: str, *ids: int, queue: str = "") -> bool:
    """Send a task by its name with primary keys. Never raises; returns whether the broker took it."""
    return publisher.send(name, *ids, queue=queue)


def wake(service: Service) -> None:
    """Tell a worker that something waits for this service."""
    send(RUN, service.pk, queue=service.queue)


def wake_on_commit(service: Service) -> None:
    """Have a worker told after the transaction is stored; an error there never reaches the caller."""
    service_id, queue = service.pk, service.queue
    transaction.on_commit(lambda: announcer.announce(service_id, queue), robust=True)
