"""Waking a worker: the message is a hint, the row is the truth.

Publishing never raises and never takes longer than a bounded time, whatever the broker does. A lost message costs
seconds: the sweep finds what waits.
"""

import logging
import threading
from typing import Any

from celery import Celery, current_app
from django.db import transaction

from ftp_deploy.conf import conf
from ftp_deploy.models import Service

logger = logging.getLogger(__name__)

STUCK_LIMIT = 8
"""Publishers that may hang at one time; further messages are left to the sweep until one of them returns."""


class Publisher:
    """Sends Celery messages from short-lived threads, so that a broker that hangs never holds up a request."""

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
        thread = threading.Thread(target=self._publish, args=(app, name, ids, queue, taken), daemon=True)
        thread.start()
        thread.join(conf.PUBLISH_SECONDS)
        return taken.is_set() or (thread.is_alive() and self._failed(name, "the broker does not answer"))

    def _publish(self, app: Celery, name: str, ids: tuple[int, ...], queue: str, taken: threading.Event) -> None:
        options: dict[str, Any] = {"queue": queue} if queue else {}
        try:
            app.send_task(name, args=ids, retry=False, ignore_result=True, **options)
            taken.set()
        except Exception as error:  # noqa: BLE001 - whatever a broker client raises, the push is stored already
            self._failed(name, type(error).__name__)
        finally:
            self._free.release()

    def _failed(self, name: str, reason: str) -> bool:
        self.failures += 1
        logger.warning("%s was not published (%s); the sweep will find what waits.", name, reason)
        return False


publisher = Publisher()


def send(name: str, *ids: int, queue: str = "") -> bool:
    """Send a task by its name with primary keys. Never raises; returns whether the broker took it."""
    return publisher.send(name, *ids, queue=queue)


def wake(service: Service) -> None:
    """Tell a worker that something waits for this service."""
    send("ftp_deploy.run", service.pk, queue=service.queue)


def wake_on_commit(service: Service) -> None:
    """Wake after the transaction is stored; an error there never reaches the caller."""
    transaction.on_commit(lambda: wake(service), robust=True)
