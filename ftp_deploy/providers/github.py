"""GitHub and GitHub Enterprise Server.

Webhooks: https://docs.github.com/en/webhooks/webhook-events-and-payloads#push and
https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries. REST: https://docs.github.com/en/rest.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from ftp_deploy.exceptions import ApiError
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
from ftp_deploy.providers.http import Client
from ftp_deploy.providers.rest import (
    COMMIT_LIMIT,
    STATUS_CONTEXT,
    RestProvider,
    hook_path,
    is_host,
    oldest_first,
    path_of,
    read_repository,
)

API_VERSION = "2022-11-28"
MOST_COMMITS = 2048
"""Commits that GitHub puts into one push event."""
APP_TOKEN = "ghs_"  # noqa: S105 - the prefix of installation tokens
PAGE = {"per_page": 100}


class GitHub(RestProvider):
    """GitHub. An account's ``url`` is the address of a GitHub Enterprise Server."""

    name = "github"
    label = "GitHub"
    public_url = "https://github.com"

    @property
    def web_url(self) -> str:
        """The address of the forge's pages."""
        url = self.account.url.removesuffix("/api/v3")
        return self.public_url if is_host(url, "", "github.com", "api.github.com") else url

    @cached_property
    def client(self) -> Client:
        """The REST API, logged in with the account's token."""
        web = self.web_url
        base = "https://api.github.com" if web == self.public_url else f"{web}/api/v3"
        token = self.account.password
        return self.open_client(
            base,
            {"Authorization": f"Bearer {token}"} if token else {},
            {"Accept": "application/vnd.github+json, application/json", "X-GitHub-Api-Version": API_VERSION},
        )

    def verify(self, request: WebhookRequest, secret: str) -> None:
        """Check ``X-Hub-Signature-256``, the HMAC-SHA256 of the raw body."""
        header = request.headers.get("x-hub-signature-256", "")
        payload.verify_digest(secret, request.body, payload.prefixed_digest(header))

    def parse(self, request: WebhookRequest) -> Delivery:
        """Read a ``push`` event; pings, other events, tags and deletes give a reason."""
        fields = payload.decode(request)
        delivery_id = payload.clean(request.headers.get("x-github-delivery", ""))
        repository = payload.clean(payload.section(fields, "repository").get("full_name"))
        event = request.headers.get("x-github-event") or ("push" if "ref" in fields and "after" in fields else "ping")
        if event != "push":
            return payload.not_a_push(delivery_id, payload.clean(event, 50), repository)
        commits = tuple(map(payload.commit, payload.sections(fields, "commits")))
        pusher = payload.section(fields, "pusher")
        push = PushEvent(
            branch="",
            before="",
            after="",
            commits=commits,
            complete=len(commits) < MOST_COMMITS,
            user_name=payload.clean(pusher.get("name")),
            user_email=payload.email(pusher.get("email")),
            compare_url=payload.link(fields.get("compare")),
            forced=fields.get("forced") is True,
        )
        return payload.delivery_of_push(fields, delivery_id, repository, push)

    def repositories(self) -> Sequence[Repository]:
        """List what the token's user may see; for an app's token, what the app is installed on."""
        if self.account.password.startswith(APP_TOKEN):
            found = self.client.items("installation/repositories", PAGE, inside="repositories")
            return list(map(read_repository, found))
        query = {**PAGE, "affiliation": "owner,collaborator,organization_member", "sort": "full_name"}
        return list(map(read_repository, self.client.items("user/repos", query)))

    def repository(self, repository: str) -> Repository:
        """Return one repository; a renamed one is followed."""
        return read_repository(self.client.get(f"repos/{path_of(repository)}"))

    def branches(self, repository: str) -> Sequence[str]:
        """List the branch names."""
        found = self.client.items(f"repos/{path_of(repository)}/branches", PAGE)
        return [str(branch.get("name", "")) for branch in found]

    def hooks(self, repository: str) -> Sequence[Hook]:
        """List the webhooks; the token needs to administer them."""
        return list(map(read_hook, self.client.items(f"repos/{path_of(repository)}/hooks", PAGE)))

    def add_hook(self, repository: str, url: str, secret: str) -> Hook:
        """Add a webhook for push events, sent as JSON, signed, with TLS verified."""
        config = {"url": url, "content_type": "json", "secret": secret, "insecure_ssl": "0"}
        body = {"name": "web", "active": True, "events": ["push"], "config": config}
        return read_hook(self.client.send("POST", f"repos/{path_of(repository)}/hooks", body))

    def update_hook(self, repository: str, hook_id: str, url: str, secret: str) -> Hook:
        """Set URL and secret and make the hook active; what a person chose beside that stays."""
        path = hook_path(repository, hook_id)
        found = self.client.get(path)
        kept = payload.section(found, "config")
        config = {
            "url": url,
            "content_type": kept.get("content_type") or "json",
            "secret": secret,
            "insecure_ssl": str(kept.get("insecure_ssl") or "0"),
        }
        events = sorted({*found.get("events", []), "push"})
        return read_hook(self.client.send("PATCH", path, {"active": True, "events": events, "config": config}))

    def remove_hook(self, repository: str, hook_id: str) -> None:
        """Remove a webhook; one that is already gone is fine."""
        self.client.remove(hook_path(repository, hook_id))

    def commits(self, repository: str, before: str, after: str) -> Sequence[Commit]:
        """List the commits of a push: a comparison, or for a new branch the newest hundred."""
        path = path_of(repository)
        if not before:
            newest = self.client.items(f"repos/{path}/commits", {**PAGE, "sha": after})
            return oldest_first(map(read_commit, islice(newest, PAGE["per_page"])), after)
        found = self.client.items(f"repos/{path}/compare/{before}...{after}", PAGE, inside="commits")
        return oldest_first(map(read_commit, islice(found, COMMIT_LIMIT)), after)

    def set_status(self, repository: str, commit: str, state: CommitState, url: str, description: str) -> None:
        """Set a commit status."""
        body = {"state": state.value, "description": description[:140], "context": STATUS_CONTEXT}
        if url:
            body["target_url"] = url
        self.client.send("POST", f"repos/{path_of(repository)}/statuses/{commit}", body)

    def published_addresses(self) -> Sequence[str]:
        """Return the networks that ``GET /meta`` names for hooks."""
        return [str(network) for network in self.client.get("meta").get("hooks", [])]

    def user_email(self) -> str:
        """Return the public address of the user, else the primary one where the token may read it."""
        shown = payload.email(self.client.get("user").get("email"))
        if shown:
            return shown
        try:
            addresses = list(self.client.items("user/emails", PAGE))
        except ApiError as error:
            if error.status in {403, 404}:
                return ""
            raise
        return next((payload.email(item.get("email")) for item in addresses if item.get("primary")), "")

    def git_access(self, repository: str) -> GitAccess:
        """Return the https address; any user name goes with a personal token, an app's token wants its own."""
        token = self.account.password
        username = self.account.username
        if not username or token.startswith(APP_TOKEN):
            username = "x-access-token"
        return GitAccess(f"{self.repository_page(repository)}.git", username if token else "", token)

    def commit_url(self, repository: str, commit: str) -> str:
        """Return the address of a commit's page."""
        return f"{self.repository_page(repository)}/commit/{commit}"

    def compare_url(self, repository: str, before: str, after: str) -> str:
        """Return the address of a comparison."""
        return f"{self.repository_page(repository)}/compare/{before}...{after}"


def read_hook(item: Any) -> Hook:
    """Read one webhook of the REST API."""
    config = payload.section(item, "config")
    code = payload.section(item, "last_response").get("code")
    return Hook(
        id=str(item.get("id", "")),
        url=str(config.get("url", "")),
        active=bool(item.get("active")),
        events=tuple(item.get("events", ())),
        has_secret=bool(config.get("secret")),
        last_status=code if isinstance(code, int) and code > 0 else None,
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
