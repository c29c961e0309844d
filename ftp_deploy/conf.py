"""Every setting of the app, with its default and its meaning; read live, never at import.

Use ``from ftp_deploy.conf import conf`` and then ``conf.WEBHOOK_MAX_BYTES``. Because a value is looked up at each use,
``override_settings`` works in the tests of a project.
"""

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from django.conf import settings

T = TypeVar("T")

MEGABYTE = 1024 * 1024


class Setting(Generic[T]):
    """One setting: its name in the project's settings, its default, its type and one sentence on what it does."""

    def __init__(self, name: str, default: T, help_text: str) -> None:
        self.name = name
        self.default = default
        self.help_text = help_text

    def __get__(self, instance: object, owner: type | None = None) -> T:
        value: T = getattr(settings, self.name, self.default)
        return value


class Conf:
    """The settings. Each attribute is documented by its own ``help_text``; the reference pages are made from them."""

    GITHUB: Setting[Mapping[str, str]] = Setting(
        "DEPLOY_GITHUB_SETTINGS",
        {},
        "GitHub: ``username``, ``password`` (a token) and, for GitHub Enterprise Server, ``url``.",
    )
    BITBUCKET: Setting[Mapping[str, str]] = Setting(
        "DEPLOY_BITBUCKET_SETTINGS",
        {},
        "Bitbucket Cloud: ``username`` and ``password`` (an API token or an access token).",
    )
    GITLAB: Setting[Mapping[str, str]] = Setting(
        "DEPLOY_GITLAB_SETTINGS",
        {},
        "GitLab: ``username``, ``password`` (a token) and, for a server of your own, ``url``.",
    )
    GITEA: Setting[Mapping[str, str]] = Setting(
        "DEPLOY_GITEA_SETTINGS", {}, "Gitea or Forgejo: ``username``, ``password`` (a token) and ``url``."
    )
    GIT: Setting[Mapping[str, str]] = Setting(
        "DEPLOY_GIT_SETTINGS",
        {},
        "A git server: ``url`` of the server that the login is for, ``username`` and ``password``; for ssh also"
        " ``private_key`` and ``passphrase``.",
    )
    PROVIDERS: Setting[Mapping[str, str]] = Setting(
        "FTP_DEPLOY_PROVIDERS", {}, "Further forges: a name and the dotted path of a ``Provider`` class."
    )
    TRANSPORTS: Setting[Mapping[str, str]] = Setting(
        "FTP_DEPLOY_TRANSPORTS", {}, "Further protocols: a name and the dotted path of a ``Transport`` class."
    )
    ENCRYPTION_KEYS: Setting[list[str]] = Setting(
        "FTP_DEPLOY_ENCRYPTION_KEYS",
        [],
        "Fernet keys for the stored secrets: the first encrypts, all decrypt. Empty: made from ``SECRET_KEY``.",
    )
    BASE_URL: Setting[str] = Setting(
        "FTP_DEPLOY_BASE_URL",
        "",
        "The public address of this site, such as ``https://deploy.example.com``; for hooks and mails. A path that "
        "Django itself knows, from ``FORCE_SCRIPT_NAME`` or from your addresses, is not part of it.",
    )
    FROM_EMAIL: Setting[str] = Setting(
        "FTP_DEPLOY_FROM_EMAIL", "", "The sender of the mails; empty: ``DEFAULT_FROM_EMAIL``."
    )
    MESSAGE_ATTEMPTS: Setting[int] = Setting(
        "FTP_DEPLOY_MESSAGE_ATTEMPTS",
        16,
        "How often a mail or another message is tried; the pauses grow to an hour.",
    )
    COMMIT_STATUS: Setting[bool] = Setting(
        "FTP_DEPLOY_COMMIT_STATUS", True, "Whether the forge shows beside each commit what became of its deploy."
    )
    CALL_TIMEOUT: Setting[float] = Setting(
        "FTP_DEPLOY_CALL_TIMEOUT", 15.0, "Seconds for each HTTP call: addresses after a deploy, health check, webhook."
    )
    WEBHOOK_MAX_BYTES: Setting[int] = Setting(
        "FTP_DEPLOY_WEBHOOK_MAX_BYTES", 25 * MEGABYTE, "The largest webhook body that is read, in bytes."
    )
    WEBHOOK_RATE: Setting[int] = Setting(
        "FTP_DEPLOY_WEBHOOK_RATE",
        120,
        "Webhook requests a minute that one service takes; further ones are answered 429. 0 turns it off.",
    )
    WEBHOOK_ALLOWED_ADDRESSES: Setting[Mapping[str, Sequence[str] | str]] = Setting(
        "FTP_DEPLOY_WEBHOOK_ALLOWED_ADDRESSES",
        {},
        'Forge name: a list of networks that may send hooks, or ``"published"`` for those the forge publishes.',
    )
    CLIENT_ADDRESS_HEADER: Setting[str] = Setting(
        "FTP_DEPLOY_CLIENT_ADDRESS_HEADER",
        "",
        "The header in which a proxy of yours tells the client's address, such as ``X-Forwarded-For``; "
        "empty: there is no proxy.",
    )
    ALLOW_PRIVATE_ADDRESSES: Setting[bool] = Setting(
        "FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES",
        False,
        "Whether services may point at private, loopback and link-local addresses.",
    )
    CONNECT_TIMEOUT: Setting[float] = Setting(
        "FTP_DEPLOY_CONNECT_TIMEOUT", 15.0, "Seconds to wait for a connection to a server or a forge."
    )
    REPLY_TIMEOUT: Setting[float] = Setting(
        "FTP_DEPLOY_REPLY_TIMEOUT", 60.0, "Seconds to wait for a reply, or for any progress of a transfer."
    )
    LEASE_SECONDS: Setting[float] = Setting(
        "FTP_DEPLOY_LEASE_SECONDS",
        120.0,
        "Seconds after which a worker that gave no sign of life loses its service to another.",
    )
    HEARTBEAT_SECONDS: Setting[float] = Setting(
        "FTP_DEPLOY_HEARTBEAT_SECONDS", 10.0, "Seconds between two signs of life of a running deploy."
    )
    MAX_ATTEMPTS: Setting[int] = Setting(
        "FTP_DEPLOY_MAX_ATTEMPTS", 4, "How often a deploy is tried before it is recorded as failed."
    )
    MAX_CRASHES: Setting[int] = Setting(
        "FTP_DEPLOY_MAX_CRASHES", 3, "How often a worker may die of one deploy before the deploy is recorded as failed."
    )
    PERIODIC_TASKS: Setting[bool] = Setting(
        "FTP_DEPLOY_PERIODIC_TASKS", True, "Whether Celery beat runs the sweep, the reconcile and the validations."
    )
    BROKER_DIRECTORY: Setting[str] = Setting(
        "FTP_DEPLOY_BROKER_DIRECTORY", "", "Where the embedded broker keeps its messages; empty: a temporary folder."
    )
    PUBLISH_SECONDS: Setting[float] = Setting(
        "FTP_DEPLOY_PUBLISH_SECONDS",
        2.0,
        "The longest that a worker waits for the broker to take a message, and a process that ends for its last ones.",
    )
    RETRY_SECONDS: Setting[float] = Setting(
        "FTP_DEPLOY_RETRY_SECONDS",
        30.0,
        "Seconds before the second attempt of a deploy; doubled before each further one.",
    )
    SWEEP_SECONDS: Setting[float] = Setting(
        "FTP_DEPLOY_SWEEP_SECONDS", 15.0, "Seconds between two sweeps for deploys that no message announced."
    )
    RECONCILE_SECONDS: Setting[int] = Setting(
        "FTP_DEPLOY_RECONCILE_SECONDS",
        600,
        "Seconds between two looks at each branch on its forge; 0 turns it off.",
    )
    VALIDATE_SECONDS: Setting[int] = Setting(
        "FTP_DEPLOY_VALIDATE_SECONDS",
        3600,
        "Seconds between two validations of each service; 0 turns it off.",
    )
    CHANGE_RETENTION_DAYS: Setting[int] = Setting(
        "FTP_DEPLOY_CHANGE_RETENTION_DAYS",
        90,
        "Days for which the file lists and logs of finished deploys are kept.",
    )
    SPOOL_DIRECTORY: Setting[str] = Setting(
        "FTP_DEPLOY_SPOOL_DIRECTORY",
        "",
        "Where a running deploy keeps its temporary files; empty: the system's own place.",
    )


conf = Conf()
