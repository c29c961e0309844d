"""Fetching from real git servers: with every feature, of old, and without a git binary."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ftp_deploy.exceptions import (
    BranchMissing,
    CommitMissing,
    RepositoryError,
    RepositoryLoginRefused,
)
from ftp_deploy.repository.git import branch_head, fetch
from tests.repository.conftest import FLAVOURS
from tests.servers.forge import SITE, source_of

pytestmark = pytest.mark.integration


def contents(snapshot):
    """Fetch and read everything."""
    snapshot.fetch_blobs(entry.blob_id for entry in snapshot.tree)
    found = {}
    for entry in snapshot.tree:
        with snapshot.open(entry.blob_id) as file:
            found[entry.path.decode()] = file.read()
        assert snapshot.size(entry.blob_id) == len(found[entry.path.decode()])
    return found


def test_the_head_of_a_branch(any_forge):
    head = any_forge["site"].branches()["main"]
    assert branch_head(source_of(any_forge), "main") == head
    any_forge.commit("site", {"x": b"1"}, branch="main-2")
    assert branch_head(source_of(any_forge), "main") == head


def test_a_branch_that_is_not_there(any_forge):
    with pytest.raises(BranchMissing, match="'nowhere'"):
        branch_head(source_of(any_forge), "nowhere")
    with pytest.raises(BranchMissing):
        fetch(source_of(any_forge), "nowhere")


def test_the_head_is_fetched_when_no_commit_is_named(any_forge):
    head = any_forge.commit("site", {"deep/er/x": b"1", "index.html": None}, "Second")
    with fetch(source_of(any_forge), "main") as snapshot:
        assert (snapshot.commit, snapshot.exact) == (head, True)
        expected = {**SITE, "deep/er/x": b"1"}
        del expected["index.html"]
        assert contents(snapshot) == expected


def test_an_older_commit_is_fetched_by_its_id(forge):
    first = forge["site"].branches()["main"]
    forge.commit("site", {"index.html": b"newer"}, "Second")
    with fetch(source_of(forge), "main", first) as snapshot:
        assert (snapshot.commit, snapshot.exact) == (first, True)
        assert contents(snapshot) == SITE


@pytest.mark.parametrize("flavour", ["old", "dulwich"])
def test_a_server_that_refuses_ids_gives_the_head(start_forge, flavour):
    forge = start_forge(**FLAVOURS[flavour])
    first = forge.create_repository("site", SITE)
    second = forge.commit("site", {"index.html": b"newer"}, "Second")
    forge.push("site", "main", first)
    with fetch(source_of(forge), "main", second) as snapshot:
        assert (snapshot.commit, snapshot.exact) == (first, False)
        assert contents(snapshot) == SITE


def test_a_commit_that_vanished_gives_the_head(any_forge):
    head = any_forge["site"].branches()["main"]
    with fetch(source_of(any_forge), "main", "1" * 40) as snapshot:
        assert (snapshot.commit, snapshot.exact) == (head, False)


def test_a_commit_of_a_deleted_branch_is_still_fetched(forge):
    commit = forge.commit("site", {"x": b"1"}, branch="gone")
    forge["site"].move_branch("gone", "")
    with fetch(source_of(forge), "gone", commit) as snapshot:
        assert snapshot.exact


def test_only_the_wanted_blobs_are_fetched(forge):
    with fetch(source_of(forge), "main") as snapshot:
        ids = {entry.path: entry.blob_id for entry in snapshot.tree}
        with pytest.raises(RepositoryError, match="not among what the forge sent"):
            snapshot.open(ids[b"index.html"])
        snapshot.fetch_blobs([ids[b"index.html"], ids[b"index.html"]])
        assert snapshot.read(ids[b"index.html"], 4) == b"<h1>"
        with pytest.raises(RepositoryError):
            snapshot.size(ids[b"css/site.css"])


def test_fetching_again_asks_for_nothing(forge):
    with fetch(source_of(forge), "main") as snapshot:
        contents(snapshot)
        before = len(forge.log)
        contents(snapshot)
        assert len(forge.log) == before


def test_blobs_come_in_batches(forge, monkeypatch):
    monkeypatch.setattr("ftp_deploy.repository.git.BLOBS_PER_REQUEST", 3)
    forge.create_repository("many", {f"f{number}": b"%d" % number for number in range(10)})
    with fetch(source_of(forge, "many"), "main") as snapshot:
        before = len(forge.log)
        assert contents(snapshot)["f7"] == b"7"
        assert len(forge.log) - before == 4


def test_a_server_that_has_lost_a_blob_is_named(forge):
    with fetch(source_of(forge), "main") as snapshot, pytest.raises(CommitMissing, match=r"such as 1{40}"):
        snapshot.fetch_blobs(["1" * 40])


def test_links_can_be_read_at_once(forge):
    forge.commit("site", {"link": (0o120000, b"index.html")})
    with fetch(source_of(forge), "main") as snapshot:
        (link,) = [entry for entry in snapshot.tree if entry.mode == 0o120000]
        assert snapshot.read(link.blob_id, 4096) == b"index.html"


def test_an_empty_repository_and_an_empty_tree(forge):
    forge.create_repository("bare")
    with pytest.raises(BranchMissing):
        fetch(source_of(forge, "bare"), "main")
    forge.create_repository("emptied", {"x": b"1"})
    forge.commit("emptied", {"x": None})
    with fetch(source_of(forge, "emptied"), "main") as snapshot:
        assert snapshot.tree == ()


def test_all_files_are_gone_afterwards(forge, tmp_path):
    with fetch(source_of(forge), "main", folder=str(tmp_path)) as snapshot:
        contents(snapshot)
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    snapshot.close()
    with pytest.raises(RepositoryLoginRefused):
        fetch(source_of(forge, password="wrong"), "main", folder=str(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not shutil.which("git"), reason="install git")
def test_a_repository_with_sha256_ids(forge, tmp_path):
    work = tmp_path / "work"
    run = {"check": True, "capture_output": True, "cwd": work}
    work.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main", "--object-format=sha256"], **run)
    (work / "a").write_bytes(b"content")
    subprocess.run(["git", "add", "a"], **run)
    name = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *name, "commit", "-qm", "One"], **run)
    forge.import_repository("long-ids", work)
    with fetch(source_of(forge, "long-ids"), "main") as snapshot:
        assert len(snapshot.commit) == 64
        assert contents(snapshot) == {"a": b"content"}


# --- large and many ---


def test_large_files_and_deltas_between_them(forge):
    """Two large files that differ a little become a delta; neither is read whole into memory."""
    noise = os.urandom(3_000_000)
    files = {"one": noise, "two": noise[:1_000_000] + b"changed" + noise[1_000_000:], "small": noise[:2000]}
    forge.create_repository("large", files)
    if shutil.which("git"):
        folder = str(forge["large"].folder)
        subprocess.run(["git", "-C", folder, "-c", "safe.directory=*", "repack", "-adfq"], check=True)
    with fetch(source_of(forge, "large"), "main") as snapshot:
        assert contents(snapshot) == files


GROWTH = """\
import sys
from ftp_deploy.repository.git import GitSource, fetch

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

