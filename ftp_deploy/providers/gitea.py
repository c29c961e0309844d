"""Gitea and Forgejo.

Webhooks: https://docs.gitea.com/usage/repository/webhooks and https://forgejo.org/docs/latest/user/webhooks/. The
signature is the bare hex HMAC-SHA256 of the JSON text, in both forms of delivery; a hook without a secret sends an
empty one.
REST: ``/api/swagger`` of each server.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from ftp_deploy.exceptions import ConfigurationError, PayloadUnreadable, SignatureRefused
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
from ftp_deploy.providers.rest import (
    COMMIT_LIMIT,
    STATUS_CONTEXT,
    RestProvider,
    hook_path,
    oldest_first,
    path_of,
    read_repository,
)

PAGE = {"limit": 50}
SIGNATURE_HEADERS = ("x-forgejo-signature", "x-gitea-signature", "x-gogs-signature")
EVENT_HEADERS = ("x-forgejo-event", "x-gitea-event", "x-gogs-event", "x-github-event")
DELIVERY_HEADERS = ("x-forgejo-delivery", "x-gitea-delivery", "x-gogs-delivery", "x-github-delivery")


class Gitea(RestProvider):
    """Gitea or Forgejo. There is no public service: the account needs an address."""

    name = "gitea"
    label = "Gitea"
    public_url = ""

    @property
    def web_url(self) -> str:
        """The address of the forge's pages. Raises ``ConfigurationError`` where the account has none."""
        if not self.account.url:
            raise ConfigurationError(
                "The account has no address of a Gitea or Forgejo server.", advice="Enter the server's address."
            )
        return self.account.url.removesuffix("/api/v1")

    @cached_property
    def client(self) -> Client:
        """The REST API, logged in with an access token."""
        token = self.account.password
        return self.open_client(f"{self.web_url}/api/v1", {"Authorization": f"token {token}"} if token else {})

    def verify(self, request: WebhookRequest, secret: str) -> None:
        """Check the signature of the JSON text, whichever of the headers brings it."""
        try:
            is_form = request.content_type == "application/x-www-form-urlencoded"
            signed = payload.form_payload(request.body) if is_form else request.body
        except PayloadUnreadable as error:
            raise SignatureRefused("The body is not a form, so nothing in it can be signed.") from error
        given = first_header(request, SIGNATURE_HEADERS)
        if not given:
            given = payload.prefixed_digest(request.headers.get("x-hub-signature-256", ""))
        payload.verify_digest(secret, signed, given)

    def parse(self, request: WebhookRequest) -> Delivery:
        """Read a ``push`` event; the delete of a branch comes as an event of its own."""
        fields = payload.decode(request)
        delivery_id = payload.clean(first_header(request, DELIVERY_HEADERS))
        repository = payload.clean(payload.section(fields, "repository").get("full_name"))
        event = first_header(request, EVENT_HEADERS) or ("push" if "after" in fields else "unknown")
        if event != "push":
            return payload.not_a_push(delivery_id, payload.clean(event, 50), repository)
        commits = tuple(map(payload.commit, payload.sections(fields, "commits")))[::-1]
        pusher = payload.section(fields, "pusher")
        names = (payload.clean(pusher.get(name)) for name in ("full_name", "login", "username"))
        push = PushEvent(
            branch="",
            before="",
            after="",
            commits=commits,
            complete=payload.number(fields.get("total_commits")) <= len(commits),
            user_name=next(filter(None, names), ""),
            user_email=payload.email(pusher.get("email")),
            compare_url=payload.link(fields.get("compare_url")),
        )
        return payload.delivery_of_push(fields, delivery_id, repository, push)

    def _items(self, path: str, query: Query | None = None, inside: str = "") -> Iterator[dict[str, Any]]:
        """Yield the objects of all pages. A server may allow fewer a page than asked for, so the links decide."""
        return self.client.items(path, {**PAGE, **(query or {})}, inside=inside, next_page=self._next_page)

    def _next_page(self, answer: Answer) -> str:
        """Return the next page's address on the address that we know: behind a proxy the server may name another."""
        _, found, query = answer.next_link.partition("?")
        return f"{answer.url.partition('?')[0]}?{query}" if found else ""

    def repositories(self) -> Sequence[Repository]:
        """List the repositories that the token's user may see."""
        return list(map(read_repository, self._items("user/repos")))

    def repository(self, repository: str) -> Repository:
        """Return one repository; a renamed one is followed."""
        return read_repository(self.client.get(f"repos/{path_of(repository)}"))

    def branches(self, repository: str) -> Sequence[str]:
        """List the branch names."""
        return [str(branch.get("name", "")) for branch in self._items(f"repos/{path_of(repository)}/branches")]

    def hooks(self, repository: str) -> Sequence[Hook]:
        """List the webhooks; the token needs to administer the repository."""
        return list(map(read_hook, self._items(f"repos/{path_of(repository)}/hooks")))

    def add_hook(self, repository: str, url: str, secret: str) -> Hook:
        """Add a webhook for pushes; without ``active`` it would be made but never sent."""
        body = {
            "type": "gitea",
            "active": True,
            "events": ["push"],
            "branch_filter": "*",
            "config": {"url": url, "content_type": "json", "secret": secret},
        }
        return read_hook(self.client.send("POST", f"repos/{path_of(repository)}/hooks", body))

    def update_hook(self, repository: str, hook_id: str, url: str, secret: str) -> Hook:
        """Set URL and secret and make the hook active; what a person chose beside that stays."""
        path = hook_path(repository, hook_id)
        found = self.client.get(path)
        content_type = payload.section(found, "config").get("content_type") or "json"
        body = {
            "active": True,
            "events": sorted({*(found.get("events") or []), "push"}),
            "config": {"url": url, "content_type": content_type, "secret": secret},
        }
        return read_hook(self.client.send("PATCH", path, body))

    def remove_hook(self, repository: str, hook_id: str) -> None:
        """Remove a webhook; one that is already gone is fine."""
        self.client.remove(hook_path(repository, hook_id))

    def commits(self, repository: str, before: str, after: str) -> Sequence[Commit]:
        """List the commits of a push: a comparison, or for a new branch the newest fifty."""
        path = f"repos/{path_of(repository)}"
        if not before:
            newest = self._items(f"{path}/commits", {"sha": after, "stat": "false", "files": "false"})
            return oldest_first(map(read_commit, islice(newest, PAGE["limit"])), after)
        found = self.client.get(f"{path}/compare/{before}...{after}")
        return oldest_first(map(read_commit, payload.sections(found, "commits")[:COMMIT_LIMIT]), after)

    def set_status(self, repository: str, commit: str, state: CommitState, url: str, description: str) -> None:
        """Set a commit status."""
        body = {"state": state.value, "description": description[:255], "context": STATUS_CONTEXT}
        if url:
            body["target_url"] = url
        self.client.send("POST", f"repos/{path_of(repository)}/statuses/{commit}", body)

    def user_email(self) -> str:
        """Return the address of the token's user."""
        return payload.email(self.client.get("user").get("email"))

    def git_access(self, repository: str) -> GitAccess:
        """Return the https address; the token goes as the password of the account's user."""
        token = self.account.password
        username = self.account.username or "oauth2"
        return GitAccess(f"{self.repository_page(repository)}.git", username if token else "", token)

    def commit_url(self, repository: str, commit: str) -> str:
        """Return the address of a commit's page."""
        return f"{self.repository_page(repository)}/commit/{commit}"

    def compare_url(self, repository: str, before: str, after: str) -> str:
        """Return the address of a comparison."""
        return f"{self.repository_page(repository)}/compare/{before}...{after}"


def first_header(request: WebhookRequest, names: Sequence[str]) -> str:
    """Return the first of several headers that is there."""
    return next((request.headers[name] for name in names if name in request.headers), "")


def read_hook(item: Any) -> Hook:
    """Read one webhook of the REST API, which never tells of the secret."""
    return Hook(
        id=str(item.get("id", "")),
        url=str(payload.section(item, "config").get("url", "")),
        active=bool(item.get("active")),
        events=tuple(item.get("events") or ()),
    )


def read_commit(item: Any) -> Commit:
    """Read one commit of the REST API."""
    inner = payload.section(item, "commit")
    author = payload.section(inner, "author")
    return Commit(
        id=str(item.get("sha", "")),
        message=payload.clean(inner.get("message"), payload.MESSAGE_LIMIT),
        author_name=payload.clean(author.get("name")),
        author_email=payload.email(author.get("email")),
        timestamp=payload.clean(author.get("date"), 40),
        url=payload.link(item.get("html_url")),
    )
