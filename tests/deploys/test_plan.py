"""What a plan contains, and in which order; checked by applying it to a model of a server."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ftp_deploy.deploys.manifest import Entry, Manifest, parents_of
from ftp_deploy.deploys.paths import folded
from ftp_deploy.deploys.plan import (
    ADD,
    DELETE,
    MODIFY,
    Rules,
    Wanted,
    WantedFile,
    is_pointer,
    make_plan,
)
from ftp_deploy.exceptions import PlanError, TooManyDeletes

MODE = 0o100644


def held(files):
    return Manifest({path: Entry(blob, MODE, len(blob)) for path, blob in files.items()})


def wanted(files):
    return Wanted({path: WantedFile(blob, MODE) for path, blob in files.items()})


def actions(plan):
    return [(change.action, change.path) for change in plan.changes]


def test_only_what_differs_is_planned():
    plan = make_plan(
        held({"same": "a", "changed": "b", "gone": "c"}), wanted({"same": "a", "changed": "B", "new": "d"}), Rules()
    )
    assert actions(plan) == [(MODIFY, "changed"), (ADD, "new"), (DELETE, "gone")]


def test_a_changed_mode_is_a_change():
    plan = make_plan(held({"run.sh": "a"}), Wanted({"run.sh": WantedFile("a", 0o100755)}), Rules())
    assert actions(plan) == [(MODIFY, "run.sh")]


def test_full_sends_unchanged_files_again():
    plan = make_plan(held({"same": "a"}), wanted({"same": "a", "new": "b"}), Rules(full=True))
    assert actions(plan) == [(ADD, "new"), (MODIFY, "same")]


def test_a_new_exclude_deletes_nothing():
    plan = make_plan(held({"uploads/a.jpg": "a", "b": "b"}), wanted({"b": "b"}), Rules(excludes="uploads/\n"))
    assert plan.changes == ()


def test_a_file_becomes_a_directory():
    plan = make_plan(held({"docs": "a", "z": "z"}), wanted({"docs/index": "b"}), Rules())
    assert actions(plan) == [(DELETE, "docs"), (ADD, "docs/index"), (DELETE, "z")]
    assert [change.first for change in plan.changes] == [True, False, False]


def test_a_directory_becomes_a_file():
    plan = make_plan(held({"docs/a/b": "a", "docs/c": "b"}), wanted({"docs": "c"}), Rules())
    assert actions(plan) == [(DELETE, "docs/a/b"), (DELETE, "docs/c"), (ADD, "docs")]
    assert plan.replaced_directories == ("docs/a", "docs")


def test_a_rename_in_case_only_deletes_first():
    plan = make_plan(held({"Readme": "a", "Docs/a": "b"}), wanted({"README": "a", "docs/a": "b"}), Rules())
    assert actions(plan) == [(DELETE, "Docs/a"), (DELETE, "Readme"), (ADD, "README"), (ADD, "docs/a")]
    assert plan.replaced_directories == ()


def test_the_twin_of_a_deleted_file_is_sent_again():
    """On a server that ignores case both names are one file: deleting one removes the other."""
    plan = make_plan(held({"README": "a", "readme": "b"}), wanted({"README": "a"}), Rules())
    assert actions(plan) == [(DELETE, "readme"), (MODIFY, "README")]


def test_an_excluded_file_in_the_way_stops_the_plan():
    with pytest.raises(PlanError, match="cache is excluded"):
        make_plan(held({"cache": "a"}), wanted({"cache/index": "b"}), Rules(excludes="/cache\n!/cache/\n"))


@pytest.mark.parametrize(
    ("held_files", "gone", "limit", "stops"),
    [
        (40, 20, None, False),
        (40, 21, None, True),
        (42, 21, None, False),
        (20, 20, None, False),
        (100, 100, None, True),
        (100, 6, 5, True),
        (100, 5, 5, False),
        (100, 1, 0, True),
        (100, 99, 100, False),
    ],
)
def test_the_delete_limit(held_files, gone, limit, stops):
    before = {f"f{number:03}": "a" for number in range(held_files)}
    after = dict(list(before.items())[gone:])
    rules = Rules(delete_limit=limit)
    if stops:
        with pytest.raises(TooManyDeletes, match=f"{gone} of {held_files} files") as caught:
            make_plan(held(before), wanted(after), rules)
        assert len(caught.value.paths) == gone
    else:
        assert len(make_plan(held(before), wanted(after), rules).deletes) == gone
    confirmed = Rules(delete_limit=limit, deletes_confirmed=True)
    assert len(make_plan(held(before), wanted(after), confirmed).deletes) == gone


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n", True),
        (b"version https://git-lfs.github.com/spec/v1\r\noid sha256:" + b"0" * 64 + b"\r\nsize 1\r\n", True),
        (b"version https://hawser.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n", True),
        (b"", False),
        (b"A page about version https://git-lfs.github.com/spec/v1", False),
        (b"version https://git-lfs.github.com/spec/v1\n" + b"x" * 1024, False),
    ],
)
def test_lfs_pointers(content, expected):
    assert is_pointer(content) is expected


# --- a model of a server ---

names = st.sampled_from(["a", "b", "A", "c.txt", "é", "E\u0301"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
trees = st.dictionaries(paths, st.sampled_from(["1", "2", "3"]), max_size=9).filter(
    lambda files: not (parents_of(files) & files.keys())
)
patterns = st.lists(st.sampled_from(["a", "/b", "*.txt", "A/", "!c.txt", "b/**"]), max_size=2).map("\n".join)


class Server:
    """Files and directories; ``key`` is what the server takes a name for."""

    def __init__(self, files, key=lambda path: path):
        self.key = key
        self.files = {key(path): blob for path, blob in files.items()}
        self.directories = {key(path) for path in parents_of(files)}

    def apply(self, plan):
        for change in plan.changes:
            if change.action == DELETE and change.first:
                self.files.pop(self.key(change.path), None)
        for directory in plan.replaced_directories:
            below = self.key(directory) + "/"
            if not any(path.startswith(below) for path in [*self.files, *self.directories]):
                self.directories.discard(self.key(directory))
        for change in plan.uploads:
            for parent in parents_of({change.path}):
                assert self.key(parent) not in self.files, f"{parent} is a file"
                self.directories.add(self.key(parent))
            assert self.key(change.path) not in self.directories, f"{change.path} is a directory"
            self.files[self.key(change.path)] = change.blob_id
        for change in plan.changes:
            if change.action == DELETE and not change.first:
                self.files.pop(self.key(change.path), None)


@settings(max_examples=150, deadline=None)
@given(before=trees, after=trees, excludes=patterns, full=st.booleans())
def test_applying_a_plan_gives_the_wanted_tree(before, after, excludes, full):
    rules = Rules(excludes=excludes, full=full, deletes_confirmed=True)
    excluded = rules.excluder()
    after = {path: blob for path, blob in after.items() if not excluded(path)}
    untouched = {path: blob for path, blob in before.items() if excluded(path)}
    final = {**untouched, **after}
    try:
        plan = make_plan(held(before), wanted(after), rules)
    except PlanError:
        assert parents_of(final) & final.keys(), "refused without need"
        return
    server = Server(before)
    server.apply(plan)
    assert server.files == final
    folded_manifest = plan.fold(held(before), dict.fromkeys("123", 1))
    assert folded_manifest == held(final)
    assert not [change for change in plan.changes if excluded(change.path)]
    again = make_plan(folded_manifest, wanted(after), Rules(excludes=excludes))
    assert again.changes == ()


@settings(max_examples=150, deadline=None)
@given(before=trees, after=trees, full=st.booleans())
def test_the_same_holds_on_a_server_that_ignores_case(before, after, full):
    for files in (before, after):
        keys = [folded(path) for path in [*files, *parents_of(files)]]
        assume(len(set(keys)) == len(keys))
    plan = make_plan(held(before), wanted(after), Rules(full=full, deletes_confirmed=True))
    server = Server(before, folded)
    server.apply(plan)
    assert server.files == {folded(path): blob for path, blob in after.items()}


@settings(max_examples=80, deadline=None)
@given(before=trees, after=trees)
def test_no_upload_is_planned_twice_or_without_need(before, after):
    plan = make_plan(held(before), wanted(after), Rules(deletes_confirmed=True))
    planned = [change.path for change in plan.changes]
    assert len(set(planned)) == len(planned)
    twins = {folded(change.path) for change in plan.deletes}
    for change in plan.uploads:
        assert before.get(change.path) != after[change.path] or folded(change.path) in twins
