"""Any git server, over https or ssh, with a webhook of our own that a ``post-receive`` hook or a pipeline sends.

The webhook is a POST with a JSON body::

    {"ref": "refs/heads/main", "before": "<40 hex>", "after": "<40 hex>",
     "user_name": "...", "user_email": "...",
     "commits": [{"id": "...", "message": "...", "author": {"name": "...", "email": "..."}, "timestamp": "..."}]}

``ref`` and ``after`` are needed; ``before`` is forty zeros or left out for a new branch, ``after`` forty zeros for a
deleted one. The body is signed with the service's hook secret::

    X-FTP-Deploy-Signature: sha256=<hex HMAC-SHA256 of the raw body>
    X-FTP-Deploy-Delivery: <an id of the delivery; the same id again is a duplicate>        (may be left out)

The repository of such a service is its git URL: ``https://host/path.git``, ``ssh://user@host[:port]/path.git`` or
``user@host:path.git``. Over ssh the account's private key or password logs in, and the service holds the fingerprint of
the host key that is accepted. A login is sent only to the server that the account names in its ``url``.
"""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

from ftp_deploy.exceptions import ApiError, ConfigurationError
from ftp_deploy.providers import payload
from ftp_deploy.providers.base import (
    Commit,
    CommitState,
    Delivery,
    GitAccess,
    Hook,
    Provider,
    PushEvent,
    Repository,
    WebhookRequest,
)

SIGNATURE_HEADER = "x-ftp-deploy-signature"
DELIVERY_HEADER = "x-ftp-deploy-delivery"
SHORT_SSH = re.compile(r"(?P<user>[\w.-]+)@(?P<host>[\w.-]+):(?P<path>[^\s:].*)\Z")
"""``user@host:path``, as ``git clone`` takes it."""
SCHEMES = frozenset({"https", "http", "ssh"})


class Git(Provider):
    """A repository that is known by its URL alone; there is no API, so hooks are set up by hand."""

    name = "git"
    label = "Git"
    has_api = False

    def verify(self, request: WebhookRequest, secret: str) -> None:
        """Check ``X-FTP-Deploy-Signature``, the HMAC-SHA256 of the raw body."""
        header = request.headers.get(SIGNATURE_HEADER, "")
        payload.verify_digest(secret, request.body, payload.prefixed_digest(header))

    def parse(self, request: WebhookRequest) -> Delivery:
        """Read a body in the form that this module describes."""
        fields = payload.decode(request)
        delivery_id = payload.clean(request.headers.get(DELIVERY_HEADER, ""))
        push = PushEvent(
            branch="",
            before="",
            after="",
            commits=tuple(map(payload.commit, payload.sections(fields, "commits"))),
            user_name=payload.clean(fields.get("user_name")),
            user_email=payload.email(fields.get("user_email")),
            compare_url=payload.link(fields.get("compare_url")),
            forced=fields.get("forced") is True,
        )
        return payload.delivery_of_push(fields, delivery_id, "", push)

    def repositories(self) -> Sequence[Repository]:
        """Return nothing: the person enters the URL."""
        return ()

    def repository(self, repository: str) -> Repository:
        """Return what the URL tells."""
        url = clone_url(repository)
        return Repository(full_name=repository, name=url.rstrip("/").rpartition("/")[2], clone_url=url)

    def branches(self, repository: str) -> Sequence[str]:
        """Return nothing: the person enters the branch."""
        return ()

    def hooks(self, repository: str) -> Sequence[Hook]:
        """Return nothing: hooks are set up by hand."""
        return ()

    def add_hook(self, repository: str, url: str, secret: str) -> Hook:
        """Refuse: hooks are set up by hand."""
        raise self._by_hand()

    def update_hook(self, repository: str, hook_id: str, url: str, secret: str) -> Hook:
        """Refuse: hooks are set up by hand."""
        raise self._by_hand()

    def remove_hook(self, repository: str, hook_id: str) -> None:
        """Refuse: hooks are set up by hand."""
        raise self._by_hand()

    def _by_hand(self) -> ApiError:
        return ApiError(
            "A plain git server has no API for hooks.",
            advice="Let a post-receive hook or a pipeline call the hook's address, signed with the hook secret.",
        )

    def commits(self, repository: str, before: str, after: str) -> Sequence[Commit]:
        """Return nothing: only the webhook tells of commits."""
        return ()

    def set_status(self, repository: str, commit: str, state: CommitState, url: str, description: str) -> None:
        """Do nothing: a git server shows no commit status."""

    def user_email(self) -> str:
        """Return nothing."""
        return ""

    def git_access(self, repository: str) -> GitAccess:
        """Return the URL without the credentials, and them beside it."""
        url, account = clone_url(repository), self.account
        if not account.password and not account.private_key:
            return GitAccess(url)
        self._check_host(url)
        if url.startswith(("https://", "http://")):
            return GitAccess(url, account.username if account.password else "", account.password)
        return GitAccess(url, account.username, account.password, account.private_key, account.passphrase)

    def _check_host(self, url: str) -> None:
        """Raise ``ConfigurationError`` unless the login is meant for the host of ``url``.

        Anybody who may edit a service names its repository: without this the account's password could be sent anywhere.
        """
        wanted = self.account.url.strip()
        if not wanted:
            raise ConfigurationError(
                "The account of this repository has a login, but does not say for which server.",
                advice="Enter the server's address in the account (for the settings: `url`), such as"
                " https://git.example.com.",
            )
        if not is_at(url, wanted):
            raise ConfigurationError(
                "The account's login is for another server than the one in the repository's URL.",
                advice="Choose the account of this server, or none where everybody may read the repository.",
            )

    def commit_url(self, repository: str, commit: str) -> str:
        """Return nothing: there is no page."""
        return ""

    def compare_url(self, repository: str, before: str, after: str) -> str:
        """Return nothing: there is no page."""
        return ""


def is_at(url: str, server: str) -> bool:
    """Whether a repository's URL is on a server: for https the same origin, for ssh the same host.

    Where the server is named by an ssh address, the port counts as well.
    """
    short = None if "://" in url else SHORT_SSH.match(url)
    here, there = urlsplit(f"ssh://{short['host']}" if short else url), urlsplit(server)
    ports = {"https": 443, "http": 80, "ssh": 22}
    if here.scheme == "ssh" and there.scheme != "ssh":
        return here.hostname == there.hostname
    origins = [(parts.scheme, parts.hostname, parts.port or ports.get(parts.scheme)) for parts in (here, there)]
    return origins[0] == origins[1]


def clone_url(repository: str) -> str:
    """Return a repository's URL, checked; the short form of ssh stays as it is: its path begins in the user's home.

    Raises ``ConfigurationError`` for other schemes (``file``, ``ext`` and their like would run on this machine) and
    for a URL that holds a password.
    """
    text = repository.strip()
    if "://" not in text and (short := SHORT_SSH.match(text)):
        if short["path"].startswith("-"):
            raise ConfigurationError("The path in the repository's URL begins with a hyphen.")
        return text
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises ValueError for a port that is no number
    except ValueError as error:
        raise ConfigurationError("The repository's URL cannot be read.") from error
    if parts.scheme not in SCHEMES or not parts.hostname or not parts.path.strip("/"):
        raise ConfigurationError(
            "The repository needs the URL of a git server.",
            advice="Enter https://host/path.git, ssh://user@host/path.git or user@host:path.git.",
        )
    if parts.password is not None or (parts.scheme != "ssh" and parts.username):
        raise ConfigurationError(
            "The repository's URL holds a login.", advice="Enter the user name and password in an account instead."
        )
    return urlunsplit(parts)
