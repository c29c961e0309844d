"""``/metrics`` for Prometheus: what the database knows, read at each scrape, right with any number of processes."""

from collections.abc import Iterator

from django.contrib.auth.decorators import login_not_required
from django.db.models import Avg, Count, F, Max, Min, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from ftp_deploy.deploys.sweep import last_sweep_age
from ftp_deploy.models import Deploy, Service
from ftp_deploy.models.deploy import DeployState
from ftp_deploy.models.service import ServiceStatus
from ftp_deploy.standalone.site import site

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What ``generate_latest`` writes; the library has a name for it only in its later releases."""


class DatabaseCollector:
    """Gauges made from the rows of the app. Counting rows again makes them right after a restart and on any machine."""

    def collect(self) -> Iterator[Metric]:
        """Yield each gauge with its values as they are now."""
        yield self.services()
        yield self.deploys()
        yield from self.queue()
        yield from self.per_service()
        age = last_sweep_age()
        if age is not None:
            yield GaugeMetricFamily("ftp_deploy_sweep_age_seconds", "Time since the last sweep.", age.total_seconds())

    def services(self) -> Metric:
        """How many services have each status."""
        gauge = GaugeMetricFamily("ftp_deploy_services", "Services by status.", labels=["status"])
        counted = dict(Service.objects.order_by().values_list("status").annotate(Count("pk")))
        for status in ServiceStatus:
            gauge.add_metric([status.value], counted.get(status.value, 0))
        return gauge

    def deploys(self) -> Metric:
        """How many deploys are in each state."""
        gauge = GaugeMetricFamily("ftp_deploy_deploys", "Deploys in the log by state.", labels=["state"])
        counted = dict(Deploy.objects.order_by().values_list("state").annotate(Count("pk")))
        for state in DeployState:
            gauge.add_metric([state.value], counted.get(state.value, 0))
        return gauge

    def queue(self) -> Iterator[Metric]:
        """How long the oldest waiting deploy has waited."""
        oldest = Deploy.objects.filter(state=DeployState.QUEUED).aggregate(oldest=Min("created_at"))["oldest"]
        waited = (timezone.now() - oldest).total_seconds() if oldest else 0.0
        yield GaugeMetricFamily("ftp_deploy_oldest_waiting_seconds", "Age of the oldest waiting deploy.", waited)

    def per_service(self) -> Iterator[Metric]:
        """When each service last went live, how long its deploys take, and what they sent."""
        last = GaugeMetricFamily(
            "ftp_deploy_last_success_timestamp_seconds", "Time of the last successful deploy.", labels=["service"]
        )
        mean = GaugeMetricFamily(
            "ftp_deploy_duration_seconds_mean",
            "Mean duration of the successful deploys in the log.",
            labels=["service"],
        )
        sent = GaugeMetricFamily(
            "ftp_deploy_bytes_sent", "Bytes sent by the successful deploys in the log.", labels=["service"]
        )
        rows = (
            Deploy.objects.filter(state=DeployState.SUCCEEDED, started_at__isnull=False, finished_at__isnull=False)
            .order_by()
            .values("service_id")
            .annotate(last=Max("finished_at"), mean=Avg(F("finished_at") - F("started_at")), sent=Sum("bytes_done"))
        )
        for row in rows:
            labels = [str(row["service_id"])]
            last.add_metric(labels, row["last"].timestamp())
            mean.add_metric(labels, row["mean"].total_seconds())
            sent.add_metric(labels, row["sent"])
        yield from (last, mean, sent)


def allowed(request: HttpRequest) -> bool:
    """Whether this request may read the metrics: a signed-in member of staff, or the bearer of ``METRICS_TOKEN``."""
    if request.user.is_authenticated and request.user.is_staff:
        return True
    token = site.METRICS_TOKEN
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    return bool(token) and constant_time_compare(given, token)


@never_cache
@require_safe
@login_not_required
def metrics(request: HttpRequest) -> HttpResponse:
    """The metrics in the Prometheus text format; 403 without the token."""
    if not allowed(request):
        return HttpResponse("Send METRICS_TOKEN as a bearer token.\n", status=403, content_type="text/plain")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DatabaseCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE)
