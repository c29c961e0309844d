"""Which paths a .gitignore text excludes, exactly as git decides it. Pure; see gitignore(5).

pathspec turns the patterns into regular expressions. Git, however, asks level by level: once a directory is excluded,
nothing below it can be included again, and a pattern counts for a path only where it matches that path itself, not a
directory above. That order of questions is what this module adds.
"""

import re
from collections.abc import Callable
from functools import partial

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from ftp_deploy.exceptions import PlanError

ANY_DIRECTORY = "(?P<ps_d>/)"  # what pathspec makes of "*/" and "**/"
MARK = "ps_d"


def excluder(text: str) -> Callable[[str], bool]:
    """Return a function that says whether a path, relative to where the .gitignore lies, is excluded.

    A path with a slash at its end is a directory. Raises ``PlanError`` for a pattern that cannot be read.
    """
    try:
        patterns = [GitIgnoreSpecPattern(line) for line in re.split(r"\r?\n", text)]
    except ValueError as error:
        raise PlanError(f"The service's excludes cannot be read: {error}") from error
    # The last pattern that matches decides.
    deciding = [pattern for pattern in reversed(patterns) if pattern.include is not None]
    return partial(is_excluded, deciding, {"": False})


def is_excluded(patterns: list[GitIgnoreSpecPattern], known: dict[str, bool], path: str) -> bool:
    """Say whether ``path`` is excluded. ``known`` keeps the answers for directories, which are asked for often."""
    name = path.rstrip("/")
    position = 0
    while (position := name.find("/", position)) >= 0:
        parent = name[:position]
        position += 1
        if parent not in known:
            known[parent] = decide(patterns, parent, is_directory=True)
        if known[parent]:
            return True
    return decide(patterns, name, is_directory=path.endswith("/"))


def decide(patterns: list[GitIgnoreSpecPattern], path: str, *, is_directory: bool) -> bool:
    """Return what the last pattern that matches ``path`` itself says; False where none does."""
    for pattern in patterns:
        if matches(pattern, path, is_directory=is_directory):
            return bool(pattern.include)
    return False


def matches(pattern: GitIgnoreSpecPattern, path: str, *, is_directory: bool) -> bool:
    """Say whether a pattern matches ``path`` itself rather than a directory above it."""
    expression = pattern.regex
    if expression is None:
        return False
    if expression.pattern == ANY_DIRECTORY:
        return is_directory
    if MARK not in expression.groupindex:
        return expression.search(path) is not None
    if str(pattern.pattern).rstrip().endswith("/**/"):
        return is_directory and expression.search(path) is not None
    found = expression.search(path + "/" if is_directory else path)
    if found is None:
        return False
    # The mark is the slash after what the pattern matched: it has to be the one at the end, or none at all.
    return found.group(MARK) is None or (is_directory and found.end(MARK) == len(path) + 1)
