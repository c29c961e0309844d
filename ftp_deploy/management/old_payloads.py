"""Reading the webhook bodies that 2.x stored: GitHub's and Bitbucket's formats of 2014, as far as they can be read."""

import json
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import Any

LONGEST_ID = 64


@dataclass(frozen=True, slots=True)
class OldPush:
    """What an old body tells about a push."""

    payload: dict[str, Any] = field(default_factory=dict)
    before: str = ""
    after: str = ""
    branch: str = ""
    user_email: str = ""
    commits: tuple[dict[str, str], ...] = ()


def read_payload(text: Any) -> OldPush:
    """Read a stored body; what cannot be read is left out, never an error."""
    try:
        body = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return OldPush()
    if not isinstance(body, dict):
        return OldPush()
    listed = body.get("commits")
    commits = [_commit(entry) for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    last = commits[-1]["id"] if commits else ""
    branch = _text(body.get("ref")).removeprefix("refs/heads/") or _branch_of(listed)
    return OldPush(
        payload=body,
        before=_commit_id(body.get("before")),
        after=_commit_id(body.get("after")) or last,
        branch=branch[:255],
        user_email=_text(_inner(body, "pusher", "email"))[:254],
        commits=tuple(commit for commit in commits if commit["id"]),
    )


def _commit(entry: dict[str, Any]) -> dict[str, str]:
    """Return the stored form of a commit: GitHub has ``id`` and an ``author`` object, Bitbucket ``raw_node``."""
    name, address = parseaddr(_text(entry.get("raw_author")))
    author = entry.get("author")
    return {
        "id": _commit_id(entry.get("id") or entry.get("raw_node") or entry.get("node")),
        "message": _text(entry.get("message")).strip(),
        "author_name": _text(_inner(entry, "author", "name")) or name or _text(author),
        "author_email": _text(_inner(entry, "author", "email")) or address,
        "timestamp": _text(entry.get("timestamp") or entry.get("utctimestamp")),
        "url": _text(entry.get("url")),
    }


def _branch_of(listed: Any) -> str:
    """Return the branch that Bitbucket names at a commit; it leaves it empty at all but the last of each branch."""
    entries = listed if isinstance(listed, list) else []
    names = [_text(entry.get("branch")) for entry in entries if isinstance(entry, dict)]
    return next((name for name in reversed(names) if name), "")


def _inner(body: dict[str, Any], outer: str, name: str) -> Any:
    value = body.get(outer)
    return value.get(name) if isinstance(value, dict) else None


def _commit_id(value: Any) -> str:
    text = _text(value).lower()
    return "" if len(text) > LONGEST_ID or not text.strip("0") else text


def _text(value: Any) -> str:
    return value.replace("\0", "") if isinstance(value, str) else ""
