"""The whole way, with nothing replaced: a forge over HTTP, a web process, a worker process, an FTP server."""

import pytest
from dulwich.objects import Blob, Tree

from ftp_deploy.standalone.forge.storage import Author, new_commit
from tests.servers.big_repository import FILES, big_site
from tests.servers.installation import Installation

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def install(tmp_path, start_forge):
    """A function that starts a forge and an installation that knows it."""
    running = []

    def start(**settings):
        forge = start_forge()
        installation = Installation(tmp_path, forge, **settings)
        running.append(installation)
        installation.start()
        return forge, installation

    yield start
    for installation in running:
        installation.stop()


def live(server):
    """Return what the server holds, temporary files included."""
    return {path: server.read(path) for path in server.files()}


def uploads_of(server):
    """Return how many files were sent, by the server's own log; what a check of the service sends aside."""
    return sum("OK UPLOAD" in line and "-probe-" not in line for line in server.log_text().splitlines())


def succeeded(deploys):
    assert {deploy["state"] for deploy in deploys} == {"succeeded"}, deploys


def test_a_site_of_over_5000_files_goes_live_and_then_only_what_changed(install, start_server):
    files = big_site()
    assert len(files) == FILES
    server = start_server("vsftpd")
    forge, installation = install()
    forge.create_repository("big", {"README": b"first\n"})
    service = installation.add_service(server, "webmaster/big")
    forge.add_hook("big", service["hook"], secret=service["secret"])

    forge.commit("big", files, "The whole site")
    succeeded(installation.wait_for_deploys(1, 500))
    assert live(server) == {**files, "README": b"first\n"}

    uploads = uploads_of(server)
    changed = dict.fromkeys(sorted(files)[10:4000:2000], b"changed\n")
    gone = sorted(files)[20]
    new_path = "new/folder/file.txt"
    forge.commit("big", {**changed, new_path: b"new\n", gone: None}, "Three files and a delete")
    deploys = installation.wait_for_deploys(2, 200)
    succeeded(deploys)
    assert uploads_of(server) - uploads == 3 == len(changed) + 1
    assert deploys[-1]["changes"] == 4
    expected = {**files, "README": b"first\n", **changed, new_path: b"new\n"}
    del expected[gone]
    assert live(server) == expected
    forge.wait_for_deliveries()
    assert [delivery.status for delivery in forge.deliveries] == [200, 202, 202]


def test_what_comes_twice_or_from_elsewhere_deploys_nothing_twice(install, pyftpd_server):
    forge, installation = install()
    forge.create_repository("site", {"a": b"1"})
    service = installation.add_service(pyftpd_server, "webmaster/site")
    forge.add_hook("site", service["hook"], secret=service["secret"])
    forge.commit("site", {"b": b"2"})
    forge.wait_for_deliveries()
    forge.redeliver(forge.deliveries[-1])
    forge.commit("site", {"c": b"3"}, branch="other")
    succeeded(installation.wait_for_deploys(1))
    forge.wait_for_deliveries()
    assert [delivery.status for delivery in forge.deliveries] == [200, 202, 200, 200]
    assert len(installation.deploys()) == 1
    assert live(pyftpd_server) == {"a": b"1", "b": b"2"}


def test_a_forced_push_and_a_rewritten_history(install, pyftpd_server):
    forge, installation = install()
    first = forge.create_repository("site", {"a": b"1"})
    service = installation.add_service(pyftpd_server, "webmaster/site")
    forge.add_hook("site", service["hook"], secret=service["secret"])
    forge.commit("site", {"a": b"2", "b": b"2"})
    succeeded(installation.wait_for_deploys(1))
    forge.push("site", "main", first)
    succeeded(installation.wait_for_deploys(2))
    assert live(pyftpd_server) == {"a": b"1"}


def commit_tree(forge, name, entries):
    """Push a commit whose root holds exactly ``entries``: (name, mode, content or Tree), however odd."""
    repository = forge[name]
    with repository.opened() as repo:
        tree = Tree()
        for entry, mode, content in entries:
            item = content if isinstance(content, Tree) else Blob.from_string(content)
            repo.object_store.add_object(item)
            tree.add(entry, mode, item.id)
        repo.object_store.add_object(tree)
        parent = repo.refs[b"refs/heads/main"]
        commit = new_commit(tree.id, [parent], "Odd names", Author())
        repo.object_store.add_object(commit)
    forge.push(name, "main", commit.id.decode())


def folder_of(name, content=b"x"):
    tree = Tree()
    tree.add(name, 0o100644, Blob.from_string(content).id)
    return tree


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"
HOSTILE = {
    "a second command": [(b"a\r\nDELE victim", 0o100644, b"x")],
    "a way up": [(b"..", 0o040000, folder_of(b"outside"))],
    "a git directory": [(b".GIT", 0o040000, folder_of(b"config"))],
    "a link out": [(b"passwd", 0o120000, b"/etc/passwd")],
    "no UTF-8": [(b"caf\xe9", 0o100644, b"x")],
    "a pointer": [(b"big.bin", 0o100644, POINTER)],
}  # fmt: skip


def test_hostile_trees_are_refused_by_name_and_nothing_is_sent(install, pyftpd_server):
    """Each odd tree fails its deploy before anything changes; the next good push goes live."""
    forge, installation = install(FTP_DEPLOY_MAX_ATTEMPTS="1")
    forge.create_repository("site", {"victim": b"1"})
    service = installation.add_service(pyftpd_server, "webmaster/site")
    forge.add_hook("site", service["hook"], secret=service["secret"])
    forge.commit("site", {"page": b"2"})
    succeeded(installation.wait_for_deploys(1))
    before = live(pyftpd_server)
    with forge["site"].opened() as repo:
        for content in (b"x",):
            repo.object_store.add_object(Blob.from_string(content))
    for number, (what, entries) in enumerate(HOSTILE.items(), start=2):
        # "victim" keeps its content: what an injected command would delete.
        commit_tree(forge, "site", [(b"victim", 0o100644, b"1"), (b"page", 0o100644, b"2"), *entries])
        deploys = installation.wait_for_deploys(number)
        assert deploys[-1]["state"] == "failed", what
        assert deploys[-1]["error"], what
        assert live(pyftpd_server) == before, what
    assert "DELE victim" not in pyftpd_server.log_text()
    forge.push("site", "main", forge["site"].commit({}, "x", "scratch", Author()))
    commit_tree(
        forge, "site", [(b"victim", 0o100644, b"1"), (b"page", 0o100644, b"3"), (b"-odd name\xc3\xa9", 0o100755, b"y")]
    )
    installation.wait_for_deploys(len(HOSTILE) + 2)
    assert live(pyftpd_server) == {"victim": b"1", "page": b"3", "-odd nameé": b"y"}
