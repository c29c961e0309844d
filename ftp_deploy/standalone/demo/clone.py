"""Somebody's clone of the demo's repository: commits are made here and pushed to the forge over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from dulwich import porcelain

AUTHOR = b"Demo <demo@example.com>"


@dataclass(frozen=True, slots=True)
class Clone:
    """A work tree at ``folder`` with its remote at ``url``, which holds the credentials."""

    folder: Path
    url: str
    branch: str

    def make(self) -> None:
        """Clone the repository."""
        porcelain.clone(self.url, str(self.folder), errstream=BytesIO(), branch=self.branch).close()

    def push(self, files: Mapping[str, bytes | None], message: str) -> str:
        """Write files, delete those given as None, commit and push; return the commit's id."""
        for path, content in files.items():
            place = self.folder / path
            if content is None:
                place.unlink()
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        porcelain.add(str(self.folder), [str(self.folder / path) for path in files])
        commit = porcelain.commit(str(self.folder), message.encode(), author=AUTHOR, committer=AUTHOR)
        reference = f"refs/heads/{self.branch}"
        porcelain.push(str(self.folder), self.url, f"{reference}:{reference}", outstream=BytesIO(), errstream=BytesIO())
        return commit.decode()
