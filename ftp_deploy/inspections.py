"""What a validation looks at: plain functions on plain data, each for one thread.

``server``, ``forge``, ``git`` and ``hook`` are called in the thread that may use the database; each returns an
``Inspection``, which is then run in a thread of its own and reports to ``Findings``.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ftp_deploy.conf import conf
from ftp_deploy.deploys.source import git_source
from ftp_deploy.exceptions import (
    ApiError,
    BranchMissing,
    FTPDeployError,
    IdentityRefused,
    LoginRefused,
    PermissionRefused,
    RepositoryError,
    RepositoryLoginRefused,
    RepositoryMissing,
)
from ftp_deploy.hooks import find_hook, hook_url
from ftp_deploy.models import Service
from ftp_deploy.providers.base import Hook
from ftp_deploy.repository.git import branch_head
from ftp_deploy.transports import open_transport
from ftp_deploy.transports.base import Traits

CONNECT_SECONDS = 6.0
REPLY_SECONDS = 8.0
RATE_LIMIT = frozenset({403, 429})


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    """All is well."""
    FAILED = "failed"
    """Something has to be done."""
    NOT_RUN = "not_run"
    """Nothing can be said: an earlier check failed, or the forge does not tell."""


LABELS = {
    "host": _("FTP host"),
    "login": _("FTP login"),
    "path": _("FTP path"),
    "repository_login": _("Repository login"),
    "repository": _("Repository"),
    "branch": _("Branch"),
    "hook": _("Hook"),
}
"""Every check by name, in the order in which they are shown."""
COVERED = {
    "server": ("host", "login", "path"),
    "forge": ("repository_login", "repository"),
    "git": ("repository_login", "repository", "branch"),
    "hook": ("hook",),
}
"""Inspection: the checks it answers, in the order in which it comes to them."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check: a sentence, what to do, and how many seconds it took."""

    name: str
    state: State
    message: str = ""
    advice: str = ""
    seconds: float = 0.0
    fingerprint: str = ""
    """Of a host key or certificate that is not accepted: what the server presents."""

    @property
    def label(self) -> str:
        """What people call this check."""
        return str(LABELS[self.name])

    @property
    def sentence(self) -> str:
        """The whole result on one line."""
        return " ".join(filter(None, [f"{self.label}:", self.message, self.advice]))

    def as_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {
            "name": self.name,
            "label": self.label,
            "state": self.state.value,
            "message": self.message,
            "advice": self.advice,
            "seconds": round(self.seconds, 2),
            **({"fingerprint": self.fingerprint} if self.fingerprint else {}),
        }


@dataclass
class Findings:
    """What the inspections of one service found so far; safe to report to from several threads until closed."""

    traits: Traits | None = None
    hook_id: str = ""
    full_name: str = ""
    addresses: Sequence[str] = ()
    _found: dict[str, Check] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def add(self, name: str, state: State, message: str = "", advice: str = "", fingerprint: str = "") -> None:
        """Note the result of a check. Of two results for the same check the worse one stays."""
        check = Check(name, state, message, advice, time.monotonic() - self._started, fingerprint)
        with self._lock:
            known = self._found.get(name)
            better = known is None or (known.state is not State.FAILED and state is not State.NOT_RUN)
            if better and not self._closed:
                self._found[name] = check

    def ok(self, *names: str) -> None:
        """Note that checks passed."""
        for name in names:
            self.add(name, State.OK)

    def fail(self, name: str, error: FTPDeployError) -> None:
        """Note that a check failed."""
        offered = error.reply if isinstance(error, IdentityRefused) else ""
        self.add(name, State.FAILED, error.message, error.advice, offered)

    def close(self) -> None:
        """Take no more: what comes later is too late."""
        with self._lock:
            self._closed = True

    def next_of(self, inspection: str) -> str:
        """Return the first check of an inspection that has no result yet."""
        names = COVERED[inspection]
        return next((name for name in names if name not in self._found), names[-1])

    def checks(self) -> list[Check]:
        """Return all checks in order. One without a result was not run, or did not answer in time."""
        return [self._found.get(name) or self._missing(name) for name in LABELS]

    def _missing(self, name: str) -> Check:
        others = [each for names in COVERED.values() if name in names for each in names if each != name]
        if any(each in self._found and self._found[each].state is State.FAILED for each in others):
            return Check(name, State.NOT_RUN, gettext("An earlier check failed."))
        first = all(each in self._found for names in COVERED.values() if name in names for each in before(names, name))
        if not first:
            return Check(name, State.NOT_RUN, gettext("An earlier check did not end."))
        seconds = time.monotonic() - self._started
        return Check(name, State.FAILED, gettext("There was no answer in time."), "", seconds)


def before(names: Sequence[str], name: str) -> Sequence[str]:
    """Return the names that come before one in a sequence."""
    return names[: names.index(name)]


Inspection = Callable[[Findings], None]


