"""System checks, each with a stable id.

Errors (always): ``E001`` encryption keys, ``E002`` type of a setting, ``E003`` dotted path of a forge or protocol,
``E004`` networks of an allow-list.
Warnings (``check --deploy``): ``W001`` no encryption key, ``W002`` SQLite settings, ``W003`` no base URL, ``W004``
DEBUG, ``W005`` unsigned hooks, ``W006`` plain FTP, ``W007`` unverified certificates, ``W009`` a Celery app without
time-outs. ``W008`` no sweep for five minutes (``check --deploy`` and ``check --database default``). All ids begin with
``ftp_deploy.``.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - its name in Django
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from ftp_deploy.command_line import command, worker_command
from ftp_deploy.conf import Conf, Setting, conf
from ftp_deploy.fields import cipher

MAKES_A_KEY = "a key that cryptography.fernet.Fernet.generate_key() made"
SWEEP_LIMIT = timedelta(minutes=5)
LISTED = 10
"""Services that a warning names."""


def all_settings() -> Iterable[Setting[Any]]:
    """Return the settings of the app."""
    return [value for value in vars(Conf).values() if isinstance(value, Setting)]


@register
def check_settings(**_options: Any) -> list[CheckMessage]:
    """Look at the types of the settings, at the keys, and at the dotted paths."""
    problems: list[CheckMessage] = []
    for setting in all_settings():
        value = getattr(settings, setting.name, setting.default)
        words = problem_of(value, setting.default)
        if words:
            problems.append(Error(f"{setting.name} {words}.", hint=setting.help_text, id="ftp_deploy.E002"))
    if not problems:
        problems += _key_problems()
        problems += _path_problems("FTP_DEPLOY_PROVIDERS", conf.PROVIDERS)
        problems += _path_problems("FTP_DEPLOY_TRANSPORTS", conf.TRANSPORTS)
        problems += _network_problems()
    return problems


def problem_of(value: Any, default: Any) -> str:
    """Return what is wrong with a setting's value, going by its default; empty where nothing is."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "must be True or False"
    if isinstance(default, int | float):
        kinds = int if isinstance(default, int) else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            return "must be a whole number" if isinstance(default, int) else "must be a number"
        return "" if value >= 0 else "must not be negative"
    if isinstance(default, str):
        return "" if isinstance(value, str) else "must be text"
    if isinstance(default, Mapping):
        return "" if isinstance(value, Mapping) else "must be a dictionary"
    if isinstance(default, list | tuple):
        good = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        return "" if good else "must be a list of texts"
    return ""


def _key_problems() -> list[CheckMessage]:
    try:
        cipher()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="ftp_deploy.E001")]
    return []


def _path_problems(name: str, paths: Mapping[str, str]) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    for short, path in paths.items():
        try:
            import_string(path)
        except (ImportError, AttributeError):
            problems.append(Error(f"{name}[{short!r}] cannot be imported: {path!r}.", id="ftp_deploy.E003"))
    return problems


def _network_problems() -> Iterable[CheckMessage]:
    from ftp_deploy.door import PUBLISHED, is_network

    for forge, allowed in conf.WEBHOOK_ALLOWED_ADDRESSES.items():
        if allowed == PUBLISHED:
            continue
        wrong = [text for text in allowed if not is_network(str(text))] if not isinstance(allowed, str) else [allowed]
        if wrong:
            yield Error(
                f"FTP_DEPLOY_WEBHOOK_ALLOWED_ADDRESSES[{forge!r}] holds no network: {wrong[0]!r}.",
                hint='Use a list of networks such as ["192.0.2.0/24"], or "published".',
                id="ftp_deploy.E004",
            )


@register(Tags.security, deploy=True)
def check_site(**_options: Any) -> list[CheckMessage]:
    """Look at what a site in production should have set."""
    problems: list[CheckMessage] = []
    if not conf.ENCRYPTION_KEYS:
        problems.append(
            Warning(
                "The stored secrets are encrypted with a key made from SECRET_KEY.",
                hint=f"Set FTP_DEPLOY_ENCRYPTION_KEYS to [{MAKES_A_KEY}]; `{command('rotate-keys')}` then uses it.",
                id="ftp_deploy.W001",
            )
        )
    if not conf.BASE_URL:
        problems.append(
            Warning(
                "FTP_DEPLOY_BASE_URL is not set: hooks cannot be added and mails have no links.",
                hint="Set it to this site's public address, such as https://deploy.example.com.",
                id="ftp_deploy.W003",
            )
        )
    if settings.DEBUG:
        problems.append(
            Warning("DEBUG is on: pages show tracebacks, and workers grow with every query.", id="ftp_deploy.W004")
        )
    return problems + sqlite_problems(settings.DATABASES) + broker_problems(current_app.conf)


