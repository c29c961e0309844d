"""How a run ends: every final transition of a running deploy stands here.

Each one proves in its transaction that the lease is still held, so a run that lost it writes nothing.
"""

import logging
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from ftp_deploy.conf import conf
from ftp_deploy.deploys import tallies
from ftp_deploy.deploys.lease import Lease, after
from ftp_deploy.deploys.wakeup import send
from ftp_deploy.exceptions import FTPDeployError, LeaseLost, LoginRefused
from ftp_deploy.models import Deploy, Service, ServiceManifest
from ftp_deploy.signals import deploy_finished

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 900.0
"""Seconds between two attempts at most, however often a deploy is tried."""

CARRYING = (Deploy.Kind.PUSH, Deploy.Kind.MANUAL, Deploy.Kind.FULL, Deploy.Kind.RESTORE)
"""Kinds whose tree holds what earlier failed deploys were to put live."""


def succeeded(lease: Lease, deploy: Deploy, commit: str) -> None:
    """Record that ``commit`` is live; failed deploys before it are thereby restored."""
    with transaction.atomic():
        _hold(lease)
        ServiceManifest.objects.filter(service=deploy.service_id).update(commit=commit)
        _end(lease, deploy, Deploy.State.SUCCEEDED, commit=commit, current_file="")
        if deploy.kind in CARRYING:
            earlier = Deploy.objects.filter(
                service=deploy.service_id, state=Deploy.State.FAILED, position__lt=deploy.position
            )
            if earlier.exists():
                _restore(deploy, earlier)
    _tell(deploy)


def _restore(deploy: Deploy, earlier: QuerySet[Deploy]) -> None:
    """Say of failed deploys that ``deploy`` made up for them; a failed roll back has nothing that is live now."""
    rolled_back = earlier.filter(kind=Deploy.Kind.ROLLBACK)
    tallies.move(deploy.service_id, rolled_back, Deploy.State.FAILED, Deploy.State.SUPERSEDED)
    rolled_back.update(state=Deploy.State.SUPERSEDED, run=deploy)
    earlier.update(state=Deploy.State.RESTORED, run=deploy)


def superseded(lease: Lease, deploy: Deploy) -> None:
    """Record that a newer commit than this deploy's is live already."""
    with transaction.atomic():
        _hold(lease)
        _end(lease, deploy, Deploy.State.SUPERSEDED)


def cancelled(lease: Lease, deploy: Deploy) -> None:
    """Record that a person stopped the deploy before its switch; the pushes it carried wait no longer either."""
    with transaction.atomic():
        _hold(lease)
        _end(lease, deploy, Deploy.State.CANCELLED, cancel_requested=False)
    deploy_finished.send_robust(sender=Deploy, deploy=deploy)


def failed(lease: Lease, deploy: Deploy, error: FTPDeployError) -> None:
    """Record a failure, or put the deploy back for a later attempt where the error may pass by itself."""
    if error.transient and deploy.attempts < conf.MAX_ATTEMPTS:
        pause = min(conf.RETRY_SECONDS * 2 ** (deploy.attempts - 1), LONGEST_PAUSE)
        hand_back(lease, deploy, error, pause)
        return
    with transaction.atomic():
        _hold(lease)
        _end(
            lease,
            deploy,
            Deploy.State.FAILED,
            error=error.message,
            error_kind=type(error).__name__,
            advice=error.advice,
        )
        if isinstance(error, LoginRefused):
            # A check would log in with the same password again, and servers lock accounts after a few tries.
            refused = Service.objects.filter(pk=deploy.service_id)
            refused.update(status=Service.Status.FAILING, status_message=error.message)
    _tell(deploy, check=not isinstance(error, LoginRefused))


def hand_back(lease: Lease, deploy: Deploy, error: FTPDeployError | None = None, delay: float = 0) -> None:
    """Put a deploy back into the line, to go on where it stopped, at once or after ``delay`` seconds."""
    values: dict[str, Any] = {"next_attempt_at": after(delay) if delay else None}
    if error is None:
        values["attempts"] = max(deploy.attempts - 1, 0)  # A stopping worker is nobody's failed attempt.
    else:
        values |= {"error": error.message, "error_kind": type(error).__name__, "advice": error.advice}
    with transaction.atomic():
        _hold(lease)
        _rows(lease, deploy).update(state=Deploy.State.QUEUED, **values)
        Deploy.objects.filter(run=deploy, state=Deploy.State.RUNNING).update(
            state=Deploy.State.QUEUED, run=None, next_attempt_at=values["next_attempt_at"]
        )


def _hold(lease: Lease) -> None:
    if not lease.mine().update(lease_until=after(conf.LEASE_SECONDS)):
        raise LeaseLost


def _rows(lease: Lease, deploy: Deploy) -> Any:
    return Deploy.objects.filter(pk=deploy.pk, epoch=lease.epoch, state=Deploy.State.RUNNING)


def _end(lease: Lease, deploy: Deploy, state: str, **values: Any) -> None:
    values |= {"state": state, "finished_at": timezone.now(), "next_attempt_at": None}
    ending = _rows(lease, deploy) | Deploy.objects.filter(run=deploy, state=Deploy.State.RUNNING)
    tallies.count(deploy.service_id, ending, state, finished_at=values["finished_at"])
    if not _rows(lease, deploy).update(**values):
        raise LeaseLost
    for name, value in values.items():
        setattr(deploy, name, value)
    names = ("state", "finished_at", "commit", "error_kind")
    shared: dict[str, Any] = {name: values[name] for name in names if name in values}
    if state == Deploy.State.FAILED:
        shared["error"] = f"Part of deploy #{deploy.pk}: {values['error']}"
    Deploy.objects.filter(run=deploy, state=Deploy.State.RUNNING).update(**shared)


def _tell(deploy: Deploy, *, check: bool = True) -> None:
    deploy_finished.send_robust(sender=Deploy, deploy=deploy)
    send("ftp_deploy.notify", deploy.pk)
    if check:
        send("ftp_deploy.validate", deploy.service_id)
