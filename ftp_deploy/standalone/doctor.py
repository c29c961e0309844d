"""``ftp-deploy doctor``: looks at the whole installation and says in sentences what is wrong and what to do."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from celery import current_app
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.mail import get_connection
from django.db import DatabaseError, connection

from ftp_deploy import filebroker
from ftp_deploy.conf import MEGABYTE, conf
from ftp_deploy.exceptions import EncryptionKeyError
from ftp_deploy.fields import EncryptedTextField
from ftp_deploy.models import Account, Notification, Service
from ftp_deploy.models.service import ServiceStatus
from ftp_deploy.standalone import health
from ftp_deploy.standalone.serve import waiting_migrations
from ftp_deploy.standalone.setup import needs_first_account
from ftp_deploy.standalone.site import site

LEAST_FREE = 500 * MEGABYTE
TOLD_BY_OTHERS = {"ftp_deploy.W003", "ftp_deploy.W004", "ftp_deploy.W008"}
"""System checks whose matter a look of its own tells: the address, DEBUG, the worker."""
ADVICE = {
    "database": "Start the database server, and compare DATABASE_URL with it.",
    "broker": "Start the broker, and compare BROKER_URL with it.",
    "worker": "Start `ftp-deploy serve`, or `ftp-deploy worker` beside `ftp-deploy web`.",
    "mail": "Compare EMAIL_URL with what your mail server wants.",
}


class Verdict(StrEnum):
    """What one look found; the value is the word that is printed."""

    GOOD = "ok"
    DOUBT = "look"
    BAD = "WRONG"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    verdict: Verdict
    subject: str
    text: str
    advice: str = ""


def look_at_folder() -> Iterator[Finding]:
    """The data folder: writable, closed to others, with space left."""
    folder = site.DATA_FOLDER
    if not os.access(folder, os.W_OK):
        yield Finding(
            Verdict.BAD, "data folder", f"{folder} cannot be written", "Run as its owner, or change its owner."
        )
        return
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        yield Finding(Verdict.DOUBT, "data folder", f"{folder} is open to other users", f"chmod 700 {folder}")
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        yield Finding(Verdict.BAD, "disk", f"{free // MEGABYTE} MB free in {folder}", "Free some space.")
    yield Finding(Verdict.GOOD, "data folder", str(folder))


def look_at_database() -> Iterator[Finding]:
    """The database: there, and at this version."""
    health.check_database()
    waiting = waiting_migrations()
    if waiting:
        yield Finding(Verdict.BAD, "database", f"{waiting} migrations wait", "Run `ftp-deploy migrate`.")
        return
    yield Finding(Verdict.GOOD, "database", f"{connection.vendor}, up to date")


def look_at_accounts() -> Iterator[Finding]:
    """Whether anybody can log in, and administer the site."""
    if not needs_first_account():
        yield Finding(Verdict.GOOD, "accounts", "there is an administrator")
        return
    others = get_user_model()._default_manager.filter(is_active=True).count()
    text = f"nobody can administer the site, {others} can log in" if others else "nobody can log in"
    yield Finding(Verdict.BAD, "accounts", text, "Run `ftp-deploy setup-link` and open the link.")


def look_at_broker() -> Iterator[Finding]:
    """The broker answers."""
    health.check_broker()
    kind = str(current_app.conf.broker_url).partition("://")[0]
    yield Finding(Verdict.GOOD, "broker", "embedded, in the data folder" if embedded_broker() else kind)


def look_at_worker() -> Iterator[Finding]:
    """A worker runs: the last sweep is recent."""
    yield Finding(Verdict.GOOD, "worker", "last sweep " + health.check_sweep())


def look_at_address() -> Iterator[Finding]:
    """The public address, which forges call."""
    if not site.BASE_URL:
        yield Finding(
            Verdict.DOUBT,
            "address",
            "BASE_URL is not set: hooks and links in mails need it",
            "Set BASE_URL to the site's public address, such as https://deploy.example.com.",
        )
    elif not site.HTTPS:
        yield Finding(Verdict.DOUBT, "address", f"{site.BASE_URL} is not https", "Put a TLS proxy in front.")
    else:
        yield Finding(Verdict.GOOD, "address", site.BASE_URL)


def look_at_mail() -> Iterator[Finding]:
    """The mail server takes a login; nothing is sent."""
    if not settings.EMAIL_BACKEND.endswith("smtp.EmailBackend"):
        backend = settings.EMAIL_BACKEND.rsplit(".", 2)[-2]
        yield Finding(
            Verdict.DOUBT,
            "mail",
            f"mails go to: {backend}",
            "Set EMAIL_URL, such as smtp+tls://user:password@host:587.",
        )
        return
    with get_connection(timeout=10):
        yield Finding(Verdict.GOOD, "mail", f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT} answers")


def look_at_secrets() -> Iterator[Finding]:
    """Every stored secret can be read with the keys in force."""
    unreadable: list[str] = []
    read = 0
    for model in (Service, Account, Notification):
        names = [field.name for field in model._meta.fields if isinstance(field, EncryptedTextField)]
        for row in model._default_manager.all().iterator(chunk_size=200):
            for name in names:
                try:
                    getattr(row, name)
                    read += 1
                except EncryptionKeyError:
                    unreadable.append(f"{model._meta.verbose_name} {row.pk}: {name}")
    if unreadable:
        shown = ", ".join(unreadable[:5])
        yield Finding(Verdict.BAD, "secrets", f"{len(unreadable)} cannot be read: {shown}", EncryptionKeyError.advice)
    else:
        yield Finding(Verdict.GOOD, "secrets", f"{read} stored values can be read")


def look_at_services() -> Iterator[Finding]:
    """The services whose last validation failed."""
    failing = list(Service.objects.filter(status=ServiceStatus.FAILING))
    for service in failing:
        yield Finding(Verdict.DOUBT, "service", f"{service}: {service.status_message}", "Open the service's page.")
    if not failing:
        yield Finding(Verdict.GOOD, "services", f"{Service.objects.count()}, none is failing")


def look_at_settings() -> Iterator[Finding]:
    """Django's own checks and those of this app."""
    found = [
        message
        for message in checks.run_checks(include_deployment_checks=not settings.DEBUG)
        if not message.is_silenced() and message.id not in TOLD_BY_OTHERS
    ]
    for name in site.UNKNOWN_NAMES:
        text = f"the settings file holds {name}, which nothing reads"
        yield Finding(Verdict.DOUBT, "settings", text, "Is it misspelt? The reference lists all names: Environment.")
    for message in found:
        verdict = Verdict.BAD if message.level >= checks.ERROR else Verdict.DOUBT
        yield Finding(verdict, str(message.id), message.msg, message.hint or "")
    if settings.DEBUG:
        yield Finding(Verdict.BAD, "settings", "DEBUG is on", "Unset DEBUG: error pages would show too much.")
    if not found:
        yield Finding(Verdict.GOOD, "settings", f"checked; sweep every {conf.SWEEP_SECONDS:g} s")


LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    look_at_folder,
    look_at_settings,
    look_at_database,
    look_at_accounts,
    look_at_broker,
    look_at_worker,
    look_at_address,
    look_at_mail,
    look_at_secrets,
    look_at_services,
)


def advice(subject: str) -> str:
    """Return what to do where a look found its subject dead."""
    files = {"database": connection.vendor == "sqlite", "broker": embedded_broker()}
    if files.get(subject):
        return "It is kept in the data folder: see to that folder's owner, rights and free space."
    return ADVICE.get(subject, "")


def embedded_broker() -> bool:
    """Whether messages are files in the data folder."""
    return str(current_app.conf.broker_url).startswith(f"{filebroker.SCHEME}:")


def findings() -> Iterator[Finding]:
    """Take each look; one that cannot be taken is itself a finding, with what was said first and what to do."""
    for look in LOOKS:
        subject = look.__name__.removeprefix("look_at_")
        try:
            yield from look()
        except health.NotReady as error:
            said = str(error.__cause__ or "").strip().partition("\n")[0]
            yield Finding(Verdict.BAD, subject, f"{error}: {said}" if said else str(error), advice(subject))
        except DatabaseError:
            yield Finding(Verdict.DOUBT, subject, "cannot tell: see to the database first")
        except Exception as error:  # noqa: BLE001 - the doctor goes on to the next organ
            yield Finding(Verdict.BAD, subject, f"{type(error).__name__}: {error}", advice(subject))


def report() -> int:
    """Print one line for each finding; return 1 where something is wrong, else 0."""
    wrong = 0
    for finding in findings():
        wrong += finding.verdict is Verdict.BAD
        print(f"{finding.verdict.value:<6} {finding.subject}: {finding.text}")
        if finding.advice:
            print(f"       -> {finding.advice}")
    counted = "1 thing is wrong." if wrong == 1 else f"{wrong} things are wrong."
    print(counted if wrong else "Everything that is needed works.")
    return 1 if wrong else 0