def sqlite_problems(databases: Mapping[str, Mapping[str, Any]]) -> list[CheckMessage]:
    """Warn of SQLite settings under which a web process and a worker refuse each other."""
    problems: list[CheckMessage] = []
    for alias, database in databases.items():
        if not str(database.get("ENGINE", "")).endswith("sqlite3"):
            continue
        options = database.get("OPTIONS") or {}
        missing = []
        if str(options.get("transaction_mode", "")).upper() != "IMMEDIATE":
            missing.append('"transaction_mode": "IMMEDIATE"')
        if "wal" not in str(options.get("init_command", "")).lower():
            missing.append('"init_command": "PRAGMA journal_mode=WAL;"')
        if missing:
            problems.append(
                Warning(
                    f"The SQLite database {alias!r} will be locked when web and worker write at the same time.",
                    hint=f"Add to its OPTIONS: {', '.join(missing)}.",
                    id="ftp_deploy.W002",
                )
            )
    return problems


def broker_problems(celery: Any) -> list[CheckMessage]:
    """Warn of a Celery app in which a broker that hangs would hold up those who publish for ever.

    Redis clients wait without an end unless told otherwise; ``ftp_deploy.celery`` tells them. An app of the project may
    not. A connection to RabbitMQ has a limit by default; here ``broker_connection_timeout`` may have taken it away.
    """
    broker = str(celery.broker_write_url or celery.broker_url or "")
    options = celery.broker_transport_options or {}
    missing = []
    if broker.startswith(REDIS_SCHEMES):
        missing = [f"broker_transport_options[{name!r}]" for name in REDIS_LIMITS if not options.get(name)]
    elif broker.startswith(AMQP_SCHEMES) and not celery.broker_connection_timeout:
        missing = ["broker_connection_timeout"]
    if not missing or celery.task_always_eager:
        return []
    return [
        Warning(
            "A broker that does not answer holds up the thread that wakes the workers, for ever.",
            hint=f"Set in your Celery app, in seconds: {', '.join(missing)}.",
            id="ftp_deploy.W009",
        )
    ]


REDIS_SCHEMES = ("redis://", "rediss://", "redis+socket://", "valkey://", "sentinel://")
REDIS_LIMITS = ("socket_timeout", "socket_connect_timeout")
AMQP_SCHEMES = ("amqp://", "amqps://", "pyamqp://")


@register(Tags.security, deploy=True)
def check_services(**_options: Any) -> list[CheckMessage]:
    """Look at the stored services. A database that is not there yet has nothing to warn of."""
    try:
        return list(_service_problems())
    except DatabaseError:
        return []


def _service_problems() -> Iterable[CheckMessage]:
    from ftp_deploy.models import Service

    enabled = Service.objects.filter(enabled=True)
    encrypted = enabled.exclude(protocol__in=["ftp", "sftp", "memory"])
    yield from _named(
        enabled.filter(signature_required=False),
        "Anybody who learns their address can start a deploy of services with unsigned hooks",
        "Let hooks be signed in the service's security settings.",
        "ftp_deploy.W005",
    )
    yield from _named(
        enabled.filter(protocol="ftp"),
        "Passwords and files travel in clear for services over plain FTP",
        "Use FTPS or SFTP where the server offers it.",
        "ftp_deploy.W006",
    )
    yield from _named(
        encrypted.filter(verify_certificate=False, fingerprint=""),
        "Anybody in between can pose as the server of services whose certificate is not verified",
        "Verify the certificate, or accept its fingerprint.",
        "ftp_deploy.W007",
    )


def _named(services: QuerySet[Any], words: str, hint: str, identity: str) -> Iterable[CheckMessage]:
    found = [str(service) for service in services[: LISTED + 1]]
    if found:
        names = ", ".join(found[:LISTED]) + (", …" if len(found) > LISTED else "")
        yield Warning(f"{words}: {names}.", hint=hint, id=identity)


@register(Tags.database)
def check_sweep(databases: Any = None, **_options: Any) -> list[CheckMessage]:
    """Look whether the sweep still runs."""
    return sweep_problems() if databases else []


@register(Tags.security, deploy=True)
def check_sweep_in_production(**_options: Any) -> list[CheckMessage]:
    """Look whether the sweep still runs."""
    return sweep_problems()


def sweep_problems() -> list[CheckMessage]:
    """Warn where services are enabled and no sweep ran for five minutes, or for longer where sweeps are rarer."""
    from ftp_deploy.deploys.sweep import last_sweep_age, stands_still
    from ftp_deploy.models import Service

    try:
        if not Service.objects.filter(enabled=True).exists():
            return []
        age = last_sweep_age()
    except DatabaseError:
        return []
    if age is not None and (age < SWEEP_LIMIT or not stands_still(age)):
        return []
    since = "ever ran" if age is None else f"ran for {int(age.total_seconds() // 60)} minutes"
    return [
        Warning(
            f"No sweep {since}: a deploy whose message was lost waits for ever.",
            hint=f"Run a worker with beat (`{worker_command()}`), or `{command('sweep')}` by cron.",
            id="ftp_deploy.W008",
        )
    ]
