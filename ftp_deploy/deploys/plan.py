"""What a deploy has to change: manifest x wanted files x rules -> plan. Pure.

The manifest says what the server holds, ``resolve`` what it shall hold. Excluded files are nobody's business: they are
neither sent nor deleted, and what the manifest knows of them stays in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ftp_deploy.deploys.manifest import Entry, Manifest, parents_of
from ftp_deploy.deploys.paths import folded
from ftp_deploy.deploys.resolve import Rules, Wanted, WantedFile, resolve
from ftp_deploy.exceptions import PlanError, TooManyDeletes

__all__ = [
    "ADD",
    "DELETE",
    "MODIFY",
    "Change",
    "Plan",
    "Rules",
    "Wanted",
    "WantedFile",
    "is_pointer",
    "make_plan",
    "resolve",
]

ADD, MODIFY, DELETE = "add", "modify", "delete"
FREE_DELETES = 20
POINTER_BYTES = 1024
POINTER_STARTS = (b"version https://git-lfs.github.com/spec/v1", b"version https://hawser.github.com/spec/v1")


@dataclass(frozen=True, slots=True)
class Change:
    """One file to add, modify or delete. ``blob_id`` and ``mode`` of a delete are those that the manifest knows.

    ``first`` marks a delete that has to happen before the renames, because the old name is in the way of a new one.
    All other deletes come last.
    """

    path: str
    action: str
    blob_id: str
    mode: int
    first: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes of a deploy: first deletes, then adds and modifies, then the other deletes; by path in each.

    ``replaced_directories`` become files: they are removed, deepest first, after the first deletes.
    """

    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()
    replaced_directories: tuple[str, ...] = ()

    @property
    def uploads(self) -> tuple[Change, ...]:
        """The files to send."""
        return tuple(change for change in self.changes if change.action != DELETE)

    @property
    def deletes(self) -> tuple[Change, ...]:
        """The files to delete, early or late."""
        return tuple(change for change in self.changes if change.action == DELETE)

    def fold(self, manifest: Manifest, sizes: "dict[str, int]") -> Manifest:
        """Return the manifest after all changes were applied. ``sizes`` gives the bytes of each blob id."""
        put = {change.path: Entry(change.blob_id, change.mode, sizes[change.blob_id]) for change in self.uploads}
        return manifest.fold(put, frozenset(change.path for change in self.deletes))


def make_plan(manifest: Manifest, wanted: Wanted, rules: Rules) -> Plan:
    """Compare what the server holds with what it shall hold.

    Raises ``TooManyDeletes`` beyond the service's limit, ``PlanError`` where an excluded file is in the way.
    """
    files = wanted.files
    excluded = rules.excluder()
    gone = [path for path in manifest if path not in files and not excluded(path)]
    check_deletes(gone, len(manifest), rules)
    early = in_the_way(gone, files)
    refuse_excluded_in_the_way(manifest, files, set(gone))
    twins = {folded(path) for path in gone}
    uploads = [
        Change(path, ADD if path not in manifest else MODIFY, file.blob_id, file.mode)
        for path, file in sorted(files.items())
        if rules.full or differs(manifest.get(path), file) or folded(path) in twins
    ]
    deletes = [
        Change(path, DELETE, manifest[path].blob_id, manifest[path].mode, path in early) for path in sorted(gone)
    ]
    changes = [
        *(change for change in deletes if change.first),
        *uploads,
        *(change for change in deletes if not change.first),
    ]
    return Plan(tuple(changes), wanted.warnings, replaced_directories(manifest, files))


def differs(entry: Entry | None, file: WantedFile) -> bool:
    """Say whether the server lacks a file or holds another content or mode."""
    return entry is None or entry.blob_id != file.blob_id or entry.mode != file.mode


def in_the_way(gone: Iterable[str], files: "dict[str, WantedFile]") -> set[str]:
    """Return those paths to delete that block a new name, on servers that ignore case as well.

    A file where a directory is needed, a file in a directory whose name a file needs, a name that differs only in case.
    """
    names = {folded(path) for path in files}
    directories = parents_of(names)
    return {path for path in gone if blocks(folded(path), names, directories)}


def blocks(path: str, names: set[str], directories: set[str]) -> bool:
    """Say whether ``path`` is one of the names or directories, or lies in a directory that is one of the names."""
    return path in names or path in directories or not names.isdisjoint(parents_of({path}))


def replaced_directories(manifest: Manifest, files: "dict[str, WantedFile]") -> tuple[str, ...]:
    """Return the directories whose names files need, with all directories below them, deepest first."""
    names = {folded(path) for path in files}
    found = [path for path in manifest.directories - parents_of(files) if blocks(folded(path), names, set())]
    return tuple(sorted(found, key=lambda path: (-path.count("/"), path)))


def refuse_excluded_in_the_way(manifest: Manifest, files: "dict[str, WantedFile]", gone: set[str]) -> None:
    """Raise ``PlanError`` where a file that we may not touch blocks a wanted one."""
    directories = parents_of(files)
    for path in manifest:
        if path in gone or path in files:
            continue
        if path in directories or any(parent in files for parent in parents_of({path})):
            raise PlanError(
                f"{path} is excluded, but a file of the repository needs its place on the server.",
                advice="Change the service's excludes, or remove the file on the server.",
            )


def check_deletes(gone: "list[str]", held: int, rules: Rules) -> None:
    """Raise ``TooManyDeletes`` beyond the limit: the service's, or more than half of all files and more than 20."""
    if rules.deletes_confirmed:
        return
    if rules.delete_limit is None:
        too_many = len(gone) > FREE_DELETES and len(gone) * 2 > held
    else:
        too_many = len(gone) > rules.delete_limit
    if too_many:
        names = sorted(gone)
        message = f"This deploy would delete {len(gone)} of {held} files, such as {', '.join(names[:3])}."
        raise TooManyDeletes(message, paths=tuple(names))


def is_pointer(content: bytes) -> bool:
    """Say whether a file's content is a Git LFS pointer; the first 1,024 bytes are enough to tell.

    See the specification of Git LFS: a pointer is shorter than 1,024 bytes and begins with its version line.
    """
    return len(content) < POINTER_BYTES and content.startswith(POINTER_STARTS)
