"""The demo's judge: what lies on the FTP server, read back over FTP, beside what git says.

Nothing of the app is used: the standard library's ``ftplib`` reads the server, dulwich reads the forge's repository.
"""

import ftplib
import io
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dulwich.object_store import iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.repo import Repo

SECONDS = 30.0
POINTER = b"version https://git-lfs.github.com/spec/v1"


def committed_files(repository: Path, commit: str) -> dict[str, bytes]:
    """Return the ordinary files of a commit: path and content. Links and submodules are left out."""
    found: dict[str, bytes] = {}
    with Repo(str(repository)) as repo:
        head = repo[ObjectID(commit.encode())]
        if not isinstance(head, Commit):
            raise TypeError(f"{commit} is not a commit")
        for entry in iter_tree_contents(repo.object_store, head.tree):
            if not stat.S_ISREG(entry.mode or 0) or entry.sha is None or entry.path is None:
                continue
            blob = repo[entry.sha]
            if isinstance(blob, Blob):
                found[entry.path.decode()] = blob.as_raw_string()
    return found


def walk(server: ftplib.FTP, folder: str) -> Iterator[str]:
    """List the paths of all files below a folder (RFC 3659, MLSD)."""
    for name, facts in list(server.mlsd(folder)):
        path = f"{folder.rstrip('/')}/{name}"
        if facts["type"] == "dir":
            yield from walk(server, path)
        elif facts["type"] == "file":
            yield path


def served_files(port: int, user: str, password: str, folder: str) -> dict[str, bytes]:
    """Read every file below ``folder`` of the FTP server: path relative to it, and content."""
    found: dict[str, bytes] = {}
    with ftplib.FTP(timeout=SECONDS, encoding="utf-8") as server:  # noqa: S321 - the demo's own server, on loopback
        server.connect("127.0.0.1", port)
        server.login(user, password)
        for path in list(walk(server, folder)):
            content = io.BytesIO()
            server.retrbinary(f"RETR {path}", content.write)
            found[path.removeprefix(folder).lstrip("/")] = content.getvalue()
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """Paths that only git has, that only the server has, and that differ. All empty: the same tree."""

    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    different: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.surplus or self.different)

    def __str__(self) -> str:
        parts = {"missing": self.missing, "not in git": self.surplus, "different": self.different}
        return "; ".join(f"{name}: {', '.join(paths[:5])} ({len(paths)})" for name, paths in parts.items() if paths)


def compare(committed: dict[str, bytes], served: dict[str, bytes]) -> Difference:
    """Return where the two differ."""
    return Difference(
        missing=tuple(sorted(committed.keys() - served.keys())),
        surplus=tuple(sorted(served.keys() - committed.keys())),
        different=tuple(sorted(p for p in committed.keys() & served.keys() if committed[p] != served[p])),
    )