source = GitSource(sys.argv[1], username="webmaster", password=sys.argv[2])
before, total = peak(), 0
with fetch(source, "main") as snapshot:
    snapshot.fetch_blobs(entry.blob_id for entry in snapshot.tree)
    for entry in snapshot.tree:
        with snapshot.open(entry.blob_id) as file:
            while data := file.read(1 << 20):
                total += len(data)
print(total, (peak() - before) // 1024)
"""


def growth(forge, name):
    """Return how many bytes a process of its own read from a repository, and by how many MB its memory grew."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("needs the /proc of Linux")
    command = [sys.executable, "-c", GROWTH, forge.clone_url(name), forge.token]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, check=True, timeout=300, env=environment)
    total, megabytes = map(int, done.stdout.split())
    return total, megabytes


@pytest.mark.slow
def test_a_large_file_takes_little_memory(forge):
    size = 64 * 1024 * 1024
    forge.create_repository("large", {"large.bin": os.urandom(1024 * 1024) * 64})
    total, megabytes = growth(forge, "large")
    assert total == size
    assert megabytes < 20


@pytest.mark.slow
def test_thousands_of_files_take_little_memory(forge):
    files = {f"d{number % 50}/e{number % 7}/f{number}": b"content %d\n" % number * 40 for number in range(5000)}
    forge.create_repository("many", files)
    total, megabytes = growth(forge, "many")
    assert total == sum(map(len, files.values()))
    assert megabytes < 40


def test_blobs_can_be_read_from_many_threads(forge):
    files = {f"f{number}": os.urandom(number * 37) for number in range(200)}
    forge.create_repository("many", files)
    with fetch(source_of(forge, "many"), "main") as snapshot:
        snapshot.fetch_blobs(entry.blob_id for entry in snapshot.tree)

        def check(entry):
            with snapshot.open(entry.blob_id) as file:
                return file.read() == files[entry.path.decode()]

        with ThreadPoolExecutor(16) as threads:
            assert all(threads.map(check, snapshot.tree * 10))


def test_a_commit_with_too_many_files_is_refused(forge):
    with pytest.raises(RepositoryError, match="more than 2 files"):
        fetch(source_of(forge, max_files=2), "main")


def test_a_forge_that_sends_too_much_is_cut_off(forge):
    forge.create_repository("big", {"x": os.urandom(100_000)})
    with fetch(source_of(forge, "big", max_bytes=50_000), "main") as snapshot, pytest.raises(RepositoryError) as caught:
        snapshot.fetch_blobs([snapshot.tree[0].blob_id])
    assert "50000 bytes" in caught.value.message
