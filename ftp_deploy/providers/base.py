"""The contract between a forge and the rest: verify a webhook, read it, call the forge's API.

A provider knows neither models nor settings. It is given an ``Account`` and strings. Differences between forges are
data of their modules; nothing behind this room knows which forge a push came from.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

PUSH_EVENTS = frozenset({"push", "repo:push", "*"})
"""What the forges call a hook's wish for pushes; ``*`` is for everything."""
ZERO_COMMIT = "0" * 40


@dataclass(frozen=True, slots=True)
class Account:
    """How to log in to a forge. ``url`` is the forge's own address, empty for the public service.

    ``private_key`` with its ``passphrase`` is for git over ssh.

    ``allow_private_addresses`` says whether that may be a private, loopback or link-local address; whoever makes the
    account knows who entered the URL.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    url: str = ""
    private_key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    allow_private_addresses: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of a push, as the forge tells it."""

    id: str
    message: str = ""
    author_name: str = ""
    author_email: str = ""
    timestamp: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class PushEvent:
    """One branch that moved from ``before`` to ``after``.

    ``before`` is empty for a new branch, ``after`` for a deleted one. ``commits`` may be cut short by the forge: it is
    for people to read, never a list of what to deploy. ``complete`` is False where the forge said that it was cut.
    """

    branch: str
    before: str
    after: str
    commits: tuple[Commit, ...] = ()
    complete: bool = True
    user_name: str = ""
    user_email: str = ""
    compare_url: str = ""
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook request, read. ``pushes`` is empty where there is nothing to deploy; ``reason`` then says why."""

    delivery_id: str = ""
    pushes: tuple[PushEvent, ...] = ()
    reason: str = ""
    repository: str = ""
    """The full name that the forge gives, such as ``owner/name``; to notice a renamed repository."""


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """The parts of an HTTP request that a provider may look at. Header names are lower case."""

    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository of an account."""

    full_name: str
    name: str
    default_branch: str = ""
    private: bool = True
    clone_url: str = ""


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as the forge has it. ``last_status`` is the HTTP status of its last delivery, where the forge tells."""

    id: str
    url: str
    active: bool
    events: tuple[str, ...] = ()
    has_secret: bool | None = None
    last_status: int | None = None
    last_delivery: datetime | None = None

    @property
    def sends_pushes(self) -> bool:
        """Whether the forge calls it for a push."""
        return not PUSH_EVENTS.isdisjoint(self.events)


@dataclass(frozen=True, slots=True)
class GitAccess:
    """How to read a repository over the git protocol. The password is never part of the URL."""

    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)


class CommitState(StrEnum):
    """What a forge shows beside a commit."""

    PENDING = "pending"
    """A deploy of it waits or runs."""
    SUCCESS = "success"
    """It is live."""
    FAILURE = "failure"
    """It did not go live."""


class Provider(ABC):
    """One forge. ``verify`` and ``parse`` look at webhooks; the rest calls the forge's API or builds links.

    Errors: ``SignatureRefused``, ``PayloadUnreadable``, ``ApiError``; their messages are plain words for a person.
    """

    name: str = ""
    label: str = ""
    has_api: bool = True
    """Whether repositories, branches and hooks can be listed and changed."""
    public_url: str = ""
    """The address of the public service, empty where there is none."""

    def __init__(self, account: Account) -> None:
        self.account = account

    @abstractmethod
    def verify(self, request: WebhookRequest, secret: str) -> None:
        """Raise ``SignatureRefused`` unless the request is signed with ``secret``. An empty secret never passes."""

    @abstractmethod
    def parse(self, request: WebhookRequest) -> Delivery:
        """Read a webhook body. Raises ``PayloadUnreadable`` for anything that this forge does not send."""

    @abstractmethod
    def repositories(self) -> Sequence[Repository]:
        """List all repositories that the account may deploy."""

    @abstractmethod
    def repository(self, repository: str) -> Repository:
        """Return one repository. Where it was renamed its new ``full_name`` is returned, as far as the forge tells."""

    @abstractmethod
    def branches(self, repository: str) -> Sequence[str]:
        """List the branch names of a repository."""

    @abstractmethod
    def hooks(self, repository: str) -> Sequence[Hook]:
        """List the webhooks of a repository."""

    def with_last_delivery(self, repository: str, hook: Hook) -> Hook:
        """Return a listed hook with its last delivery, for a forge that tells of it only in another call."""
        return hook

    @abstractmethod
    def add_hook(self, repository: str, url: str, secret: str) -> Hook:
        """Add a webhook for push events only."""

    @abstractmethod
    def update_hook(self, repository: str, hook_id: str, url: str, secret: str) -> Hook:
        """Make an existing webhook active, for push events, with this URL and secret."""

    @abstractmethod
    def remove_hook(self, repository: str, hook_id: str) -> None:
        """Remove a webhook; one that is already gone is fine."""

    @abstractmethod
    def commits(self, repository: str, before: str, after: str) -> Sequence[Commit]:
        """List the commits from ``before`` (left out) to ``after``, oldest first."""

    @abstractmethod
    def set_status(self, repository: str, commit: str, state: CommitState, url: str, description: str) -> None:
        """Show beside a commit what became of its deploy; ``url`` is the page that tells more."""

    def published_addresses(self) -> Sequence[str]:
        """Return the networks that the public service sends its hooks from, empty where it publishes none."""
        return ()

    @abstractmethod
    def user_email(self) -> str:
        """Return the address of the account's user, empty where the forge does not tell."""

    @abstractmethod
    def git_access(self, repository: str) -> GitAccess:
        """Return where and how to fetch the repository."""

    @abstractmethod
    def commit_url(self, repository: str, commit: str) -> str:
        """Return the address of a commit's page on the forge."""

    @abstractmethod
    def compare_url(self, repository: str, before: str, after: str) -> str:
        """Return the address of the page that compares two commits."""
