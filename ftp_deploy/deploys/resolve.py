"""From a commit's tree to the files that shall be on the server: sub-directory, excludes, symlinks, safety. Pure."""

import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ftp_deploy.deploys.excludes import excluder
from ftp_deploy.deploys.manifest import parents_of
from ftp_deploy.deploys.paths import collisions, shown, why_unsafe
from ftp_deploy.exceptions import PlanError, UnsafePath
from ftp_deploy.repository.base import TreeEntry

SUBMODULE = 0o160000
FILE, EXECUTABLE = 0o100644, 0o100755
MAX_HOPS = 40
MAX_LINK_BYTES = 4096
MAX_STEPS = 2_000_000
SHOWN = 20

ReadLink = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a service says about its files.

    ``subdirectory`` is deployed alone and becomes the root. ``excludes`` is the text of a .gitignore file that lies in
    that root. ``delete_limit`` None stands for the default. ``full`` uploads unchanged files again.
    """

    subdirectory: str = ""
    excludes: str = ""
    delete_limit: int | None = None
    deletes_confirmed: bool = False
    full: bool = False

    def excluder(self) -> Callable[[str], bool]:
        """Return a function that says whether a path, relative to the deployed root, is excluded.

        Raises ``PlanError`` for a pattern that cannot be read.
        """
        return excluder(self.excludes)


@dataclass(frozen=True, slots=True)
class WantedFile:
    """One file that shall be on the server. ``mode`` is 0o100644 or 0o100755."""

    blob_id: str
    mode: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """The files that shall be on the server, by path relative to the service's path."""

    files: dict[str, WantedFile]
    warnings: tuple[str, ...] = ()
    submodules: tuple[str, ...] = ()


