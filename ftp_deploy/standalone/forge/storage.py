"""The forge's repositories: bare git repositories in a folder, and what the forge knows about each beside git."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dulwich import porcelain
from dulwich.diff_tree import tree_changes
from dulwich.graph import can_fast_forward
from dulwich.index import commit_tree
from dulwich.object_store import iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

ZERO = "0" * 40
FILE_MODE = 0o100644
MOST_COMMITS = 2048


@dataclass
class Hook:
    """A webhook of a repository. ``secret`` is empty for an unsigned one."""

    id: int
    config: dict[str, str]
    events: list[str]
    active: bool = True
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))
    last_response: dict[str, Any] = field(default_factory=lambda: {"code": None, "status": "unused", "message": None})

    @property
    def url(self) -> str:
        """Where deliveries go."""
        return self.config.get("url", "")

    @property
    def secret(self) -> str:
        """What deliveries are signed with."""
        return self.config.get("secret", "")


@dataclass
class Author:
    """Who made a commit."""

    name: str = "The webmaster"
    email: str = "webmaster@example.com"

    @property
    def line(self) -> bytes:
        """As git writes it."""
        return f"{self.name} <{self.email}>".encode()


@dataclass
class StoredRepository:
    """One repository."""

    id: int
    owner: str
    name: str
    folder: Path
    default_branch: str = "main"
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    pushed: datetime = field(default_factory=lambda: datetime.now(UTC))
    hooks: dict[int, Hook] = field(default_factory=dict)
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def full_name(self) -> str:
        """Owner and name, as in the repository's address."""
        return f"{self.owner}/{self.name}"

    @contextmanager
    def opened(self) -> Iterator[Repo]:
        """Give the git repository."""
        repo = Repo(str(self.folder))
        try:
            yield repo
        finally:
            repo.close()

    def branches(self) -> dict[str, str]:
        """Return the head of each branch."""
        with self.opened() as repo:
            found = repo.refs.as_dict(Ref(b"refs/heads"))
        return {name.decode(): head.decode("ascii") for name, head in sorted(found.items())}

    def commit(
        self, files: Mapping[str, "bytes | tuple[int, bytes] | None"], message: str, branch: str, author: Author
    ) -> str:
        """Commit on top of a branch, which moves, and return the commit's id.

        ``files`` gives new contents by path, None deletes; a tuple is (git mode, content).
        """
        with self.lock, self.opened() as repo:
            parent = repo.refs.as_dict(Ref(b"refs/heads")).get(Ref(branch.encode()))
            entries: dict[bytes, tuple[int, ObjectID]] = {}
            base = repo[parent] if parent else None
            if isinstance(base, Commit):
                for path, mode, sha in iter_tree_contents(repo.object_store, base.tree):
                    if path and mode and sha:
                        entries[path] = (mode, sha)
            blobs = []
            for name, content in files.items():
                if content is None:
                    del entries[name.encode()]
                    continue
                mode, data = content if isinstance(content, tuple) else (FILE_MODE, content)
                blob = Blob.from_string(data)
                blobs.append((blob, None))
                entries[name.encode()] = (mode, blob.id)
            repo.object_store.add_objects(blobs)
            tree = commit_tree(repo.object_store, [(path, sha, mode) for path, (mode, sha) in entries.items()])
            commit = new_commit(tree, [parent] if parent else [], message, author)
            repo.object_store.add_object(commit)
            repo.refs[Ref(b"refs/heads/" + branch.encode())] = commit.id
            return commit.id.decode("ascii")

    def move_branch(self, branch: str, commit: str) -> None:
        """Let a branch point at a commit, whatever it pointed at; an empty commit removes the branch."""
        with self.lock, self.opened() as repo:
            ref = Ref(b"refs/heads/" + branch.encode())
            if commit:
                repo.refs[ref] = ObjectID(commit.encode("ascii"))
            else:
                repo.refs.remove_if_equals(ref, None)

    def commits_between(self, before: Iterable[str], after: str, most: int = MOST_COMMITS) -> list[Commit]:
        """Return the commits that ``after`` has and none of ``before`` has, oldest first."""
        with self.opened() as repo:
            known = [ObjectID(commit.encode("ascii")) for commit in before if commit != ZERO]
            exclude = [commit for commit in known if commit in repo]
            walker = repo.get_walker([ObjectID(after.encode("ascii"))], exclude, max_entries=most)
            return [entry.commit for entry in walker][::-1]

    def changed_files(self, commit: Commit) -> dict[str, list[str]]:
        """Return the paths that a commit added, removed and modified, against its first parent."""
        with self.opened() as repo:
            parent = repo[commit.parents[0]] if commit.parents and commit.parents[0] in repo else None
            base = parent.tree if isinstance(parent, Commit) else None
            found: dict[str, list[str]] = {"added": [], "removed": [], "modified": []}
            for change in tree_changes(repo.object_store, base, commit.tree):
                entry = change.old if change.type == "delete" else change.new
                kind = {"add": "added", "delete": "removed"}.get(change.type, "modified")
                if entry and entry.path:
                    found[kind].append(entry.path.decode("utf-8", "replace"))
            return found

    def is_forced(self, before: str, after: str) -> bool:
        """Say whether moving from ``before`` to ``after`` loses commits."""
        if ZERO in (before, after):
            return False
        with self.opened() as repo:
            return not can_fast_forward(repo, ObjectID(before.encode("ascii")), ObjectID(after.encode("ascii")))

    def find_commit(self, name: str) -> Commit | None:
        """Return a commit by its id or by a branch's name."""
        sha = self.branches().get(name, name)
        with self.opened() as repo:
            try:
                found = repo[ObjectID(sha.encode("ascii"))]
            except (KeyError, ValueError, AssertionError):
                return None
        return found if isinstance(found, Commit) else None


