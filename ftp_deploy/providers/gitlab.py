"""GitLab.com and self-managed GitLab.

Webhooks: https://docs.gitlab.com/user/project/integrations/webhook_events/#push-events. A hook is authenticated by the
secret token in clear (``X-Gitlab-Token``) or, since GitLab 19, by a signing token as in https://www.standardwebhooks.com:
``v1,`` and the base64 HMAC-SHA256 of ``{webhook-id}.{webhook-timestamp}.{body}``. REST: https://docs.gitlab.com/api/rest/.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Any
from urllib.parse import quote

from ftp_deploy.exceptions import ApiError, SignatureRefused
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
from ftp_deploy.providers.rest import COMMIT_LIMIT, STATUS_CONTEXT, RestProvider, oldest_first, path_of

PAGE = {"per_page": 100}
TOKEN_PREFIX = "whsec_"  # noqa: S105 - the prefix of signing tokens
TOLERANCE = 300
"""Seconds that the clocks of GitLab and of this server may differ."""
PUBLISHED_NETWORKS = ("34.74.90.64/28", "34.74.226.0/24")
"""Where GitLab.com's requests come from: https://docs.gitlab.com/user/gitlab_com/#ip-range."""
PUSH_EVENTS = frozenset({"push", "Push Hook"})
TAG_EVENTS = frozenset({"tag_push", "Tag Push Hook"})
STATES = {
    CommitState.PENDING: "running",
    CommitState.SUCCESS: "success",
    CommitState.FAILURE: "failed",
}


class GitLab(RestProvider):
    """GitLab. A repository is a project; its full name may hold several groups."""

    name = "gitlab"
    label = "GitLab"
    public_url = "https://gitlab.com"

    @cached_property
    def client(self) -> Client:
        """The REST API, logged in with a personal, group or project token."""
        token = self.account.password
        base = f"{self.web_url.removesuffix('/api/v4')}/api/v4"
        return self.open_client(base, {"PRIVATE-TOKEN": token} if token else {})

    def verify(self, request: WebhookRequest, secret: str) -> None:
        """Check the signature of a signing token, or else the secret token."""
        if not secret:
            raise SignatureRefused("The service has no hook secret.")
        if "webhook-signature" in request.headers and is_signed(request, secret):
            return
        if not payload.same(secret, request.headers.get("x-gitlab-token", "")):
            raise SignatureRefused("The secret token or signature is missing or is not this service's.")

    def parse(self, request: WebhookRequest) -> Delivery:
        """Read a push or tag push event; the kind of the event stands in the body."""
        fields = payload.decode(request)
        headers = request.headers
        delivery_id = payload.clean(headers.get("idempotency-key") or headers.get("x-gitlab-event-uuid", ""))
        project = payload.section(fields, "project")
        repository = payload.clean(project.get("path_with_namespace"))
        event = payload.clean(fields.get("object_kind") or fields.get("event_name"), 50) or "unknown"
        if event not in PUSH_EVENTS | TAG_EVENTS:
            return payload.not_a_push(delivery_id, event, repository)
        commits = tuple(map(payload.commit, payload.sections(fields, "commits")))
        page = payload.link(project.get("web_url"))
        before, after = payload.commit_id(fields, "before"), payload.commit_id(fields, "after", required=True)
        push = PushEvent(
            branch="",
            before="",
            after="",
            commits=commits,
            complete=payload.number(fields.get("total_commits_count")) <= len(commits),
            user_name=payload.clean(fields.get("user_name")) or payload.clean(fields.get("user_username")),
            user_email=payload.email(fields.get("user_email")),
            compare_url=f"{page}/-/compare/{before}...{after}" if page and before and after else "",
        )
        return payload.delivery_of_push(fields, delivery_id, repository, push)

    def repositories(self) -> Sequence[Repository]:
        """List the projects that the token's user is a member of."""
        query = {**PAGE, "membership": "true", "simple": "true", "order_by": "id"}
        return list(map(read_repository, self.client.items("projects", query)))

    def repository(self, repository: str) -> Repository:
        """Return one project; a renamed one is followed."""
        return read_repository(self.client.get(project_path(repository)))

    def branches(self, repository: str) -> Sequence[str]:
        """List the branch names."""
        found = self.client.items(f"{project_path(repository)}/repository/branches", PAGE)
        return [str(branch.get("name", "")) for branch in found]

    def hooks(self, repository: str) -> Sequence[Hook]:
        """List the webhooks; the token needs the Maintainer role."""
        return list(map(read_hook, self.client.items(f"{project_path(repository)}/hooks", PAGE)))

    def with_last_delivery(self, repository: str, hook: Hook) -> Hook:
        """Return the hook with the answer to its last delivery of the past week; an older GitLab does not tell."""
        try:
            events = self.client.items(f"{hook_path(repository, hook.id)}/events", {"per_page": 1})
            code = str(next(iter(events), {}).get("response_status") or "")
        except ApiError:
            return hook
        return replace(hook, last_status=int(code) if code.isdecimal() else None)

    def published_addresses(self) -> Sequence[str]:
        """Return the networks of GitLab.com; a server of one's own has none that are published."""
        return PUBLISHED_NETWORKS if self.web_url == self.public_url else ()

    def add_hook(self, repository: str, url: str, secret: str) -> Hook:
        """Add a webhook for pushes to branches, with TLS verified."""
        body = {"url": url, "enable_ssl_verification": True, "tag_push_events": False, **credentials_of(secret)}
        return read_hook(self.client.send("POST", f"{project_path(repository)}/hooks", body))

    def update_hook(self, repository: str, hook_id: str, url: str, secret: str) -> Hook:
        """Set URL and secret and turn push events on; what a person chose beside that stays."""
        return read_hook(
            self.client.send("PUT", hook_path(repository, hook_id), {"url": url, **credentials_of(secret)})
        )

    def remove_hook(self, repository: str, hook_id: str) -> None:
        """Remove a webhook; one that is already gone is fine."""
        self.client.remove(hook_path(repository, hook_id))

    def commits(self, repository: str, before: str, after: str) -> Sequence[Commit]:
        """List the commits of a push: a comparison, or for a new branch the newest hundred."""
        path = f"{project_path(repository)}/repository"
        if not before:
            newest = self.client.items(f"{path}/commits", {**PAGE, "ref_name": after})
            return oldest_first(map(read_commit, islice(newest, PAGE["per_page"])), after)
        found = self.client.get(f"{path}/compare", {"from": before, "to": after, "straight": "true"})
        return oldest_first(map(read_commit, payload.sections(found, "commits")[:COMMIT_LIMIT]), after)

    def set_status(self, repository: str, commit: str, state: CommitState, url: str, description: str) -> None:
        """Set a commit status."""
        body = {"state": STATES[state], "name": STATUS_CONTEXT, "description": description[:255]}
        if url:
            body["target_url"] = url
        try:
            self.client.send("POST", f"{project_path(repository)}/statuses/{commit}", body)
        except ApiError as error:
            # GitLab refuses to set a state that is already set ("Cannot transition status").
            if "cannot transition" not in error.message.lower():
                raise

    def user_email(self) -> str:
        """Return the address of the token's user."""
        return payload.email(self.client.get("user").get("email"))

    def git_access(self, repository: str) -> GitAccess:
        """Return the https address; ``oauth2`` goes with every kind of token."""
        token = self.account.password
        return GitAccess(f"{self.repository_page(repository)}.git", "oauth2" if token else "", token)

    def commit_url(self, repository: str, commit: str) -> str:
        """Return the address of a commit's page."""
        return f"{self.repository_page(repository)}/-/commit/{commit}"

    def compare_url(self, repository: str, before: str, after: str) -> str:
        """Return the address of a comparison."""
        return f"{self.repository_page(repository)}/-/compare/{before}...{after}"


