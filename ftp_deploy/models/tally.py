"""What the deploys of a service came to, by day and by week: the statistics of years without reading a million rows."""

from django.db import models


class Span(models.IntegerChoices):
    """How many days a tally covers."""

    DAY = 1
    """One day of the project's time zone."""
    WEEK = 7
    """Monday to Sunday: what is read where a year is shown."""


class Tally(models.Model):
    """The ended deploys of one service that arrived on one day or in one week; ``deploys.tallies`` writes it."""

    Span = Span

    service_id: int
    service = models.ForeignKey("ftp_deploy.Service", models.CASCADE, related_name="tallies")
    span = models.PositiveSmallIntegerField()
    begins = models.DateField()
    succeeded = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    """Those that failed and wait, and those that a restore has put live since."""
    skipped = models.PositiveIntegerField(default=0)
    other = models.PositiveIntegerField(default=0)
    """Cancelled and superseded ones."""
    files = models.PositiveBigIntegerField(default=0)
    bytes = models.PositiveBigIntegerField(default=0)
    slowest = models.FloatField(default=0)
    """Seconds that the slowest one took of those that went live."""

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["span", "begins"], name="ftp_deploy_tally_begins")]
        constraints = [models.UniqueConstraint(fields=["service", "span", "begins"], name="ftp_deploy_tally_once")]

    def __str__(self) -> str:
        return f"{self.begins} + {self.span}"
