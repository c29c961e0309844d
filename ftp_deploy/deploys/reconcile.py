"""Reconcile: ask each forge for the head of each branch, because forges do not repeat what we missed.

Spread over time: each call looks at a few services, those not looked at for longest, few per forge.
"""

import logging
from datetime import timedelta

from django.db.models import F, Q
from django.utils import timezone

from ftp_deploy.conf import conf
from ftp_deploy.deploys.lease import StopAsked, never
from ftp_deploy.deploys.queue import newest_push, record_push
from ftp_deploy.deploys.source import git_source
from ftp_deploy.exceptions import FTPDeployError
from ftp_deploy.models import Deploy, Heartbeat, Service
from ftp_deploy.providers.base import PushEvent
from ftp_deploy.repository import git

logger = logging.getLogger(__name__)

PER_FORGE = 20
"""Look-ups per forge and call."""


def reconcile_due(stop_asked: StopAsked = never) -> int:
    """Reconcile the services whose time has come, until asked to stop; return how many pushes were found."""
    found = 0
    for service in _due():
        if stop_asked():
            break
        Service.objects.filter(pk=service.pk).update(reconciled_at=timezone.now())
        try:
            found += reconcile(service) is not None
        except FTPDeployError as error:
            logger.info("Service %s was not reconciled: %s", service.pk, error)
    Heartbeat.objects.update_or_create(name="reconcile", defaults={"at": timezone.now()})
    return found


def reconcile(service: Service) -> Deploy | None:
    """Queue a deploy when the branch on the forge is ahead of the newest push; return it, or None."""
    newest = newest_push(service)
    if newest is None:
        return None  # The first push, or a person, starts a service.
    head = git.branch_head(git_source(service), service.branch)
    if head == newest.after or _is_known(service, head):
        return None
    event = PushEvent(branch=service.branch, before=newest.after, after=head, complete=False)
    recorded = record_push(service, "", event)
    return recorded.deploy if recorded.created else None


def _is_known(service: Service, head: str) -> bool:
    """Say whether the newest deploy already put this head live, or is about to."""
    latest = service.deploys.exclude(state=Deploy.State.SUPERSEDED).order_by("-position", "-pk").first()
    return latest is not None and head in (latest.after, latest.commit)


def _due() -> list[Service]:
    if not conf.RECONCILE_SECONDS:
        return []
    oldest = timezone.now() - timedelta(seconds=conf.RECONCILE_SECONDS)
    due = Service.objects.filter(Q(reconciled_at=None) | Q(reconciled_at__lt=oldest), enabled=True)
    taken: dict[str, int] = {}
    chosen = []
    for service in due.select_related("account").order_by(F("reconciled_at").asc(nulls_first=True))[: PER_FORGE * 10]:
        taken[service.provider] = taken.get(service.provider, 0) + 1
        if taken[service.provider] <= PER_FORGE:
            chosen.append(service)
    return chosen