def is_signed(request: WebhookRequest, secret: str) -> bool:
    """Whether the request carries a signature made with the signing token, now or a few minutes ago."""
    identifier, timestamp = (request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp"))
    fresh = timestamp.isascii() and timestamp.isdigit() and abs(time.time() - int(timestamp[:15])) <= TOLERANCE
    signed = f"{identifier}.{timestamp}.".encode(errors="replace") + request.body
    digest = hmac.new(signing_key(secret), signed, hashlib.sha256).digest()
    expected = f"v1,{base64.b64encode(digest).decode()}"
    given = request.headers.get("webhook-signature", "").split(" ")[:20]
    return fresh and bool(identifier) and any(payload.same(expected, each) for each in given)


def signing_key(secret: str) -> bytes:
    """Return the key of a signing token; a hook secret that is none stands for the token made from it."""
    return payload.decode_key(signing_token(secret).removeprefix(TOKEN_PREFIX))


def signing_token(secret: str) -> str:
    """Return ``whsec_`` and 32 bytes in base64: the secret itself where it is such a token, else one made from it."""
    if secret.startswith(TOKEN_PREFIX):
        return secret
    return TOKEN_PREFIX + base64.b64encode(hashlib.sha256(f"ftp-deploy:{secret}".encode()).digest()).decode()


def credentials_of(secret: str) -> dict[str, Any]:
    """Return the fields of a hook that authenticate it; a GitLab older than 19 takes no notice of the second."""
    return {"push_events": True, "token": secret, "signing_token": signing_token(secret)}


def project_path(repository: str) -> str:
    """Return the path of a project, named by its whole path."""
    return f"projects/{quote(path_of(repository), safe='')}"


def hook_path(repository: str, hook_id: str) -> str:
    """Return the path of a hook."""
    return f"{project_path(repository)}/hooks/{quote(hook_id, safe='')}"


def read_repository(item: Any) -> Repository:
    """Read one project of the REST API."""
    return Repository(
        full_name=str(item.get("path_with_namespace", "")),
        name=str(item.get("name", "")),
        default_branch=item.get("default_branch") or "",
        private=item.get("visibility", "private") != "public",
        clone_url=item.get("http_url_to_repo") or "",
    )


def read_hook(item: Any) -> Hook:
    """Read one webhook of the REST API; one that GitLab turned off after failures is not active."""
    present = [item[name] for name in ("token_present", "signing_token_present") if name in item]
    return Hook(
        id=str(item.get("id", "")),
        url=str(item.get("url", "")),
        active=item.get("alert_status", "executable") == "executable" and not item.get("disabled_until"),
        events=("push",) if item.get("push_events") else (),
        has_secret=any(present) if present else None,
    )


def read_commit(item: Any) -> Commit:
    """Read one commit of the REST API."""
    return Commit(
        id=str(item.get("id", "")),
        message=payload.clean(item.get("message"), payload.MESSAGE_LIMIT),
        author_name=payload.clean(item.get("author_name")),
        author_email=payload.email(item.get("author_email")),
        timestamp=payload.clean(item.get("created_at"), 40),
        url=payload.link(item.get("web_url")),
    )
