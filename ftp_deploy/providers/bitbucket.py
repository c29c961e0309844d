"""Bitbucket Cloud.

Webhooks: https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/ and its page on webhook secrets. REST:
https://developer.atlassian.com/cloud/bitbucket/rest/. App passwords are gone: a user's API token goes with the user's
e-mail address (Basic), an access token of a repository, project or workspace goes alone (Bearer).
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any
from urllib.parse import quote

from ftp_deploy.exceptions import PayloadUnreadable
from ftp_deploy.providers import payload
from ftp_deploy.providers.base import (
    Commit,
    CommitState,
    Delivery,
    GitAccess,
    Hook,
    PushEvent,
    Repository,
    WebhookRequest,
)
from ftp_deploy.providers.http import Answer, Client, Query
from ftp_deploy.providers.rest import COMMIT_LIMIT, STATUS_CONTEXT, RestProvider, path_of

PAGE = {"pagelen": 100}
STATES = {
    CommitState.PENDING: "INPROGRESS",
    CommitState.SUCCESS: "SUCCESSFUL",
    CommitState.FAILURE: "FAILED",
}
API_PATH = "/2.0"
PUBLISHED_NETWORKS = "https://ip-ranges.atlassian.com"


class Bitbucket(RestProvider):
    """Bitbucket Cloud. One delivery may hold several refs."""

    name = "bitbucket"
    label = "Bitbucket"
    public_url = "https://bitbucket.org"

    @cached_property
    def client(self) -> Client:
        """The REST API, logged in as a user (e-mail address and API token) or with an access token alone."""
        base = f"{self.account.url}{API_PATH}" if self.account.url else f"https://api.bitbucket.org{API_PATH}"
        return self.open_client(base, self._credentials())

    def _credentials(self) -> Mapping[str, str]:
        token = self.account.password
        if not token:
            return {}
        if not self._is_user_login:
            return {"Authorization": f"Bearer {token}"}
        pair = base64.b64encode(f"{self.account.username}:{token}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    @property
    def _is_user_login(self) -> bool:
        """Whether the token is a user's own; without a user name it is that of a repository or workspace."""
        return "@" in self.account.username

    def verify(self, request: WebhookRequest, secret: str) -> None:
        """Check ``X-Hub-Signature``, which is SHA-256 here, over the raw body."""
        header = request.headers.get("x-hub-signature", "")
        payload.verify_digest(secret, request.body, payload.prefixed_digest(header))

    def parse(self, request: WebhookRequest) -> Delivery:
        """Read a ``repo:push`` event with all its refs."""
        fields = payload.decode(request)
        delivery_id = payload.clean(request.headers.get("x-request-uuid", ""))
        repository = payload.clean(payload.section(fields, "repository").get("full_name"))
        event = request.headers.get("x-event-key") or ("repo:push" if "push" in fields else "unknown")
        if event != "repo:push":
            return payload.not_a_push(delivery_id, payload.clean(event, 50), repository)
        changes = payload.section(fields, "push").get("changes")
        if not isinstance(changes, list) or not all(isinstance(change, dict) for change in changes):
            raise PayloadUnreadable("The field push.changes is not a list of changes.")
        user = payload.clean(payload.section(fields, "actor").get("display_name"))
        read = [read_change(change, user) for change in changes]
        pushes = tuple(item for item in read if isinstance(item, PushEvent))
        reasons = [item for item in read if isinstance(item, str)]
        reason = "" if pushes else " ".join(reasons) or "The push changed no branch."
        return Delivery(delivery_id, pushes, reason, repository)

    def repositories(self) -> Sequence[Repository]:
        """List what the user may see, workspace by workspace; an access token sees its workspace's."""
        if not self._is_user_login and self.account.username:
            return self._workspace_repositories(self.account.username)
        found: list[Repository] = []
        for item in self._values("user/workspaces"):
            workspace = payload.section(item, "workspace").get("slug")
            if workspace:
                found += self._workspace_repositories(str(workspace))
        return found

    def _workspace_repositories(self, workspace: str) -> list[Repository]:
        query = {"role": "member"} if self._is_user_login else {}
        return [read_repository(item) for item in self._values(f"repositories/{quote(workspace, safe='')}", query)]

    def _values(self, path: str, query: Query | None = None) -> Iterator[dict[str, Any]]:
        """Yield the ``values`` of all pages."""
        return self.client.items(path, {**PAGE, **(query or {})}, inside="values", next_page=next_of_body)

    def repository(self, repository: str) -> Repository:
        """Return one repository; a renamed one is followed."""
        return read_repository(self.client.get(f"repositories/{path_of(repository)}"))

    def branches(self, repository: str) -> Sequence[str]:
        """List the open branches."""
        return [str(item.get("name", "")) for item in self._values(f"repositories/{path_of(repository)}/refs/branches")]

    def hooks(self, repository: str) -> Sequence[Hook]:
        """List the webhooks; the token needs ``read:webhook:bitbucket``."""
        return [read_hook(item) for item in self._values(f"repositories/{path_of(repository)}/hooks")]

    def add_hook(self, repository: str, url: str, secret: str) -> Hook:
        """Add a webhook for pushes."""
        body = {"description": "FTP Deploy", "url": url, "active": True, "secret": secret, "events": ["repo:push"]}
        return read_hook(self.client.send("POST", f"repositories/{path_of(repository)}/hooks", body))

    def update_hook(self, repository: str, hook_id: str, url: str, secret: str) -> Hook:
        """Set URL and secret and make the hook active; a person's description and further events stay."""
        path = hook_path(repository, hook_id)
        found = self.client.get(path)
        body = {
            "description": found.get("description") or "FTP Deploy",
            "url": url,
            "active": True,
            "secret": secret,
            "events": sorted({*found.get("events", []), "repo:push"}),
        }
        return read_hook(self.client.send("PUT", path, body))

    def remove_hook(self, repository: str, hook_id: str) -> None:
        """Remove a webhook; one that is already gone is fine."""
        self.client.remove(hook_path(repository, hook_id))

    def commits(self, repository: str, before: str, after: str) -> Sequence[Commit]:
        """List the commits of a push; for a new branch the newest hundred."""
        query = {"include": after, **({"exclude": before} if before else {})}
        newest = self._values(f"repositories/{path_of(repository)}/commits", query)
        limit = COMMIT_LIMIT if before else PAGE["pagelen"]
        return list(map(read_commit, islice(newest, limit)))[::-1]

    def set_status(self, repository: str, commit: str, state: CommitState, url: str, description: str) -> None:
        """Set a build status; Bitbucket wants an address, so without one nothing is sent."""
        if not url:
            return
        body = {
            "key": STATUS_CONTEXT,
            "name": "FTP Deploy",
            "state": STATES[state],
            "url": url,
            "description": description[:255],
        }
        self.client.send("POST", f"repositories/{path_of(repository)}/commit/{commit}/statuses/build", body)

    def published_addresses(self) -> Sequence[str]:
        """Return the networks that Atlassian publishes for what Bitbucket sends."""
        found = Client("Atlassian", PUBLISHED_NETWORKS, {}).items("", {}, inside="items")
        return [
            str(item.get("cidr"))
            for item in found
            if "bitbucket" in item.get("product", ()) and "egress" in item.get("direction", ())
        ]

    def user_email(self) -> str:
        """Return the user's primary address; an access token has no user."""
        if not self._is_user_login:
            return ""
        return next(
            (payload.email(item.get("email")) for item in self._values("user/emails") if item.get("is_primary")),
            self.account.username,
        )

    def git_access(self, repository: str) -> GitAccess:
        """Return the https address; git wants a fixed user name for each kind of token."""
        token = self.account.password
        username = "x-bitbucket-api-token-auth" if self._is_user_login else "x-token-auth"
        return GitAccess(f"{self.repository_page(repository)}.git", username if token else "", token)

    def commit_url(self, repository: str, commit: str) -> str:
        """Return the address of a commit's page."""
        return f"{self.repository_page(repository)}/commits/{commit}"

    def compare_url(self, repository: str, before: str, after: str) -> str:
        """Return the address of a comparison: the newer commit comes first here."""
        return f"{self.repository_page(repository)}/branches/compare/{after}..{before}"


