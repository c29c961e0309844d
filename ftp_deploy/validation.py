"""The checks of a service: the server (host, login, path) and the repository (login, repository, branch, hook).

Four inspections run at the same time in threads of their own, on plain data: no thread touches the database. Whatever
has not answered after 15 seconds is recorded as such, so that the whole always ends.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from ftp_deploy import audit, door, inspections
from ftp_deploy.conf import conf
from ftp_deploy.exceptions import FTPDeployError
from ftp_deploy.inspections import Check, Findings, Inspection, State
from ftp_deploy.models import Deploy, Service
from ftp_deploy.signals import service_status_changed

__all__ = ["Check", "State", "validate"]

logger = logging.getLogger(__name__)

LIMIT_SECONDS = 15.0


def validate(service: Service) -> list[Check]:
    """Run all checks of a service, store what they found, and tell those who want to know of a change.

    Takes at most about 15 seconds. The service given is brought up to date as well.
    """
    asked = timezone.now()
    findings = Findings()
    run_at_once(prepared(service, findings), findings)
    checks = findings.checks()
    store(service, findings, checks, asked)
    return checks


@sensitive_variables()
def prepared(service: Service, findings: Findings) -> Mapping[str, Inspection]:
    """Return the inspections of a service by name; what cannot even be prepared is already a finding."""
    last_push = Deploy.objects.filter(service=service, kind=Deploy.Kind.PUSH).order_by("-pk").first()
    builders: dict[str, Callable[[], Inspection]] = {
        "server": lambda: inspections.server(service),
        "forge": lambda: inspections.forge(service, wants_addresses(service)),
        "git": lambda: inspections.git(service),
        "hook": lambda: inspections.hook(service, last_push.created_at if last_push else None),
    }
    ready: dict[str, Inspection] = {}
    for name, build in builders.items():
        try:
            ready[name] = build()
        except FTPDeployError as error:
            findings.fail(inspections.COVERED[name][0], error)
    return ready


def wants_addresses(service: Service) -> bool:
    """Whether the forge's published addresses are to be fetched for the allow-list."""
    return conf.WEBHOOK_ALLOWED_ADDRESSES.get(service.provider) == door.PUBLISHED


def run_at_once(ready: Mapping[str, Inspection], findings: Findings) -> None:
    """Run inspections side by side, and note those that did not end in time."""
    threads = {
        name: threading.Thread(target=guarded, args=(inspection, name, findings), daemon=True, name=f"check-{name}")
        for name, inspection in ready.items()
    }
    for thread in threads.values():
        thread.start()
    end = time.monotonic() + LIMIT_SECONDS
    for thread in threads.values():
        thread.join(max(0.0, end - time.monotonic()))
    findings.close()


def guarded(inspection: Inspection, name: str, findings: Findings) -> None:
    """Run one inspection; an error that it did not expect is a finding too."""
    try:
        inspection(findings)
    except FTPDeployError as error:
        findings.fail(findings.next_of(name), error)
    except Exception:
        logger.exception("The check of the %s broke.", name)
        findings.fail(findings.next_of(name), FTPDeployError("This check broke; the log of the worker tells more."))


def store(service: Service, findings: Findings, checks: list[Check], asked: datetime) -> None:
    """Store the result, follow a renamed repository, and send the signal once where the status changed.

    A validation that began later and is stored already is newer than this one: it stays.
    """
    failed = [check for check in checks if check.state is State.FAILED]
    status = Service.Status.FAILING if failed else Service.Status.OK
    values: dict[str, Any] = {
        "status": status,
        "status_message": "\n".join(check.sentence for check in failed),
        "checks": [check.as_json() for check in checks],
        "checked_at": asked,
    }
    if findings.traits is not None:
        values["traits"] = findings.traits.as_json()
    if findings.hook_id:
        values["hook_id"] = findings.hook_id[:100]
    before = swap(service, values)
    if findings.addresses:
        door.store_published_networks(service, findings.addresses)
    follow_rename(service, findings.full_name)
    service.refresh_from_db()
    if before is not None and before != status:
        for _receiver, error in service_status_changed.send_robust(Service, service=service, before=before):
            if isinstance(error, Exception):
                logger.error("A receiver of service_status_changed failed.", exc_info=error)


def swap(service: Service, values: Mapping[str, Any]) -> str | None:
    """Write the result and return the status before; of several workers only one sees each change.

    None where the service is gone or a newer result is stored.
    """
    older = Service.objects.filter(Q(checked_at=None) | Q(checked_at__lte=values["checked_at"]), pk=service.pk)
    while True:
        before = older.values_list("status", flat=True).first()
        if before is None:
            return None
        if older.filter(status=before).update(**values):
            return before


def follow_rename(service: Service, full_name: str) -> None:
    """Use the name that the forge has for the repository now: another one may be made under the old name."""
    old = service.repository_slug
    if not full_name or full_name.lower() == old.strip("/").removesuffix(".git").lower():
        return
    if Service.objects.filter(pk=service.pk, repository_slug=old).update(repository_slug=full_name):
        audit.record(None, "repository renamed", service, old, new_name=full_name)
