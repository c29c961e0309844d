"""Which deploy of a service runs next: strictly from the head of the line."""

from django.db import transaction
from django.db.models import BooleanField, Case, ExpressionWrapper, F, Q, QuerySet, Value, When
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
DUE = ExpressionWrapper(Q(next_attempt_at=None) | Q(next_attempt_at__lte=Now()), output_field=BooleanField())
"""Whether a deploy may be tried now, by the database's clock."""


def take_next(lease: Lease) -> Deploy | None:
    """Mark the next deploy of the leased service as running and return it; None where nothing is due.

    The attempt is counted here, in the same transaction: a deploy that kills its worker again and again is noticed
    and recorded as failed. Pushes that wait together become one run of the newest; the others name that run.
    Raises ``LeaseLost``.
    """
    with transaction.atomic():
        if not lease.mine().update(lease_until=after(conf.LEASE_SECONDS)):
            raise LeaseLost
        _count_crashes(lease.service_id)
        while (head := _due_head(lease.service_id)) is not None:
            service = Service.objects.select_related("account").get(pk=lease.service_id)
            group = _group(service, head)
            if group[-1].crashes < conf.MAX_CRASHES:
                return _start(service, group, lease.epoch) if service.enabled else None
            _park(group)
        return None


def _count_crashes(service_id: int) -> None:
    """Put back what a dead worker left running. MySQL reads what it has set already, so ``run`` is set last."""
    one_more = Case(When(run=None, then=Value(1)), default=Value(0))
    left = Deploy.objects.filter(service=service_id, state=Deploy.State.RUNNING)
    left.update(crashes=F("crashes") + one_more, state=Deploy.State.QUEUED, run=None)


def _group(service: Service, head: Deploy) -> list[Deploy]:
    """Return the deploys that run together with the first of the line, the newest last."""
    if head.kind != Deploy.Kind.PUSH or not service.combine_pushes:
        return [head]
    group = []
    for deploy in _line(service.pk).filter(position__gte=head.position):
        if deploy.kind != Deploy.Kind.PUSH or deploy.branch != head.branch:
            break
        group.append(deploy)
    group[-1].crashes = max(deploy.crashes for deploy in group)
    return group


def _line(service_id: int) -> QuerySet[Deploy]:
    return Deploy.objects.filter(service=service_id, state__in=UNFINISHED).in_order().only(*GROUPING)


def _due_head(service_id: int) -> Deploy | None:
    """Return the first of the line; None where nothing waits, or where it has to wait and all others with it."""
    head = _line(service_id).annotate(due=DUE).first()
    return head if head is not None and head.due else None


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


def _start(service: Service, group: list[Deploy], epoch: int) -> Deploy:
    chosen = Deploy.objects.get(pk=group[-1].pk)
    chosen.service = service
    chosen.crashes = group[-1].crashes
    chosen.state = Deploy.State.RUNNING
    chosen.attempts += 1
    chosen.epoch = epoch
    chosen.next_attempt_at = None
    chosen.started_at = chosen.started_at or timezone.now()
    chosen.finished_at = None
    chosen.error = chosen.error_kind = chosen.advice = ""
    chosen.order_unknown = any(deploy.order_unknown for deploy in group)
    chosen.save(update_fields=STARTED)
    others = [deploy.pk for deploy in group[:-1]]
    Deploy.objects.filter(pk__in=others).update(
        state=Deploy.State.RUNNING, run=chosen, epoch=epoch, started_at=chosen.started_at
    )
    return chosen


STARTED = (
    *("state", "crashes", "attempts", "epoch", "next_attempt_at", "started_at", "finished_at"),
    *("error", "error_kind", "advice", "order_unknown"),
)
"""The columns that a start sets."""
