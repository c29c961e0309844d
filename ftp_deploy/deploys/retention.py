"""Pruning: file lists, logs and messages of deploys that ended long ago. The deploys themselves stay."""

from datetime import timedelta

from django.db import models
from django.utils import timezone

from ftp_deploy.conf import conf
from ftp_deploy.models import Change, LeaseEvent, LogLine, Message
from ftp_deploy.models.deploy import FINAL

BATCH = 5000
"""Rows of one DELETE: each is a short transaction, so that nobody waits for it."""


def prune(days: int | None = None) -> dict[str, int]:
    """Delete what is older than ``days`` (default: ``FTP_DEPLOY_CHANGE_RETENTION_DAYS``); return counts by model.

    A file that still lies on a server under a temporary name keeps its row: the next deploy removes it there.
    """
    before = timezone.now() - timedelta(days=conf.CHANGE_RETENTION_DAYS if days is None else days)
    ended = {"deploy__state__in": FINAL, "deploy__finished_at__lt": before}
    return {
        "changes": _delete(Change.objects.filter(**ended, temporary_path="")),
        "log lines": _delete(LogLine.objects.filter(**ended)),
        "messages": _delete(Message.objects.filter(created_at__lt=before)),
        "lease events": _delete(LeaseEvent.objects.filter(at__lt=before)),
    }


def _delete(rows: "models.QuerySet[models.Model]") -> int:
    deleted = 0
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        deleted += rows.model._base_manager.filter(pk__in=keys).delete()[0]
    return deleted