def server(service: Service) -> Inspection:
    """Prepare the look at the server: host, login, and a path in which files can be put and renamed."""
    target = replace(
        service.target(),
        connect_timeout=min(CONNECT_SECONDS, conf.CONNECT_TIMEOUT),
        reply_timeout=min(REPLY_SECONDS, conf.REPLY_TIMEOUT),
    )
    further = dict(conf.TRANSPORTS)

    def inspect(findings: Findings) -> None:
        transport = open_transport(target, further)
        try:
            transport.connect()
            findings.ok("host", "login")
            findings.traits = transport.probe()
            findings.ok("path")
        except LoginRefused as error:
            findings.ok("host")
            findings.fail("login", error)
        except PermissionRefused as error:
            findings.ok("host", "login")
            findings.fail("path", error)
        finally:
            transport.close()

    return inspect


def forge(service: Service, wants_addresses: bool = False) -> Inspection:
    """Prepare the look at the forge's API: the account's login, and the repository by its name."""
    provider, slug = service.forge(), service.repository_slug

    def inspect(findings: Findings) -> None:
        if not provider.has_api:
            return
        try:
            findings.full_name = provider.repository(slug).full_name
            findings.ok("repository_login", "repository")
            if wants_addresses:
                findings.addresses = provider.published_addresses()
        except ApiError as error:
            if is_passing(error):
                findings.add("repository", State.NOT_RUN, error.message)
            elif error.status in {401, 403}:
                findings.fail("repository_login", error)
            else:
                findings.fail("repository", error)

    return inspect


def git(service: Service) -> Inspection:
    """Prepare the look at the repository over the git protocol, as a deploy will read it: login and branch."""
    source = replace(
        git_source(service),
        connect_timeout=min(CONNECT_SECONDS, conf.CONNECT_TIMEOUT),
        reply_timeout=min(REPLY_SECONDS, conf.REPLY_TIMEOUT),
    )
    branch = service.branch

    def inspect(findings: Findings) -> None:
        try:
            branch_head(source, branch)
            findings.ok("repository_login", "repository", "branch")
        except BranchMissing as error:
            findings.ok("repository_login", "repository")
            findings.fail("branch", error)
        except RepositoryLoginRefused as error:
            findings.fail("repository_login", error)
        except RepositoryMissing as error:
            findings.fail("repository", error)
        except RepositoryError as error:
            findings.fail("repository", error)

    return inspect


def hook(service: Service, last_push: datetime | None) -> Inspection:
    """Prepare the look at the webhook. ``last_push`` is when the last one arrived, None where none did."""
    provider, slug, secret_key = service.forge(), service.repository_slug, service.secret_key
    wanted_url, signed = hook_url(service), service.signature_required

    def inspect(findings: Findings) -> None:
        if not provider.has_api:
            findings.add("hook", *by_hand(last_push))
            return
        try:
            found = find_hook(provider.hooks(slug), secret_key)
            if found:
                findings.hook_id = found.id
                found = provider.with_last_delivery(slug, found)
        except ApiError as error:
            if is_passing(error) or error.status in {403, 404}:
                findings.add("hook", *unseen(error, last_push))
                return
            raise
        findings.add("hook", *judged(found, wanted_url, signed))

    return inspect


Verdict = tuple[State, str, str]


def by_hand(last_push: datetime | None) -> Verdict:
    """Judge a hook of which no API tells: a push that arrived is the proof."""
    if last_push:
        return State.OK, gettext("The last push arrived at %(time)s.") % {"time": f"{last_push:%Y-%m-%d %H:%M} UTC"}, ""
    return State.NOT_RUN, gettext("No push has arrived yet; this hook is set up by hand."), ""


def unseen(error: ApiError, last_push: datetime | None) -> Verdict:
    """Judge a hook that the token may not see."""
    if last_push:
        return by_hand(last_push)
    return State.NOT_RUN, gettext("The hook cannot be looked up: %(error)s") % {"error": error.message}, error.advice


def judged(found: Hook | None, wanted_url: str, signed: bool) -> Verdict:
    """Judge a hook by what the forge tells of it."""
    again = gettext("Add the hook again to set it right.")
    if found is None:
        return State.FAILED, gettext("The repository has no hook for this service."), gettext("Add the hook.")
    if not found.active:
        return State.FAILED, gettext("The hook is turned off on the forge."), again
    if wanted_url and found.url.rstrip("/") != wanted_url.rstrip("/"):
        return State.FAILED, gettext("The hook calls another address than this site's."), again
    if not found.sends_pushes:
        return State.FAILED, gettext("The hook is not called for pushes."), again
    if signed and found.has_secret is False:
        return State.FAILED, gettext("The hook has no secret, so its requests are refused."), again
    if found.last_status is not None and found.last_status >= 400:
        message = gettext("Its last delivery was answered %(status)s.") % {"status": found.last_status}
        return State.FAILED, message, again if found.last_status in {403, 404} else ""
    return State.OK, "", ""


def is_passing(error: ApiError) -> bool:
    """Whether a forge refused for a reason that is not the service's: too many calls."""
    return error.transient and error.status in RATE_LIMIT
