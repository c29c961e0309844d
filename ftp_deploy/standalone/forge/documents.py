"""The JSON documents of the forge, with the fields that GitHub's have: for its REST API and for its webhooks."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from dulwich.objects import Commit

from ftp_deploy.standalone.forge.deliveries import Delivery
from ftp_deploy.standalone.forge.storage import ZERO, Hook, StoredRepository


class Documents:
    """Makes the documents; ``base`` is the address of the forge, ``login`` its one user."""

    def __init__(self, base: str, login: str, email: str) -> None:
        self.base = base
        self.api = f"{base}/api/v3"
        self.login = login
        self.email = email

    def user(self) -> dict[str, Any]:
        """The user."""
        return {
            "login": self.login,
            "id": 1,
            "node_id": "U_1",
            "avatar_url": f"{self.base}/avatars/{self.login}",
            "url": f"{self.api}/users/{self.login}",
            "html_url": f"{self.base}/{self.login}",
            "repos_url": f"{self.api}/users/{self.login}/repos",
            "type": "User",
            "site_admin": False,
        }

    def repository(self, repository: StoredRepository) -> dict[str, Any]:
        """A repository, as the REST API gives it."""
        url = f"{self.api}/repos/{repository.full_name}"
        html = f"{self.base}/{repository.full_name}"
        return {
            "id": repository.id,
            "node_id": f"R_{repository.id}",
            "name": repository.name,
            "full_name": repository.full_name,
            "private": True,
            "visibility": "private",
            "owner": self.user(),
            "html_url": html,
            "description": None,
            "fork": False,
            "url": url,
            "hooks_url": f"{url}/hooks",
            "branches_url": f"{url}/branches{{/branch}}",
            "commits_url": f"{url}/commits{{/sha}}",
            "compare_url": f"{url}/compare/{{base}}...{{head}}",
            "statuses_url": f"{url}/statuses/{{sha}}",
            "clone_url": f"{html}.git",
            "git_url": f"git://{html.partition('://')[2]}.git",
            "ssh_url": f"git@{self.base.partition('://')[2]}:{repository.full_name}.git",
            "default_branch": repository.default_branch,
            "archived": False,
            "disabled": False,
            "created_at": stamp(repository.created),
            "updated_at": stamp(repository.pushed),
            "pushed_at": stamp(repository.pushed),
            "permissions": {"admin": True, "maintain": True, "push": True, "triage": True, "pull": True},
        }

    def hook(self, repository: StoredRepository, hook: Hook) -> dict[str, Any]:
        """A webhook; its secret is never shown."""
        url = f"{self.api}/repos/{repository.full_name}/hooks/{hook.id}"
        config = {key: value for key, value in hook.config.items() if key != "secret" or value}
        if "secret" in config:
            config["secret"] = "********"  # noqa: S105
        return {
            "type": "Repository",
            "id": hook.id,
            "name": "web",
            "active": hook.active,
            "events": hook.events,
            "config": config,
            "updated_at": stamp(hook.updated),
            "created_at": stamp(hook.created),
            "url": url,
            "test_url": f"{url}/test",
            "ping_url": f"{url}/pings",
            "deliveries_url": f"{url}/deliveries",
            "last_response": hook.last_response,
        }

    def delivery(self, delivery: Delivery) -> dict[str, Any]:
        """A delivery, as the list of a hook's deliveries has it."""
        return {
            "id": delivery.id,
            "guid": delivery.guid,
            "delivered_at": stamp(delivery.delivered) if delivery.delivered else None,
            "redelivery": delivery.redelivery,
            "duration": round(delivery.seconds, 2),
            "status": "OK" if 200 <= delivery.status < 300 else delivery.error or "Invalid HTTP Response",
            "status_code": delivery.status,
            "event": delivery.event,
            "action": None,
        }

    def branch(self, repository: StoredRepository, name: str, head: str) -> dict[str, Any]:
        """A branch."""
        return {
            "name": name,
            "commit": {"sha": head, "url": f"{self.api}/repos/{repository.full_name}/commits/{head}"},
            "protected": False,
        }

    def commit(self, repository: StoredRepository, commit: Commit) -> dict[str, Any]:
        """A commit, as the REST API gives it."""
        sha = commit.id.decode("ascii")
        url = f"{self.api}/repos/{repository.full_name}"
        return {
            "sha": sha,
            "node_id": f"C_{sha}",
            "commit": {
                "author": person(commit.author, commit.author_time, commit.author_timezone),
                "committer": person(commit.committer, commit.commit_time, commit.commit_timezone),
                "message": commit.message.decode("utf-8", "replace"),
                "tree": {"sha": commit.tree.decode("ascii"), "url": f"{url}/git/trees/{commit.tree.decode('ascii')}"},
                "url": f"{url}/git/commits/{sha}",
                "comment_count": 0,
            },
            "url": f"{url}/commits/{sha}",
            "html_url": f"{self.base}/{repository.full_name}/commit/{sha}",
            "author": None,
            "committer": None,
            "parents": [{"sha": parent.decode("ascii")} for parent in commit.parents],
        }

    def ping(self, repository: StoredRepository, hook: Hook) -> dict[str, Any]:
        """The payload of a ping."""
        return {
            "zen": "Keep it logically awesome.",
            "hook_id": hook.id,
            "hook": self.hook(repository, hook),
            "repository": self.repository(repository),
            "sender": self.user(),
        }

    def push(self, repository: StoredRepository, branch: str, before: str, after: str) -> dict[str, Any]:
        """The payload of a push; ``before`` is 40 zeros for a new branch, ``after`` for a deleted one."""
        others = [head for name, head in repository.branches().items() if name != branch]
        known = others if before == ZERO else [before]
        commits = [] if after == ZERO else repository.commits_between(known, after)
        entries = [self._pushed_commit(repository, commit) for commit in commits]
        html = f"{self.base}/{repository.full_name}"
        described = self.repository(repository)
        described["created_at"] = int(repository.created.timestamp())
        described["pushed_at"] = int(repository.pushed.timestamp())
        described["master_branch"] = repository.default_branch
        described["url"] = html
        described["owner"] = {"name": self.login, "email": self.email, **self.user()}
        return {
            "ref": f"refs/heads/{branch}",
            "before": before,
            "after": after,
            "repository": described,
            "pusher": {"name": self.login, "email": self.email},
            "sender": self.user(),
            "created": before == ZERO,
            "deleted": after == ZERO,
            "forced": repository.is_forced(before, after),
            "base_ref": None,
            "compare": f"{html}/compare/{before[:12]}...{after[:12]}",
            "commits": entries,
            "head_commit": entries[-1] if entries else None,
        }

    def _pushed_commit(self, repository: StoredRepository, commit: Commit) -> dict[str, Any]:
        sha = commit.id.decode("ascii")
        author = person(commit.author, commit.author_time, commit.author_timezone)
        committer = person(commit.committer, commit.commit_time, commit.commit_timezone)
        return {
            "id": sha,
            "tree_id": commit.tree.decode("ascii"),
            "distinct": True,
            "message": commit.message.decode("utf-8", "replace"),
            "timestamp": author["date"],
            "url": f"{self.base}/{repository.full_name}/commit/{sha}",
            "author": {"name": author["name"], "email": author["email"]},
            "committer": {"name": committer["name"], "email": committer["email"]},
            **repository.changed_files(commit),
        }


def person(line: bytes, seconds: int, zone: int) -> dict[str, str]:
    """Return name, e-mail and date of a commit's author line."""
    name, _, rest = line.decode("utf-8", "replace").partition(" <")
    date = datetime.fromtimestamp(seconds, timezone(timedelta(seconds=zone)))
    return {"name": name, "email": rest.rstrip(">"), "date": date.isoformat()}


def stamp(moment: datetime) -> str:
    """Return a time as GitHub writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
