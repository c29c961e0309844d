"""Excludes mean exactly what git takes a .gitignore for: git itself is asked."""

import random
import shutil
import subprocess

import pytest

from ftp_deploy.deploys.excludes import excluder
from ftp_deploy.exceptions import PlanError

PATTERNS = """\
# a comment
*.log
!keep.log
/build
node_modules/
docs/**/draft.md
\\#literal
trailing\\ space\\\x20
**/cache/*
!**/cache/keep
a?c.txt
[xyz].bin
/only/here/*.txt
dir/
!dir/inside.txt
"""
PATHS = [
    "a.log", "deep/b.log", "keep.log", "deep/keep.log", "build", "src/build", "build2/x", "node_modules/x/y.js",
    "src/node_modules/z", "docs/draft.md", "docs/a/b/draft.md", "#literal", "trailing space ", "x/cache/drop",
    "x/cache/keep", "cache/sub/file", "abc.txt", "a/c.txt", "x.bin", "w.bin", "only/here/a.txt", "only/here/b/a.txt",
    "dir/inside.txt", "other/dir/inside.txt", "plain", "Ünïcode.log", "A.LOG",
]  # fmt: skip
NAMES = ["a", "b", "foo", "bar.txt", "c.log"]
LINES = [
    "a", "/a", "a/", "/a/", "*.txt", "!*.txt", "*", "!*/", "a/*", "!a/b", "a/**", "!a/**", "**/b", "**/b/", "!b/",
    "foo/**/c.log", "!c.log", "/*", "!/foo", "foo", "!foo/bar.txt", "b/*/", "a/b", "!a", "?", "[ab]", "![ab]/", "**",
    "/**", "!a/", "a/**/", "!a/*/", "*.log", "!/a/", "", "# x", "  a", "a  ", "\\!a", "[", "b[", "a//b", "/", "!",
]  # fmt: skip


@pytest.fixture
def ignored_by_git(tmp_path):
    if not shutil.which("git"):
        pytest.skip("install git")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)

    def ask(text, paths):
        (tmp_path / ".gitignore").write_text(text)
        command = ["git", "-C", str(tmp_path), "check-ignore", "--no-index", "-z", "--stdin"]
        answer = subprocess.run(command, input="\0".join(paths).encode(), capture_output=True, check=False)
        assert answer.returncode in (0, 1), answer.stderr
        return set(filter(None, answer.stdout.decode().split("\0")))

    return ask


def excluded_here(text, paths):
    excluded = excluder(text)
    return {path for path in paths if excluded(path)}


@pytest.mark.integration
def test_a_long_list(ignored_by_git):
    assert excluded_here(PATTERNS, PATHS) == ignored_by_git(PATTERNS, PATHS)


@pytest.mark.integration
@pytest.mark.parametrize("seed", range(5))
def test_random_lists(ignored_by_git, seed):
    dice = random.Random(seed)
    for _round in range(25):
        text = "\n".join(dice.choice(LINES) for _ in range(dice.randint(1, 4))) + "\n"
        paths = {"/".join(dice.choice(NAMES) for _ in range(dice.randint(1, 4))) for _ in range(25)}
        try:
            here = excluded_here(text, paths)
        except PlanError:
            continue
        assert here == ignored_by_git(text, paths), text


def test_windows_line_ends_are_understood():
    assert excluded_here("a\r\nb\r\n", ["a", "b", "c"]) == {"a", "b"}


def test_a_directory_is_asked_for_with_a_slash():
    excluded = excluder("lib/\n")
    assert excluded("x/lib/")
    assert not excluded("x/lib")


def test_nothing_is_excluded_by_an_empty_text():
    assert excluded_here("", ["a", ".git/x", "a/b"]) == set()


def test_an_unreadable_pattern_is_named():
    with pytest.raises(PlanError, match="excludes"):
        excluder("fine\n!")