def new_commit(tree: ObjectID, parents: "list[ObjectID]", message: str, author: Author) -> Commit:
    """Return a commit object made now."""
    commit = Commit()
    commit.tree = tree
    commit.parents = parents
    commit.author = commit.committer = author.line
    commit.author_time = commit.commit_time = int(time.time())
    commit.author_timezone = commit.commit_timezone = 0
    commit.encoding = b"UTF-8"
    commit.message = message.encode()
    return commit


def make_bare(folder: Path, default_branch: str) -> None:
    """Make an empty bare repository that gives out partial clones."""
    Repo.init_bare(str(folder), mkdir=True, default_branch=default_branch.encode()).close()
    allow_partial_clones(folder)


def import_bare(source: str, folder: Path) -> str:
    """Copy a repository, by path or URL, and return the name of its branch. Raises ``ValueError`` with git's words."""
    git = shutil.which("git")
    if git:
        done = subprocess.run(  # noqa: S603
            [git, "clone", "--quiet", "--bare", "--", source, str(folder)],
            capture_output=True,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
            check=False,
            timeout=1800,
        )
        if done.returncode:
            raise ValueError(f"{source} cannot be copied: {done.stderr.decode(errors='replace').strip()}")
    else:
        with open(os.devnull, "wb") as nowhere:
            porcelain.clone(source, str(folder), bare=True, errstream=nowhere).close()
    allow_partial_clones(folder)
    with Repo(str(folder)) as repo:
        chain, _head = repo.refs.follow(Ref(b"HEAD"))
    return chain[-1].decode().removeprefix("refs/heads/")


def allow_partial_clones(folder: Path) -> None:
    """Let git's own server give out filtered packs and take pushes over HTTP."""
    with Repo(str(folder)) as repo:
        config = repo.get_config()
        config.set((b"uploadpack",), b"allowFilter", b"true")
        config.set((b"http",), b"receivepack", b"true")
        config.set((b"gc",), b"auto", b"0")
        config.write_to_path()
