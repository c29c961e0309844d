"""Which paths of a repository may reach a server. Pure.

A repository is written by people we need not trust, and a path becomes a command on a server. What git itself refuses
to check out (``.git`` under its disguises, ``..``) is refused here, and so is what could end a command or climb out of
the service's path.
"""

import unicodedata
from collections.abc import Iterable

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4000

# The characters that HFS+ leaves out when it compares names: ".g\u200cit" is ".git" there.
HFS_IGNORED = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])


def why_unsafe(path: bytes) -> str:
    """Say in a few words why a repository path must not reach a server; an empty string where it may."""
    if len(path) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return "is not UTF-8"
    if any(unicodedata.category(character) == "Cc" for character in text):
        return "holds a control character"
    if "\\" in text:
        return "holds a backslash, which some servers take for a slash"
    for name in text.split("/"):
        reason = why_unsafe_name(name)
        if reason:
            return reason
    return ""


def why_unsafe_name(name: str) -> str:
    """Say why one component of a path must not reach a server; an empty string where it may."""
    if name in ("", ".", ".."):
        return "holds an empty, '.' or '..' part"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"has a part longer than {MAX_NAME_BYTES} bytes"
    if is_git_directory(name):
        return "leads into a git directory"
    return ""


def is_git_directory(name: str) -> bool:
    """Say whether any common file system would take ``name`` for ``.git``.

    Windows drops trailing dots and spaces and whatever follows a colon, and knows ``.git`` as ``git~1`` too.
    """
    seen = name.translate(HFS_IGNORED).casefold()
    seen = seen.partition(":")[0].rstrip(" .")
    return seen in (".git", "git~1")


def shown(path: bytes) -> str:
    """Return a path for a message: readable, on one line, whatever bytes it holds."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )[:300]


def folded(path: str) -> str:
    """Return what a server that ignores case, or the form of accents, takes ``path`` for."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def collisions(paths: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of paths, directories included, that differ only in case or in the form of accents."""
    groups: dict[str, set[str]] = {}
    seen: set[str] = set()
    for path in paths:
        while path and path not in seen:
            seen.add(path)
            groups.setdefault(folded(path), set()).add(path)
            path = path.rpartition("/")[0]
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)
