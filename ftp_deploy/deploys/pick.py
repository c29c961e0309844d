"""Which deploy of a service runs next: strictly from the head of the line."""

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from ftp_deploy.conf import conf
from ftp_deploy.deploys import tallies
from ftp_deploy.deploys.lease import Lease, after
from ftp_deploy.exceptions import LeaseLost
from ftp_deploy.models import Deploy, Service
from ftp_deploy.models.deploy import UNFINISHED

GROUPING = ("service", "kind", "branch", "position", "crashes", "order_unknown")
"""The columns that decide about a group: a line may be long, and its other columns large."""


def take_next(lease: Lease) -> Deploy | None:
    """Mark the next deploy of the leased service as running and return it; None where nothing is due.

    The attempt is counted here, in the same transaction: a deploy that kills its worker again and again is noticed
    and recorded as failed. Pushes that wait together become one run of the newest; the others name that run.
    Raises ``LeaseLost``.
    """
    with transaction.atomic():
        if not lease.mine().update(lease_until=after(conf.LEASE_SECONDS)):
            raise LeaseLost
        service = Service.objects.get(pk=lease.service_id)
        _count_crashes(service)
        group = _due_group(service)
        while group and group[-1].crashes >= conf.MAX_CRASHES:
            _park(group)
            group = _due_group(service)
        if not group or not service.enabled:
            return None
        return _start(group, lease.epoch)


def _count_crashes(service: Service) -> None:
    """Put back what a dead worker left running."""
    left = service.deploys.filter(state=Deploy.State.RUNNING)
    left.filter(run=None).update(crashes=F("crashes") + 1, state=Deploy.State.QUEUED)
    left.update(state=Deploy.State.QUEUED, run=None)


def _due_group(service: Service) -> list[Deploy]:
    """Return the deploys that run together now, the one that runs last; empty where the head has to wait."""
    line = service.deploys.filter(state__in=UNFINISHED).in_order().only(*GROUPING)
    head = line.first()
    if head is None or not _is_due(head):
        return []
    if head.kind != Deploy.Kind.PUSH or not service.combine_pushes:
        return [head]
    group = []
    for deploy in line.filter(position__gte=head.position):
        if deploy.kind != Deploy.Kind.PUSH or deploy.branch != head.branch:
            break
        group.append(deploy)
    group[-1].crashes = max(deploy.crashes for deploy in group)
    return group


def _is_due(deploy: Deploy) -> bool:
    return (
        Deploy.objects.filter(Q(next_attempt_at=None) | Q(next_attempt_at__lte=Now()), pk=deploy.pk).only("pk").exists()
    )


def _park(group: list[Deploy]) -> None:
    """Record deploys that killed their worker too often as failed, so that the service goes on with the next."""
    parked = Deploy.objects.filter(pk__in=[deploy.pk for deploy in group])
    tallies.count(group[-1].service_id, parked, Deploy.State.FAILED)
    parked.update(
        state=Deploy.State.FAILED,
        finished_at=timezone.now(),
        error=f"The worker died {group[-1].crashes} times while this deploy ran.",
        error_kind="WorkerDied",
        advice="Look into the worker's log and the machine's memory, then try again.",
    )


def _start(group: list[Deploy], epoch: int) -> Deploy:
    chosen = Deploy.objects.get(pk=group[-1].pk)
    chosen.crashes = group[-1].crashes
    chosen.state = Deploy.State.RUNNING
    chosen.attempts += 1
    chosen.epoch = epoch
    chosen.next_attempt_at = None
    chosen.started_at = chosen.started_at or timezone.now()
    chosen.finished_at = None
    chosen.error = chosen.error_kind = chosen.advice = ""
    chosen.order_unknown = any(deploy.order_unknown for deploy in group)
    chosen.save()
    others = [deploy.pk for deploy in group[:-1]]
    Deploy.objects.filter(pk__in=others).update(
        state=Deploy.State.RUNNING, run=chosen, epoch=epoch, started_at=chosen.started_at
    )
    return chosen
