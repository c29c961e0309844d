"""From a tree to the wanted files: sub-directory, excludes, symlinks, submodules, names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftp_deploy.deploys.plan import Rules, resolve
from ftp_deploy.exceptions import PlanError, UnsafePath
from ftp_deploy.repository.base import TreeEntry

FILE, EXECUTABLE, LINK, SUBMODULE = 0o100644, 0o100755, 0o120000, 0o160000


def tree_of(files=(), links=(), submodules=()):
    """Build (entries, read_link): files by path, links by (path, target)."""
    entries = [TreeEntry(path.encode(), FILE, f"blob of {path}") for path in files]
    entries += [TreeEntry(path.encode(), LINK, f"link {path}") for path, _target in links]
    entries += [TreeEntry(path.encode(), SUBMODULE, "c" * 40) for path in submodules]
    targets = {f"link {path}": target.encode() for path, target in links}
    return entries, targets.__getitem__


def resolved(files=(), links=(), submodules=(), **rules):
    wanted = resolve(*reversed_arguments(tree_of(files, links, submodules), Rules(**rules)))
    return {path: file.blob_id.removeprefix("blob of ") for path, file in wanted.files.items()}, wanted.warnings


def reversed_arguments(tree, rules):
    entries, read_link = tree
    return entries, rules, read_link


def test_a_subdirectory_becomes_the_root():
    files, warnings = resolved(["public/a", "public/b/c", "publicity", "d"], subdirectory="/public/")
    assert files == {"a": "public/a", "b/c": "public/b/c"}
    assert warnings == ()


@pytest.mark.parametrize("subdirectory", ["missing", "d", "..", "a/../..", "public/../.."])
def test_a_subdirectory_that_is_not_there_stops_the_plan(subdirectory):
    with pytest.raises(PlanError, match="no directory"):
        resolved(["public/a", "d"], subdirectory=subdirectory)


def test_a_subdirectory_may_be_a_link():
    assert resolved(["dist/web/a"], [("public", "dist/web")], subdirectory="public")[0] == {"a": "dist/web/a"}


def test_executable_files_keep_their_bit_and_odd_modes_become_plain():
    entries = [TreeEntry(b"a", EXECUTABLE, "1"), TreeEntry(b"b", 0o100664, "2")]
    wanted = resolve(entries, Rules(), {}.__getitem__)
    assert {path: file.mode for path, file in wanted.files.items()} == {"a": EXECUTABLE, "b": FILE}


def test_an_unknown_mode_is_refused():
    with pytest.raises(UnsafePath, match="mode 20000"):
        resolve([TreeEntry(b"device", 0o020000, "1")], Rules(), {}.__getitem__)


def test_submodules_are_left_out_and_named():
    wanted = resolve(*reversed_arguments(tree_of(["a"], submodules=["lib/x", "lib/y"]), Rules(excludes="lib/y/")))
    assert wanted.submodules == ("lib/x",)
    assert list(wanted.files) == ["a"]
    assert "lib/x" in wanted.warnings[0]


# --- excludes: see test_plan_excludes for the patterns themselves ---


def test_excludes_are_seen_from_the_subdirectory():
    files, _warnings = resolved(["public/a", "public/b"], subdirectory="public", excludes="/a")
    assert set(files) == {"b"}


def test_unreadable_excludes_stop_the_plan():
    with pytest.raises(PlanError, match="excludes"):
        resolved(["a"], excludes="!")


# --- symlinks ---


def test_the_content_of_a_links_target_is_wanted():
    files, warnings = resolved(
        ["shared/a", "shared/deep/b", "c"],
        [("file", "c"), ("chain", "file"), ("site/dir", "../shared"), ("site/up", "../site/dir/../c")],
    )
    assert files == {
        "shared/a": "shared/a", "shared/deep/b": "shared/deep/b", "c": "c", "file": "c", "chain": "c",
        "site/dir/a": "shared/a", "site/dir/deep/b": "shared/deep/b", "site/up": "c",
    }  # fmt: skip
    assert warnings == ()


def test_a_link_may_lead_out_of_the_subdirectory_but_not_of_the_repository():
    assert resolved(["lib/a"], [("web/x", "../lib/a")], subdirectory="web")[0] == {"x": "lib/a"}
    with pytest.raises(UnsafePath, match="web/x is a symlink that leads out"):
        resolved(["lib/a"], [("web/x", "../../lib/a")], subdirectory="web")


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../outside", "dir/../../outside", "..", "/", "dir/../../etc", "//host/share"]
)
def test_links_out_of_the_repository_are_refused_by_name(target):
    with pytest.raises(UnsafePath, match=r"the link is a symlink that leads out of the repository"):
        resolved(["a", "dir/b"], [("the link", target)])


def test_an_inner_link_cannot_lead_out_either():
    with pytest.raises(UnsafePath, match="escape"):
        resolved(["a"], [("escape", "door/passwd"), ("door", "/etc")])


def test_links_in_a_circle_are_refused():
    with pytest.raises(UnsafePath, match="circle"):
        resolved([], [("a", "b"), ("b", "a")])
    with pytest.raises(UnsafePath, match="circle"):
        resolved([], [("self", "self")])


@pytest.mark.parametrize("target", [".", "..", "../../dir", "../../dir/sub"])
def test_a_link_to_a_directory_around_it_is_refused(target):
    with pytest.raises(UnsafePath, match="lies in"):
        resolved(["dir/a", "dir/sub/b"], [("dir/sub/loop", target)])


def test_two_directories_that_link_to_each_other_are_refused():
    with pytest.raises(UnsafePath, match="lies in"):
        resolved(["one/a", "two/b"], [("one/two", "../two"), ("two/one", "../one")])


def test_multiplying_links_are_bounded(monkeypatch):
    monkeypatch.setattr("ftp_deploy.deploys.resolve.MAX_STEPS", 5000)
    levels = [(f"d{level}/{name}", f"../d{level + 1}") for level in range(30) for name in "ab"]
    with pytest.raises(PlanError, match="multiply"):
        resolved(["d30/file"], levels)


def test_a_link_to_nothing_is_left_out_and_named():
    files, warnings = resolved(["a"], [("storage", "var/storage"), ("through", "a/b")], ["sub"])
    assert files == {"a": "a"}
    assert sum("symlink" in warning for warning in warnings) == 2


def test_a_link_into_a_submodule_is_left_out():
    _files, warnings = resolved(["a"], [("lib", "sub/lib")], ["sub"])
    assert any("leads to a submodule" in warning for warning in warnings)


def test_an_excluded_link_is_not_followed():
    assert resolved(["a"], [("bad", "/etc/passwd")], excludes="/bad")[0] == {"a": "a"}


def test_a_very_long_chain_within_the_limit_works():
    links = [(f"l{number}", f"l{number + 1}") for number in range(39)]
    assert resolved(["l39"], links)[0]["l0"] == "l39"


# --- names ---

UNSAFE = [
    b"..", b"../x", b"a/../b", b".", b"a/./b", b"/etc/passwd", b"a//b", b"a/", b"",
    b"a\r\nDELE b", b"a\nb", b"a\x00b", b"\x1b[2J", b"del\x7f", "next\u0085line".encode(),
    b".git/config", b"sub/.git/hooks/x", b".GIT/config", b".Git", b"git~1/config", b"GIT~1",
    ".g\u200cit/config".encode(), "\u200d.git".encode(), b".git /x", b".git./x", b".git::$INDEX_ALLOCATION/x",
    b"\xff\xfe", b"caf\xe9", b"\xed\xa0\x80", b"back\\slash", b"..\\..\\x", b"n" * 256, b"d/" * 2500 + b"x",
]  # fmt: skip


@pytest.mark.parametrize("path", UNSAFE, ids=lambda path: repr(path[:20]))
def test_names_that_must_not_reach_a_server(path):
    with pytest.raises(UnsafePath) as caught:
        resolve([TreeEntry(path, FILE, "1"), TreeEntry(b"fine", FILE, "2")], Rules(), {}.__getitem__)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 600


@pytest.mark.parametrize("path", [b"\xff\xfe", b"a\r\nDELE b", b".git/config", b"x\\y"])
def test_the_same_names_are_fine_when_excluded(path):
    wanted = resolve(
        [TreeEntry(path, FILE, "1"), TreeEntry(b"fine", FILE, "2")], Rules(excludes="*\n!fine"), str.encode
    )
    assert list(wanted.files) == ["fine"]


@pytest.mark.parametrize(
    "path",
    [
        " leading", "trailing ", "-rf", "~partytown/x", "a b", "a'b\"c", "%0d%0a", "a;b&c|d", "naïve", "e\u0301",
        "emoji 🚀", "n" * 255, "é" * 127, ".gitignore", ".github/x", "git", "agit~1x", "con", "aux.txt", "$(x)",
        "a:b", "*?",
    ],
)  # fmt: skip
def test_odd_names_that_are_fine(path):
    assert list(resolved([path])[0]) == [path]


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=40))
def test_whatever_passes_is_one_safe_line(path):
    try:
        wanted = resolve([TreeEntry(path, FILE, "1")], Rules(), {}.__getitem__)
    except UnsafePath:
        return
    (name,) = wanted.files
    assert name.encode() == path
    assert not any(ord(character) < 32 or ord(character) == 127 for character in name)
    assert not {"", ".", "..", ".git"} & {part.lower() for part in name.split("/")}


def test_all_unsafe_names_are_counted():
    entries = [TreeEntry(b"bad\n%d" % number, FILE, "1") for number in range(9)]
    with pytest.raises(UnsafePath, match="and 4 more"):
        resolve(entries, Rules(), {}.__getitem__)


def test_a_tree_that_names_a_file_twice_is_refused():
    with pytest.raises(UnsafePath, match="twice"):
        resolved(["a", "a"])
    with pytest.raises(UnsafePath, match="both as a file and as a directory"):
        resolved(["a", "a/b"])


def test_case_collisions_are_warnings():
    _files, warnings = resolved(["README", "readme", "Docs/a", "docs/b", "é", "e\u0301"])
    assert len(warnings) == 3
    assert "README and readme" in "".join(warnings)
    assert "Docs and docs" in "".join(warnings)


def test_many_case_collisions_are_cut_short():
    names = [f"{case}{number}" for number in range(30) for case in "aA"]
    _files, warnings = resolved(names)
    assert len(warnings) == 21
    assert "10 more" in warnings[-1]
