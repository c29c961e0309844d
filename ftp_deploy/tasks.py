"""The Celery tasks: thin, each takes primary keys only, each may run twice or never without harm.

``shared_task`` makes them part of a project's own Celery app as well as of ``ftp_deploy.celery``. Beat entries are
added to whichever app is in use, unless ``FTP_DEPLOY_PERIODIC_TASKS`` is off.
"""

import logging
import mmap
from datetime import datetime
from typing import Any

from celery import Celery, current_app, shared_task, signals
from celery._state import connect_on_app_finalize
from celery.schedules import schedule

from ftp_deploy.conf import conf
from ftp_deploy.deploys.wakeup import send, wake, wake_on_commit

__all__ = ["notify", "reconcile", "run", "send", "sweep", "validate", "wake", "wake_on_commit"]

logger = logging.getLogger(__name__)


class SharedFlag:
    """A flag that processes share which are forked later: one byte of memory.

    An event of ``multiprocessing`` has a lock. A process that is killed while it looks would keep it for ever, and a
    signal handler that interrupts a look would wait for itself.
    """

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, 1)

    def set(self) -> None:
        """Set it, for all of them."""
        self._page[0] = 1

    def clear(self) -> None:
        """Take it back."""
        self._page[0] = 0

    def is_set(self) -> bool:
        """Say whether one of them has set it."""
        return self._page[0] != 0


stopping = SharedFlag()
"""Set in every process of a worker that was asked to stop: made before the pool forks, so all share it."""
VALIDATE_DUE_SECONDS = 60.0
SOFT_SHUTDOWN = 20.0
"""Seconds in which a worker is to stop where ``worker_soft_shutdown_timeout`` says nothing."""
SHARE = 0.6
"""Of that time files under way may use so much; the rest is for closing connections and handing back."""


def patience() -> float:
    """Return how many seconds a stopping worker gives the files that are under way."""
    return float(current_app.conf.worker_soft_shutdown_timeout or SOFT_SHUTDOWN) * SHARE


def is_pent_up(request: Any, name: str, period: float) -> bool:
    """Say whether a periodic message waited for a worker, together with others of its kind that one has taken.

    After an hour without workers hundreds of them come at once: each would announce, or have checked, the same services
    again. Only beat's messages run out; who else asks means it.
    """
    from ftp_deploy.deploys.sweep import done_lately

    return bool(request.expires) and done_lately(name, period / 2)


@shared_task(name="ftp_deploy.run")
def run(service_id: int) -> None:
    """Deploy what waits for a service."""
    from ftp_deploy.deploys.runner import run_service

    run_service(service_id, stopping.is_set, patience())


@shared_task(name="ftp_deploy.sweep", bind=True)
def sweep(self: Any) -> None:
    """Wake the services for which something waits that no message announced."""
    from ftp_deploy.deploys.sweep import sweep as find_waiting

    if not is_pent_up(self.request, "sweep", float(conf.SWEEP_SECONDS)):
        find_waiting()


@shared_task(name="ftp_deploy.reconcile")
def reconcile() -> None:
    """Ask the forges for pushes that no webhook told of."""
    from ftp_deploy.deploys.reconcile import reconcile_due

    reconcile_due(stopping.is_set)


@shared_task(name="ftp_deploy.notify")
def notify(deploy_id: int) -> None:
    """Tell the people concerned how a deploy ended, with all its commits."""
    from ftp_deploy import notifications
    from ftp_deploy.deploys.commit_list import fill_up
    from ftp_deploy.models import Deploy

    related = ("service__notification", "service__account")
    deploy = Deploy.objects.select_related(*related).filter(pk=deploy_id).first()
    if deploy is not None:
        fill_up(deploy)
        notifications.send(deploy, stopping.is_set)


@shared_task(name="ftp_deploy.deliver")
def deliver() -> None:
    """Send the messages that wait: new ones, and those that could not be sent before."""
    from ftp_deploy.notifications import deliver_due

    deliver_due(stopping.is_set)


@shared_task(name="ftp_deploy.validate")
def validate(service_id: int) -> None:
    """Check a service from end to end and store what was found."""
    from ftp_deploy import validation
    from ftp_deploy.models import Service

    service = Service.objects.filter(pk=service_id).first()
    if service is not None:
        validation.validate(service)


@shared_task(name="ftp_deploy.validate_due", bind=True)
def validate_due(self: Any) -> None:
    """Send the validations whose time has come."""
    from ftp_deploy.deploys.sweep import services_to_validate

    if is_pent_up(self.request, "validate", VALIDATE_DUE_SECONDS):
        return
    for service_id in services_to_validate():
        send("ftp_deploy.validate", service_id)


@shared_task(name="ftp_deploy.prune")
def prune() -> None:
    """Delete the file lists, logs and messages of deploys that ended long ago."""
    from ftp_deploy.deploys.retention import prune as delete_old

    delete_old()


SKEW = 4 * 3600.0
"""Seconds after which a periodic message is dropped that no worker took, at least. The receiver's clock decides: were
this shorter than the clocks of two machines may differ, one of them would drop all that the other sends."""


class Every(schedule):  # type: ignore[misc]
    """A period that a clock set back does not stretch: what was last done in the future is due."""

    def is_due(self, last_run_at: datetime) -> tuple[bool, float]:
        """Say whether it is time, and how many seconds to wait before asking again."""
        if self.maybe_make_aware(last_run_at) > self.now():
            return True, self.run_every.total_seconds()
        due, seconds = super().is_due(last_run_at)
        return due, seconds


@connect_on_app_finalize
def add_periodic_tasks(app: Celery) -> None:
    """Give beat its entries, in whichever app these tasks live."""
    app.on_after_finalize.connect(_schedule, weak=False)


def _schedule(sender: Celery, **_kwargs: Any) -> None:
    from django.conf import settings

    if not (settings.configured or _settings_are_named()) or not conf.PERIODIC_TASKS:
        return
    every: list[tuple[str, float]] = [
        ("ftp_deploy.sweep", float(conf.SWEEP_SECONDS)),
        ("ftp_deploy.deliver", 30.0),
        ("ftp_deploy.prune", 6 * 3600.0),
        ("ftp_deploy.reconcile", 30.0 if conf.RECONCILE_SECONDS else 0.0),
        ("ftp_deploy.validate_due", VALIDATE_DUE_SECONDS if conf.VALIDATE_SECONDS else 0.0),
    ]
    for name, seconds in every:
        if seconds:
            sender.add_periodic_task(Every(seconds), sender.signature(name), name=name, expires=max(seconds * 4, SKEW))


def _settings_are_named() -> bool:
    import os

    return bool(os.environ.get("DJANGO_SETTINGS_MODULE"))


@signals.worker_ready.connect
def sweep_at_start(**_kwargs: Any) -> None:
    """Look for what a dead worker left, without waiting for beat."""
    send("ftp_deploy.sweep")


@signals.worker_shutting_down.connect
def stop_runs(**_kwargs: Any) -> None:
    """Ask every running deploy of this worker to hand back its work."""
    stopping.set()
