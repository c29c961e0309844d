"""``migrate-from-2``: services, logs and notifications of a 2.x site, with the passwords encrypted on the way.

May be run again: a notification is known by its name, a service by its security key, a log entry by its number. What
is there already is left as it is.
"""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TextIO

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ftp_deploy.command_line import command
from ftp_deploy.deploys.tallies import recount
from ftp_deploy.management.old_payloads import read_payload
from ftp_deploy.management.old_tables import OldTables, Row
from ftp_deploy.models import Address, Deploy, Notification, Service
from ftp_deploy.models.account import settings_login
from ftp_deploy.models.service import SECRET_KEY_LENGTH, new_secret_key
from ftp_deploy.notifications.recipients import distinct

SOURCES = {"bb": "bitbucket", "gh": "github"}
ON_SUCCESS, ON_FAIL = "0", "1"
"""What the old comma lists ``deploy_user`` and ``commit_user`` hold."""


@dataclass(slots=True)
class Report:
    """What was brought over, and what a person should look at."""

    made: dict[str, int] = field(default_factory=lambda: {"notifications": 0, "services": 0, "deploys": 0})
    kept: dict[str, int] = field(default_factory=lambda: {"notifications": 0, "services": 0, "deploys": 0})
    remarks: list[str] = field(default_factory=list)

    def count(self, kind: str, created: bool) -> None:
        """Count one row."""
        (self.made if created else self.kept)[kind] += 1


def migrate_from_2(options: Namespace, out: TextIO) -> int:
    """Bring the old tables over and say what came of it."""
    tables = OldTables(options.database, options.sqlite, options.prefix)
    tables.check()
    report = Report()
    with transaction.atomic():
        notifications = {row["id"]: _notification(row, report) for row in tables.rows("notification")}
        services = {
            row["id"]: _service(row, notifications, options.owner, report) for row in list(tables.rows("service"))
        }
        _logs(tables, services, report)
        waiting = sum(1 for _ in tables.rows("task"))
        if options.dry_run:
            transaction.set_rollback(True)
    if waiting:
        report.remarks.append(f"{waiting} tasks were waiting in the old queue; deploy those services once.")
    _write(report, out, options.dry_run)
    return 0


def _write(report: Report, out: TextIO, dry_run: bool) -> None:
    for kind, made in report.made.items():
        out.write(f"{made} {kind} brought over, {report.kept[kind]} were there already\n")
    for remark in report.remarks:
        out.write(f"Look at this: {remark}\n")
    if dry_run:
        out.write("Nothing was stored: this was a dry run.\n")
    elif report.made["services"]:
        out.write(f"Next: `{command('check')}`, and add each service's hook again; hooks are signed now.\n")


def _notification(row: Row, report: Report) -> Notification:
    deploy_user, commit_user = _text(row, "deploy_user"), _text(row, "commit_user")
    notification, created = Notification.objects.get_or_create(
        name=_text(row, "name")[:100] or f"notification {row['id']}",
        defaults={
            "deploy_user_success": ON_SUCCESS in deploy_user,
            "deploy_user_fail": ON_FAIL in deploy_user,
            "commit_user_success": ON_SUCCESS in commit_user,
            "commit_user_fail": ON_FAIL in commit_user,
        },
    )
    report.count("notifications", created)
    if created:
        success = {email.lower() for email in distinct(_text(row, "success").split(","))}
        fail = {email.lower() for email in distinct(_text(row, "fail").split(","))}
        for email in distinct(f"{_text(row, 'success')},{_text(row, 'fail')}".split(",")):
            Address.objects.create(
                notification=notification,
                email=email,
                on_success=email.lower() in success,
                on_fail=email.lower() in fail,
            )
    return notification


