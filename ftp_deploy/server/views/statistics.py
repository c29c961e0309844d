"""Statistics: how often, how fast, how well."""

from datetime import timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.generic import TemplateView

from ftp_deploy.access import services_for
from ftp_deploy.deploys import tallies
from ftp_deploy.models import Service
from ftp_deploy.server import figures
from ftp_deploy.server.live import version
from ftp_deploy.server.views.base import Page
from ftp_deploy.server.views.log import number

TIMES = (7, 30, 90, 365)
KEPT = 60
"""Seconds for which counted figures are shown again."""


class Statistics(Page, TemplateView):
    """The figures of one service or of all, over a chosen time."""

    template_name = "ftp_deploy/server/statistics.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Count, or take what was counted less than a minute ago."""
        days = number(self.request.GET.get("days", "")) or 30
        days = days if days in TIMES else 30
        services = services_for(self.request.user)
        asked = number(self.request.GET.get("service", ""))
        service = services.filter(pk=asked).first() if asked else None
        zone = timezone.get_current_timezone()
        key = "ftpdeploy:figures:" + version(self.request.user.pk, days, service and service.pk, str(zone))
        found = cache.get(key)
        if found is None:
            found = self.count(services, service, days)
            if found.deploys:
                cache.set(key, found, KEPT)
        return super().get_context_data(
            figures=found,
            chosen_service=service,
            days=days,
            times=TIMES,
            charts=self.charts(found),
            **kwargs,
        )

    def count(self, services: QuerySet[Service], service: Service | None, days: int) -> figures.Figures:
        """Count the deploys of the last ``days`` days, today included."""
        today = tallies.day_of(timezone.now())
        seen: Any = services
        if service is not None:
            seen = [service.pk]
        elif self.request.user.is_superuser:
            seen = None
        return figures.collect(seen, today - timedelta(days=days - 1), today, timezone.get_current_timezone())

    def charts(self, found: figures.Figures) -> dict[str, Any]:
        """Return what the charts' script draws."""
        return {
            "days": [day.isoformat() for day in found.days],
            "outcomes": [
                {"label": _("Success"), "tone": "good", "values": found.by_day["succeeded"]},
                {"label": _("Failed"), "tone": "bad", "values": found.by_day["failed"]},
                {"label": _("Skipped"), "tone": "warn", "values": found.by_day["skipped"]},
                {"label": _("Other"), "tone": "line-strong", "values": found.by_day["other"]},
            ],
            "hours": found.by_hour,
            "deploys": _("Deploys"),
        }
