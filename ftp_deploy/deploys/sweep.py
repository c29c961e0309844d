"""What periodic jobs look for: deploys that no message announced, services whose validation is due."""

from datetime import timedelta

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from ftp_deploy.conf import conf
from ftp_deploy.deploys.lease import free
from ftp_deploy.deploys.wakeup import wake
from ftp_deploy.models import Deploy, Heartbeat, Service
from ftp_deploy.models.deploy import UNFINISHED

BATCH = 500
"""Services woken by one sweep; the next one goes on."""


def due_services() -> QuerySet[Service]:
    """Select services that nobody holds and for which a deploy is due or was left by a dead worker.

    Only the head of a line ever has a later attempt set, and it holds up the whole line until then.
    """
    unfinished = Deploy.objects.filter(service=OuterRef("pk"), state__in=UNFINISHED)
    return Service.objects.filter(
        free(), Exists(unfinished), ~Exists(unfinished.filter(next_attempt_at__gt=Now())), enabled=True
    ).only("pk", "queue")


def is_due(service_id: int) -> Service | None:
    """Return the service if something is due for it, or None."""
    return due_services().filter(pk=service_id).first()


def sweep() -> int:
    """Wake each of them; return how many. Two sweeps at once are harmless: a lease is taken once."""
    services = list(due_services()[:BATCH])
    for service in services:
        wake(service)
    Heartbeat.objects.update_or_create(name="sweep", defaults={"at": timezone.now()})
    return len(services)


def sweep_if_late() -> None:
    """Sweep where nobody did so for the time between two sweeps: without beat, the runs keep things going."""
    if not done_lately("sweep", conf.SWEEP_SECONDS):
        sweep()


def done_lately(name: str, seconds: float) -> bool:
    """Say whether a periodic job ran in the last ``seconds``. A time in the future is another machine's clock."""
    now = timezone.now()
    return Heartbeat.objects.filter(name=name, at__gt=now - timedelta(seconds=seconds), at__lte=now).exists()


def last_sweep_age() -> timedelta | None:
    """Return how long ago the last sweep ran; None where none ever did."""
    stored = Heartbeat.objects.filter(name="sweep").first()
    return timezone.now() - stored.at if stored else None


def stands_still(age: timedelta | None) -> bool:
    """Whether the last sweep is so long ago that no worker with beat seems to run."""
    return age is None or age.total_seconds() > max(60.0, 4 * conf.SWEEP_SECONDS)


def services_to_validate() -> list[int]:
    """Return services whose last validation is too old, the oldest first.

    At most so many at a time that a full round is spread over the validation interval.
    """
    if not conf.VALIDATE_SECONDS:
        return []
    count = Service.objects.filter(enabled=True).count()
    share = max(1, round(count * 60 / conf.VALIDATE_SECONDS) + 1)
    oldest = timezone.now() - timedelta(seconds=conf.VALIDATE_SECONDS)
    due = Service.objects.filter(Q(checked_at=None) | Q(checked_at__lt=oldest), enabled=True)
    Heartbeat.objects.update_or_create(name="validate", defaults={"at": timezone.now()})
    return list(due.order_by(F("checked_at").asc(nulls_first=True)).values_list("pk", flat=True)[:share])