def _service(row: Row, notifications: Mapping[Any, Notification], owner: str, report: Report) -> Service:
    key = _text(row, "secret_key")
    if not (key.isalnum() and key.isascii() and len(key) <= SECRET_KEY_LENGTH):
        key = ""
    provider = SOURCES.get(_text(row, "repo_source"), _text(row, "repo_source") or "git")
    slug = _slug(row, provider, owner)
    stored = Service.objects.filter(secret_key=key).first() if key else _same_place(row, slug)
    report.count("services", stored is None)
    if stored is not None:
        return stored
    service = Service.objects.create(
        protocol="ftp",
        host=_text(row, "ftp_host"),
        username=_text(row, "ftp_username"),
        password=_text(row, "ftp_password"),
        path=_text(row, "ftp_path") or "/",
        provider=provider,
        repository_name=_text(row, "repo_name") or slug,
        repository_slug=slug,
        branch=_text(row, "repo_branch") or "master",
        notification=notifications.get(row.get("notification_id")),
        secret_key=key or new_secret_key(),
        first_deploy=Service.FirstDeploy.ADOPT,
    )
    if "/" not in slug and provider != "git":
        report.remarks.append(f"{service}: the owner of the repository {slug!r} is not known; enter owner/name.")
    return service


def _same_place(row: Row, slug: str) -> Service | None:
    """Return the service with the same server and repository: how one is known whose old key could not be kept."""
    return Service.objects.filter(
        host=_text(row, "ftp_host"),
        path=_text(row, "ftp_path") or "/",
        repository_slug=slug,
        branch=_text(row, "repo_branch") or "master",
    ).first()


def _slug(row: Row, provider: str, owner: str) -> str:
    """Return ``owner/name``: 2.x kept the name alone and took the owner from the forge's account in the settings."""
    slug = _text(row, "repo_slug_name") or _text(row, "repo_name")
    owner = owner or settings_login(provider).username
    return slug if "/" in slug or not owner or "@" in owner else f"{owner}/{slug}"


def _logs(tables: OldTables, services: Mapping[Any, Service], report: Report) -> None:
    last_success: dict[Any, Any] = {}
    for row in tables.rows("log"):
        if row.get("status"):
            last_success[row.get("service_id")] = row["id"]
    for row in tables.rows("log"):
        service = services.get(row.get("service_id"))
        if service is not None:
            outdated = row["id"] < last_success.get(row.get("service_id"), 0)
            report.count("deploys", _deploy(row, service, outdated))
    for service in services.values():
        recount(service.pk)


def _deploy(row: Row, service: Service, outdated: bool) -> bool:
    """Store one log entry as a deploy that nobody is told of; return whether it is new."""
    push = read_payload(row.get("payload"))
    created_at = _time(row.get("created"))
    state = _state(row, outdated)
    deploy, created = Deploy.objects.get_or_create(
        service=service,
        delivery_id=f"2.x-{row['id']}",
        defaults={
            "state": state,
            "phase": Deploy.Phase.FINISHING,
            "position": float(row["id"]) - 1e9,
            "provider": service.provider,
            "branch": push.branch or service.branch,
            "before": push.before,
            "after": push.after,
            "commit": push.after if state == Deploy.State.SUCCEEDED else "",
            "payload": push.payload,
            "commits": list(push.commits),
            "user_name": _text(row, "user")[:255],
            "user_email": push.user_email,
            "error": "" if state == Deploy.State.SUCCEEDED else _text(row, "status_message"),
            "started_at": created_at,
            "finished_at": created_at,
            "notified_at": timezone.now(),
        },
    )
    if created:
        Deploy.objects.filter(pk=deploy.pk).update(created_at=created_at)
    return created


def _state(row: Row, outdated: bool) -> str:
    """Return the new state; a failure that a later success left behind is no longer one to restore."""
    if row.get("status"):
        return Deploy.State.SUCCEEDED
    if row.get("skip"):
        return Deploy.State.SKIPPED
    return Deploy.State.SUPERSEDED if outdated else Deploy.State.FAILED


def _time(value: Any) -> datetime:
    """Return a stored time with its zone; 2.x sites without time zones stored the site's local time."""
    found = value if isinstance(value, datetime) else None
    if isinstance(value, str):
        try:
            found = parse_datetime(value)
        except ValueError:
            found = None
    if found is None:
        return timezone.now()
    return timezone.make_aware(found) if timezone.is_naive(found) else found


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value).replace("\0", "").strip()