@dataclass(slots=True)
class Tree:
    """A repository's tree, indexed by path and by directory. Paths are bytes, as in git."""

    entries: dict[bytes, TreeEntry] = field(default_factory=dict)
    children: dict[bytes, set[bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[TreeEntry]) -> "Tree":
        """Index the entries. Raises ``UnsafePath`` for a tree that names the same thing twice."""
        tree = cls(children={b"": set()})
        for entry in entries:
            if entry.path in tree.entries:
                raise UnsafePath(f"The repository holds {shown(entry.path)} twice.")
            tree.entries[entry.path] = entry
            tree._add_to_parent(entry.path)
        for path in tree.entries:
            if path in tree.children:
                raise UnsafePath(f"The repository holds {shown(path)} both as a file and as a directory.")
        return tree

    def _add_to_parent(self, path: bytes) -> None:
        parent = path.rpartition(b"/")[0]
        while path:
            siblings = self.children.setdefault(parent, set())
            if path in siblings:
                return
            siblings.add(path)
            path, parent = parent, parent.rpartition(b"/")[0]


def resolve(tree: Iterable[TreeEntry], rules: Rules, read_link: ReadLink) -> Wanted:
    """Return the files that shall be on the server.

    ``read_link`` gives the content of a symlink's blob. Raises ``UnsafePath`` for names that must not reach a server
    and for links that lead out of the repository, ``PlanError`` for a sub-directory that is not there.
    """
    return Resolver(Tree.of(tree), rules, read_link).run()


class Resolver:
    """One run of ``resolve``."""

    def __init__(self, tree: Tree, rules: Rules, read_link: ReadLink) -> None:
        self.tree = tree
        self.rules = rules
        self.read_link = read_link
        self.excluded = rules.excluder()
        self.files: dict[str, WantedFile] = {}
        self.submodules: list[str] = []
        self.warnings: list[str] = []
        self.unsafe: list[str] = []

    def run(self) -> Wanted:
        """Walk the tree from the sub-directory on."""
        self._walk(self._root())
        clashes = parents_of(self.files) & self.files.keys()
        self.unsafe += [f"{path} would be both a file and a directory" for path in sorted(clashes)]
        if self.unsafe:
            more = f"; and {len(self.unsafe) - 5} more" if len(self.unsafe) > 5 else ""
            raise UnsafePath("; ".join(self.unsafe[:5]) + more + ".")
        warnings = [*self.warnings, *case_warnings(self.files)]
        return Wanted(self.files, tuple(warnings), tuple(self.submodules))

    def _root(self) -> bytes:
        """Return the directory of the repository that is deployed."""
        names = [name for name in self.rules.subdirectory.strip().split("/") if name not in ("", ".")]
        if not names:
            return b""
        found = None if ".." in names else self._follow(b"", "/".join(names).encode(), b"")
        if found is None or found not in self.tree.children:
            raise PlanError(
                f"The repository has no directory {'/'.join(names)!r}.",
                advice="Correct the sub-directory in the service, or push one of that name.",
            )
        return found

    def _walk(self, root: bytes) -> None:
        """Take everything below ``root``; links to directories are entered as if they were these directories.

        Each step carries the path in the repository, the path on the server, and the directories that were entered
        through links on the way. Meeting one of these again is a loop.
        """
        waiting: list[tuple[bytes, bytes, tuple[bytes, ...]]] = [(root, b"", (root,))]
        for _step in range(MAX_STEPS):
            if not waiting:
                return
            path, goal, entered = waiting.pop()
            if path in self.tree.children:
                start = len(path) + 1 if path else 0
                waiting += [(child, join(goal, child[start:]), entered) for child in self.tree.children[path]]
                continue
            found = self._take(self.tree.entries[path], goal)
            if found is None:
                continue
            if found in self.tree.children:
                if found in entered or not found or path.startswith(found + b"/"):
                    self._refuse(path, "is a symlink to a directory that it lies in")
                    continue
                entered = (*entered, found)
            waiting.append((found, goal, entered))
        raise PlanError("The repository's symlinks multiply its files beyond what can be deployed.")

    def _take(self, entry: TreeEntry, goal: bytes) -> bytes | None:
        """Note one file, or say what is left out; for a link, return the path of what it leads to."""
        text = goal.decode("utf-8", "surrogateescape")
        if self.excluded(text + "/" if entry.mode == SUBMODULE else text):
            return None
        if entry.mode == SUBMODULE:
            self.submodules.append(shown(goal))
            self.warnings.append(f"The submodule {shown(goal)} is left out: submodules are not deployed.")
        elif stat.S_ISLNK(entry.mode):
            reason = why_unsafe(goal)
            if not reason:
                return self._follow(entry.path.rpartition(b"/")[0], self.read_link(entry.blob_id), entry.path)
            self._refuse(goal, reason)
        elif not stat.S_ISREG(entry.mode):
            self._refuse(goal, f"has the unknown mode {entry.mode:o}")
        elif reason := why_unsafe(goal):
            self._refuse(goal, reason)
        else:
            self.files[text] = WantedFile(entry.blob_id, EXECUTABLE if entry.mode & 0o100 else FILE)
        return None

    def _follow(self, directory: bytes, target: bytes, link: bytes) -> bytes | None:
        """Return the path in the repository that ``target`` means, seen from ``directory``; None where there is none.

        ``link`` is named in the warning or the refusal.
        """
        position, rest = directory, target.split(b"/")
        hops = 0
        if target.startswith(b"/"):
            self._refuse(link, "is a symlink that leads out of the repository")
            return None
        while rest:
            name = rest.pop(0)
            if name in (b"", b"."):
                continue
            if name == b"..":
                if not position:
                    self._refuse(link, "is a symlink that leads out of the repository")
                    return None
                position = position.rpartition(b"/")[0]
                continue
            candidate = join(position, name)
            entry = self.tree.entries.get(candidate)
            if candidate in self.tree.children or (entry and stat.S_ISREG(entry.mode) and not any(rest)):
                position = candidate
            elif entry and stat.S_ISLNK(entry.mode):
                further = self.read_link(entry.blob_id)
                hops += 1
                if hops > MAX_HOPS or further.startswith(b"/") or len(further) > MAX_LINK_BYTES:
                    self._refuse(link, "is a symlink that leads in a circle or out of the repository")
                    return None
                rest[:0] = further.split(b"/")
            else:
                what = "a submodule" if entry and entry.mode == SUBMODULE else "nothing in the repository"
                self.warnings.append(f"The symlink {shown(link)} is left out: it leads to {what}.")
                return None
        return position

    def _refuse(self, path: bytes, reason: str) -> None:
        self.unsafe.append(f"{shown(path)} {reason}")


def join(directory: bytes, name: bytes) -> bytes:
    """Return the path of ``name`` in ``directory``, which is empty for the root."""
    return directory + b"/" + name if directory else name


def case_warnings(files: Iterable[str]) -> list[str]:
    """Return warnings about names that some servers take for one."""
    groups = collisions(files)
    warnings = [
        f"{' and '.join(group)} differ only in case or accents: some servers keep just one of them."
        for group in groups[:SHOWN]
    ]
    if len(groups) > SHOWN:
        warnings.append(f"{len(groups) - SHOWN} more groups of names differ only in case or accents.")
    return warnings
