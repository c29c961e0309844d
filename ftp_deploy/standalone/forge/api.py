"""The part of GitHub's REST API (version 3) that the app calls. https://docs.github.com/en/rest."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode

from ftp_deploy.standalone.forge.storage import Hook, StoredRepository

if TYPE_CHECKING:
    from ftp_deploy.standalone.forge.forge import Forge

DOCUMENTATION = "https://docs.github.com/rest"


@dataclass
class Request:
    """One call: the path below ``/api/v3``, decoded query fields, and the JSON body."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any = None

    def number(self, name: str, default: int) -> int:
        """Return a field of the query as a positive number."""
        value = self.query.get(name, "")
        return int(value) if value.isdigit() and int(value) > 0 else default


@dataclass
class Answer:
    """What goes back; a ``body`` of None is no body."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class ApiRefusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, errors: "list[dict[str, Any]] | None" = None) -> None:
        super().__init__(message)
        body: dict[str, Any] = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
        if errors:
            body["errors"] = errors
        self.answer = Answer(status, body)


Handler = Callable[..., Answer]


class Api:
    """Answers calls for one forge."""

    def __init__(self, forge: "Forge") -> None:
        self.forge = forge
        repository, hook = r"/repos/([^/]+/[^/]+)", r"/hooks/(\d+)"
        routes: list[tuple[str, str, Handler]] = [
            ("GET", r"/meta", self.meta),
            ("GET", r"/user", self.user),
            ("GET", r"/user/emails", self.emails),
            ("GET", r"/user/repos", self.repositories),
            ("GET", repository, self.repository),
            ("PATCH", repository, self.rename),
            ("GET", repository + r"/branches", self.branches),
            ("GET", repository + r"/branches/(.+)", self.branch),
            ("GET", repository + r"/commits", self.commits),
            ("GET", repository + r"/commits/([^/]+)", self.commit),
            ("GET", repository + r"/commits/([^/]+)/statuses", self.statuses),
            ("POST", repository + r"/statuses/([0-9a-f]{40})", self.add_status),
            ("GET", repository + r"/compare/(.+)\.\.\.(.+)", self.compare),
            ("GET", repository + r"/hooks", self.hooks),
            ("POST", repository + r"/hooks", self.add_hook),
            ("GET", repository + hook, self.hook),
            ("PATCH", repository + hook, self.change_hook),
            ("DELETE", repository + hook, self.remove_hook),
            ("POST", repository + hook + r"/(?:pings|tests)", self.ping),
            ("GET", repository + hook + r"/deliveries", self.deliveries),
            ("POST", repository + hook + r"/deliveries/(\d+)/attempts", self.redeliver),
        ]
        self.routes = [(method, re.compile(pattern), handler) for method, pattern, handler in routes]

    def answer(self, request: Request) -> Answer:
        """Answer one call; an unknown address is a 404, as on GitHub."""
        try:
            return self._route(request)
        except ApiRefusal as refusal:
            return refusal.answer

    def _route(self, request: Request) -> Answer:
        path = request.path.rstrip("/")
        by_id = re.fullmatch(r"/repositories/(\d+)(/.*)?", path)
        if by_id:
            found = next((item for item in self.forge.repositories if str(item.id) == by_id[1]), None)
            path = f"/repos/{found.full_name if found else '-/-'}{by_id[2] or ''}"
        for method, pattern, handler in self.routes:
            match = pattern.fullmatch(path)
            if not match or method != request.method:
                continue
            parts = [unquote(part) for part in match.groups()]
            if not pattern.pattern.startswith("/repos/"):
                return handler(request)
            repository = self.forge.find(parts[0])
            if repository is None:
                break
            if repository.full_name.lower() != parts[0].lower():
                return self._moved(request, repository, path)
            return handler(request, repository, *parts[1:])
        raise ApiRefusal(404, "Not Found")

    def _moved(self, request: Request, repository: StoredRepository, path: str) -> Answer:
        """Send a caller who knows an old name to the repository's number."""
        rest = path.removeprefix("/repos/").partition("/")[2].partition("/")[2]
        url = f"{self.forge.documents.api}/repositories/{repository.id}{'/' + rest if rest else ''}"
        url += f"?{urlencode(request.query)}" if request.query else ""
        status = 301 if request.method in ("GET", "HEAD") else 307
        body = {"message": "Moved Permanently", "url": url, "documentation_url": DOCUMENTATION}
        return Answer(status, body, {"Location": url})

    def _page(self, request: Request, items: list[Any], inside: str = "", **more: Any) -> Answer:
        """Return one page of a list, with a Link header (RFC 8288) to the others."""
        size = min(request.number("per_page", 30), 100)
        page = request.number("page", 1)
        last = max(1, -(-len(items) // size))
        shown = items[(page - 1) * size : page * size]

        def link(number: int, relation: str) -> str:
            query = urlencode({**request.query, "page": number})
            return f'<{self.forge.documents.api}{request.path}?{query}>; rel="{relation}"'

        links = [link(page + 1, "next"), link(last, "last")] if page < last else []
        links += [link(1, "first"), link(page - 1, "prev")] if page > 1 else []
        headers = {"Link": ", ".join(links)} if links else {}
        return Answer(200, {**more, inside: shown} if inside else shown, headers)

    def meta(self, request: Request) -> Answer:
        """Where hooks come from."""
        return Answer(200, {"verifiable_password_authentication": True, "hooks": ["127.0.0.0/8", "::1/128"]})

    def user(self, request: Request) -> Answer:
        """The user whose token it is; the address is private, as most are."""
        return Answer(200, {**self.forge.documents.user(), "name": self.forge.username, "email": None})

    def emails(self, request: Request) -> Answer:
        """The user's addresses."""
        primary = {"email": self.forge.email, "primary": True, "verified": True, "visibility": "private"}
        return self._page(request, [primary])

    def repositories(self, request: Request) -> Answer:
        """All repositories."""
        found = sorted(self.forge.repositories, key=lambda item: item.full_name.lower())
        return self._page(request, [self.forge.documents.repository(item) for item in found])

    def repository(self, request: Request, repository: StoredRepository) -> Answer:
        """One repository."""
        return Answer(200, self.forge.documents.repository(repository))

    def rename(self, request: Request, repository: StoredRepository) -> Answer:
        """Give the repository another name; its old one goes on leading to it."""
        name = request.body.get("name") if isinstance(request.body, dict) else None
        if not isinstance(name, str) or not re.fullmatch(r"[\w.-]{1,100}", name, re.ASCII):
            raise ApiRefusal(422, "Validation Failed", [{"resource": "Repository", "field": "name", "code": "invalid"}])
        self.forge.rename(repository.full_name, name)
        return self.repository(request, repository)

    def branches(self, request: Request, repository: StoredRepository) -> Answer:
        """The branches of a repository."""
        found = repository.branches().items()
        return self._page(request, [self.forge.documents.branch(repository, *item) for item in found])

    def branch(self, request: Request, repository: StoredRepository, name: str) -> Answer:
        """One branch."""
        head = repository.branches().get(name)
        if head is None:
            raise ApiRefusal(404, "Branch not found")
        return Answer(200, self.forge.documents.branch(repository, name, head))

    def commits(self, request: Request, repository: StoredRepository) -> Answer:
        """The history of a branch or a commit, newest first."""
        start = repository.find_commit(request.query.get("sha", repository.default_branch))
        if start is None:
            raise ApiRefusal(404, "Not Found")
        found = repository.commits_between([], start.id.decode("ascii"))[::-1]
        return self._page(request, [self.forge.documents.commit(repository, commit) for commit in found])

    def commit(self, request: Request, repository: StoredRepository, name: str) -> Answer:
        """One commit with its files."""
        commit = repository.find_commit(name)
        if commit is None:
            raise ApiRefusal(422, f"No commit found for SHA: {name}")
        files = [
            {"filename": path, "status": kind}
            for kind, paths in repository.changed_files(commit).items()
            for path in paths
        ]
        return Answer(200, {**self.forge.documents.commit(repository, commit), "files": files[:300]})

    def compare(self, request: Request, repository: StoredRepository, base: str, head: str) -> Answer:
        """What ``head`` has and ``base`` lacks."""
        one, other = repository.find_commit(base), repository.find_commit(head)
        if one is None or other is None:
            raise ApiRefusal(404, "Not Found")
        before, after = one.id.decode("ascii"), other.id.decode("ascii")
        ahead = repository.commits_between([before], after)
        behind = repository.commits_between([after], before)
        status = ("diverged" if ahead else "behind") if behind else ("ahead" if ahead else "identical")
        return self._page(
            request,
            [self.forge.documents.commit(repository, commit) for commit in ahead],
            inside="commits",
            status=status,
            ahead_by=len(ahead),
            behind_by=len(behind),
            total_commits=len(ahead),
        )

    def statuses(self, request: Request, repository: StoredRepository, name: str) -> Answer:
        """The statuses of a commit, newest first."""
        commit = repository.find_commit(name)
        found = repository.statuses.get(commit.id.decode("ascii"), []) if commit else []
        return self._page(request, found[::-1])

    def add_status(self, request: Request, repository: StoredRepository, sha: str) -> Answer:
        """Set a status of a commit."""
        fields = json_object(request)
        if repository.find_commit(sha) is None:
            raise ApiRefusal(422, f"No commit found for SHA: {sha}")
        if fields.get("state") not in ("error", "failure", "pending", "success"):
            raise ApiRefusal(422, "Validation Failed", [{"resource": "Status", "code": "invalid", "field": "state"}])
        known = repository.statuses.setdefault(sha, [])
        status = {
            "id": len(known) + 1,
            "state": fields["state"],
            "target_url": fields.get("target_url"),
            "description": fields.get("description"),
            "context": fields.get("context", "default"),
            "creator": self.forge.documents.user(),
        }
        known.append(status)
        return Answer(201, status)

    def hooks(self, request: Request, repository: StoredRepository) -> Answer:
        """The webhooks of a repository."""
        return self._page(request, [self.forge.documents.hook(repository, hook) for hook in repository.hooks.values()])

    def add_hook(self, request: Request, repository: StoredRepository) -> Answer:
        """Add a webhook and ping it."""
        fields = json_object(request)
        config = hook_config(fields)
        if any(hook.url == config["url"] for hook in repository.hooks.values()):
            message = "Hook already exists on this repository"
            raise ApiRefusal(422, "Validation Failed", [{"resource": "Hook", "code": "custom", "message": message}])
        events = list(fields.get("events") or ["push"])
        hook = self.forge.add_hook(repository.full_name, config, events, active=fields.get("active", True) is True)
        return Answer(201, self.forge.documents.hook(repository, hook))

    def hook(self, request: Request, repository: StoredRepository, number: str) -> Answer:
        """One webhook."""
        return Answer(200, self.forge.documents.hook(repository, find_hook(repository, number)))

    def change_hook(self, request: Request, repository: StoredRepository, number: str) -> Answer:
        """Change a webhook. A config without a secret removes the secret, as on GitHub."""
        hook = find_hook(repository, number)
        fields = json_object(request)
        if "config" in fields:
            hook.config = hook_config(fields)
        if isinstance(fields.get("events"), list):
            hook.events = list(fields["events"])
        if isinstance(fields.get("active"), bool):
            hook.active = fields["active"]
        hook.updated = datetime.now(UTC)
        return Answer(200, self.forge.documents.hook(repository, hook))

    def remove_hook(self, request: Request, repository: StoredRepository, number: str) -> Answer:
        """Remove a webhook."""
        del repository.hooks[find_hook(repository, number).id]
        return Answer(204)

    def ping(self, request: Request, repository: StoredRepository, number: str) -> Answer:
        """Ping a webhook."""
        self.forge.ping(repository.full_name, find_hook(repository, number))
        return Answer(204)

    def deliveries(self, request: Request, repository: StoredRepository, number: str) -> Answer:
        """What was sent to a webhook, newest first."""
        hook = find_hook(repository, number)
        found = [delivery for delivery in reversed(self.forge.deliveries) if delivery.hook is hook]
        return self._page(request, [self.forge.documents.delivery(delivery) for delivery in found])

    def redeliver(self, request: Request, repository: StoredRepository, number: str, delivery: str) -> Answer:
        """Send a delivery again, with the same GUID."""
        hook = find_hook(repository, number)
        for sent in self.forge.deliveries:
            if sent.hook is hook and str(sent.id) == delivery:
                self.forge.redeliver(sent)
                return Answer(202, {})
        raise ApiRefusal(404, "Not Found")


def json_object(request: Request) -> dict[str, Any]:
    """Return the body, which has to be an object."""
    if not isinstance(request.body, dict):
        raise ApiRefusal(400, "Problems parsing JSON")
    return request.body


def hook_config(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the config of a webhook. GitHub's own default for its content type is ``form``."""
    given = fields.get("config")
    if not isinstance(given, dict) or not str(given.get("url", "")).startswith(("http://", "https://")):
        raise ApiRefusal(422, "Validation Failed", [{"resource": "Hook", "code": "missing_field", "field": "url"}])
    config = {key: str(value) for key, value in given.items()}
    return {"content_type": "form", "insecure_ssl": "0", **config}


def find_hook(repository: StoredRepository, number: str) -> Hook:
    """Return a webhook by its number."""
    hook = repository.hooks.get(int(number))
    if hook is None:
        raise ApiRefusal(404, "Not Found")
    return hook


def encoded(answer: Answer) -> bytes:
    """Return the body as it goes over the line."""
    return b"" if answer.body is None else json.dumps(answer.body).encode()