def read_change(change: payload.Fields, user: str) -> PushEvent | str:
    """Read one ref of a delivery: a push, or the reason why it deploys nothing."""
    old, new = (side(change, name) for name in ("old", "new"))
    found = new or old
    name, kind = payload.full_ref(found, "name"), found.get("type")
    if kind != "branch":
        return f"A {payload.clean(kind, 30) or 'ref'} was pushed; only branches are deployed."
    if not new:
        return f"The branch {name} was deleted."
    after = payload.commit_id(payload.section(new, "target"), "hash", required=True)
    if not after:
        raise PayloadUnreadable("The new side of a change names no commit.")
    commits = tuple(map(read_commit, payload.sections(change, "commits")))[::-1]
    links = payload.section(payload.section(change, "links"), "html")
    return PushEvent(
        branch=name,
        before=payload.commit_id(payload.section(old, "target"), "hash") if old else "",
        after=after,
        commits=commits,
        complete=change.get("truncated") is not True,
        user_name=user,
        compare_url=payload.link(links.get("href")),
        forced=change.get("forced") is True,
    )


def side(change: payload.Fields, name: str) -> payload.Fields:
    """Return ``old`` or ``new`` of a change, empty where it is null or missing."""
    value = change.get(name)
    if value is not None and not isinstance(value, dict):
        raise PayloadUnreadable(f"The field {name} of a change is not a branch or tag.")
    return value or {}


def read_commit(item: Any) -> Commit:
    """Read one commit; the author is ``Name <address>``."""
    author = payload.section(item, "author")
    name, _, address = payload.clean(author.get("raw"), 512).partition("<")
    links = payload.section(payload.section(item, "links"), "html")
    return Commit(
        id=payload.clean(item.get("hash"), 64),
        message=payload.clean(item.get("message"), payload.MESSAGE_LIMIT),
        author_name=name.strip()[:255],
        author_email=payload.email(address.strip().removesuffix(">")),
        timestamp=payload.clean(item.get("date"), 40),
        url=payload.link(links.get("href")),
    )


def read_repository(item: Any) -> Repository:
    """Read one repository of the REST API."""
    full_name = str(item.get("full_name", ""))
    return Repository(
        full_name=full_name,
        name=str(item.get("name") or full_name.rpartition("/")[2]),
        default_branch=payload.section(item, "mainbranch").get("name") or "",
        private=bool(item.get("is_private", True)),
        clone_url=f"https://bitbucket.org/{full_name}.git",
    )


def read_hook(item: Any) -> Hook:
    """Read one webhook of the REST API."""
    secret = item.get("secret_set")
    return Hook(
        id=str(item.get("uuid", "")),
        url=str(item.get("url", "")),
        active=bool(item.get("active")),
        events=tuple(item.get("events", ())),
        has_secret=secret if isinstance(secret, bool) else None,
    )


def hook_path(repository: str, hook_id: str) -> str:
    """Return the path of a hook; its id is a UUID in braces."""
    return f"repositories/{path_of(repository)}/hooks/{quote(hook_id, safe='')}"


def next_of_body(answer: Answer) -> str:
    """Return the address of the next page, which Bitbucket puts into the body."""
    return str(answer.body.get("next") or "") if isinstance(answer.body, dict) else ""
