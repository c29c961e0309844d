"""Captured webhook bodies, where the folder with them is there, and what each of them means."""

import json
from pathlib import Path
from typing import Any

import pytest

PAYLOADS = Path(__file__).parents[3] / "shared" / "payloads"
SPECS = Path(__file__).parents[3] / "shared" / "specs"

EVENT_HEADERS = {
    "github": "x-github-event",
    "github-enterprise": "x-github-event",
    "bitbucket": "x-event-key",
    "gitea": "x-gitea-event",
    "gitlab": "x-gitlab-event",
}


def captured(folder: str) -> list[Any]:
    """Return the files of one forge as test parameters; one that is skipped where there are none."""
    files = sorted((PAYLOADS / folder).glob("*.json"))
    if not files:
        missing = pytest.mark.skip(reason=f"{PAYLOADS / folder} is not there")
        return [pytest.param(PAYLOADS / folder / "missing.json", marks=missing, id=f"{folder}-missing")]
    return [pytest.param(file, id=f"{folder}-{file.stem}") for file in files]


def event_of(file: Path) -> str:
    """Return the event that the forge names in its header for such a body."""
    folder, fields = file.parent.name, json.loads(file.read_bytes())
    if folder == "bitbucket":
        return "repo:push"
    if folder == "gitlab":
        kind = fields.get("object_kind") or fields["event_name"]
        return {"push": "Push Hook", "tag_push": "Tag Push Hook"}[kind]
    if "ref_type" in fields:
        # Gitea's branch_delete and GitHub's delete carry no field that a create has not: the file's name tells.
        return "delete" if "delete" in file.stem else "create"
    return "push" if "ref" in fields else "ping"


def expected_pushes(file: Path) -> int:
    """Return how many branch moves a body holds, read from the body by other means than the provider's."""
    fields = json.loads(file.read_bytes())
    if file.parent.name == "bitbucket":
        return sum(1 for change in fields["push"]["changes"] if (change["new"] or {}).get("type") == "branch")
    moved = str(fields.get("ref", "")).startswith("refs/heads/") and set(str(fields["after"])) != {"0"}
    return int(moved)
