"""Git over ssh against a real OpenSSH with git's own upload-pack, and Git LFS beside it; no git binary on our side."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from ftp_deploy import validation
from ftp_deploy.exceptions import (
    AddressRefused,
    BranchMissing,
    ConfigurationError,
    IdentityRefused,
    RepositoryError,
    RepositoryLoginRefused,
    RepositoryMissing,
    RepositoryUnavailable,
)
from ftp_deploy.models import Account, AuditEntry, Service
from ftp_deploy.repository import git_ssh
from ftp_deploy.repository.base import GitSource, ssh_address
from ftp_deploy.repository.git import branch_head, fetch
from ftp_deploy.repository.lfs import Pointer, fetch_objects
from ftp_deploy.repository.lfs_ssh import read_answer
from ftp_deploy.server.views import actions
from tests.factories import make_service
from tests.repository.test_git import contents
from tests.servers.binaries import need
from tests.servers.lfs import LFSServer
from tests.servers.sshd import OpenSSH, ThreadedGit, threaded_git

pytestmark = pytest.mark.integration

FILES = {"index.html": b"<p>one</p>", "a b/it's.txt": b"two" * 5000, "empty": b""}


def git(folder: Path, *arguments: str) -> str:
    identity = {"GIT_AUTHOR_NAME": "Builder", "GIT_AUTHOR_EMAIL": "builder@example.com"}
    identity |= {"GIT_COMMITTER_NAME": "Builder", "GIT_COMMITTER_EMAIL": "builder@example.com"}
    command = [need("git", "git"), "-C", str(folder), "-c", "init.defaultBranch=main", *arguments]
    environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose path needs quoting, with two commits; it gives out trees without their blobs."""
    folder = tmp_path_factory.mktemp("git over ssh") / "it's a !site.git"
    folder.mkdir()
    git(folder, "init", "-q")
    for number in ("1", "2"):
        for name, content in FILES.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / "number").write_text(number)
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", number)
    git(folder, "config", "uploadpack.allowFilter", "true")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    return folder


@pytest.fixture(scope="module")
def sshd() -> Iterator[OpenSSH]:
    server = OpenSSH(extra="AcceptEnv GIT_PROTOCOL", host_keys=["ssh-ed25519", "ecdsa-sha2-nistp256"])
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def old_sshd() -> Iterator[OpenSSH]:
    """One that takes over no variable, so that git speaks its older protocol."""
    server = OpenSSH()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def threaded() -> Iterator[ThreadedGit]:
    with threaded_git() as server:
        yield server


def source_of(server: OpenSSH, folder: Path, **changes: Any) -> GitSource:
    values: dict[str, Any] = {
        "private_key": server.user_key.export_private_key().decode(),
        "fingerprint": server.fingerprint,
        "connect_timeout": 20.0,
        "reply_timeout": 60.0,
    }
    url = f"ssh://{server.username}@{server.host}:{server.port}{folder}".replace(" ", "%20")
    return GitSource(changes.pop("url", url), **{**values, **changes})


class TestFetch:
    @pytest.mark.parametrize("which", ["sshd", "old_sshd"])
    def test_the_head_and_everything_in_it(self, request: pytest.FixtureRequest, repository: Path, which: str) -> None:
        source = source_of(request.getfixturevalue(which), repository)
        head = git(repository, "rev-parse", "main")
        assert branch_head(source, "main") == head
        with fetch(source, "main") as snapshot:
            assert snapshot.commit == head
            assert contents(snapshot) == {**FILES, "number": b"2"}

    @pytest.mark.parametrize("which", ["sshd", "old_sshd"])
    def test_a_commit_by_its_id(self, request: pytest.FixtureRequest, repository: Path, which: str) -> None:
        first = git(repository, "rev-parse", "main~1")
        with fetch(source_of(request.getfixturevalue(which), repository), "main", first) as snapshot:
            assert (snapshot.commit, snapshot.exact) == (first, True)
            assert contents(snapshot)["number"] == b"1"

    def test_only_what_is_wanted_travels(self, sshd: OpenSSH, repository: Path) -> None:
        with fetch(source_of(sshd, repository), "main") as snapshot:
            entries = {entry.path: entry.blob_id for entry in snapshot.tree}
            assert entries[b"index.html"] not in snapshot._store  # type: ignore[attr-defined]
            snapshot.fetch_blobs([entries[b"number"]])
            assert entries[b"index.html"] not in snapshot._store  # type: ignore[attr-defined]

    def test_a_commit_that_is_not_there(self, sshd: OpenSSH, repository: Path) -> None:
        with fetch(source_of(sshd, repository), "main", "f" * 40) as snapshot:
            assert not snapshot.exact

    def test_a_branch_that_is_not_there(self, sshd: OpenSSH, repository: Path) -> None:
        with pytest.raises(BranchMissing, match="other"):
            branch_head(source_of(sshd, repository), "other")

    def test_a_repository_that_is_not_there(self, sshd: OpenSSH, repository: Path) -> None:
        with pytest.raises(RepositoryMissing, match="does not appear to be a git repository"):
            branch_head(source_of(sshd, repository.parent / "missing.git"), "main")

    def test_a_password_logs_in(self, threaded: ThreadedGit, repository: Path) -> None:
        assert branch_head(threaded.source(str(repository)), "main") == git(repository, "rev-parse", "main")
        with pytest.raises(RepositoryLoginRefused, match="refused"):
            branch_head(threaded.source(str(repository), password="wrong"), "main")

    def test_too_many_bytes(self, sshd: OpenSSH, repository: Path) -> None:
        with pytest.raises(RepositoryError, match="more than 100 bytes"):
            branch_head(source_of(sshd, repository, max_bytes=100), "main")

    def test_a_server_that_says_nothing(self, threaded: ThreadedGit) -> None:
        threaded.silent = True
        with pytest.raises(RepositoryUnavailable, match="in time"):
            branch_head(threaded.source("/x", reply_timeout=1.0), "main")

    def test_a_server_that_never_comes_to_an_end(self, threaded: ThreadedGit, tmp_path: Path) -> None:
        threaded.dripping = True
        source = threaded.source("/x", total_timeout=1.0)
        with pytest.raises(RepositoryUnavailable, match="in time"):
            branch_head(source, "main")
        source = threaded.source("/x", reply_timeout=2.0)
        with pytest.raises(RepositoryUnavailable):
            fetch_objects(source, {"a": Pointer("a" * 64, 5)}, tmp_path)

    @pytest.mark.parametrize(
        ("said", "kind"),
        [
            ("ERROR: Permission denied to deploy key", RepositoryLoginRefused),
            ("GitLab: You are not allowed to download code.", RepositoryLoginRefused),
            ("fatal: '/x' does not appear to be a git repository", RepositoryMissing),
            ("Out of memory", RepositoryUnavailable),
            ("", RepositoryUnavailable),
        ],
    )
    def test_what_a_server_says_before_it_hangs_up(self, said: str, kind: type[RepositoryError]) -> None:
        error = git_ssh.refusal(GitSource("git@host:o/r.git"), said)
        assert type(error) is kind
        assert said in error.message

    def test_a_path_is_one_word_and_no_option(self, sshd: OpenSSH, repository: Path, tmp_path: Path) -> None:
        mark = tmp_path / "mark"
        for path in (f"/x';touch {mark};'", f"/$(touch {mark})", f"/`touch {mark}`"):
            with pytest.raises(RepositoryError):
                branch_head(source_of(sshd, Path(path)), "main")
        assert not mark.exists()
        for path in ("-x", "", "a\nb", "a\0b"):
            with pytest.raises(ConfigurationError):
                git_ssh.quoted(path)


class TestIdentity:
    def test_the_first_check_shows_the_fingerprint(self, sshd: OpenSSH, repository: Path) -> None:
        with pytest.raises(IdentityRefused, match="not accepted yet") as caught:
            branch_head(source_of(sshd, repository, fingerprint=""), "main")
        assert caught.value.reply in {key.get_fingerprint() for key in sshd.host_keys}
        assert branch_head(source_of(sshd, repository, fingerprint=caught.value.reply), "main")

    def test_another_key_stops(self, threaded: ThreadedGit, repository: Path) -> None:
        other = asyncssh.generate_private_key("ssh-ed25519").get_fingerprint()
        with pytest.raises(IdentityRefused, match="not the accepted one"):
            branch_head(threaded.source(str(repository), fingerprint=other), "main")
        assert threaded.passwords_tried == []
        assert threaded.commands == []

    def test_a_key_of_another_kind_may_be_pinned(self, sshd: OpenSSH, repository: Path) -> None:
        second = sshd.host_keys[1].get_fingerprint()
        assert branch_head(source_of(sshd, repository, fingerprint=second), "main")


class TestLogin:
    def test_another_key_is_refused(self, sshd: OpenSSH, repository: Path) -> None:
        other = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
        with pytest.raises(RepositoryLoginRefused, match="refused"):
            branch_head(source_of(sshd, repository, private_key=other), "main")

    def test_a_passphrase_opens_the_key(self, sshd: OpenSSH, repository: Path) -> None:
        locked = sshd.user_key.export_private_key("pkcs8-pem", passphrase="canary").decode()
        assert branch_head(source_of(sshd, repository, private_key=locked, passphrase="canary"), "main")
        with pytest.raises(RepositoryLoginRefused, match="private key cannot be"):
            branch_head(source_of(sshd, repository, private_key=locked, passphrase="wrong"), "main")

    def test_a_private_address_is_refused_where_a_person_entered_it(self, sshd: OpenSSH, repository: Path) -> None:
        with pytest.raises(AddressRefused, match=r"127\.0\.0\.1"):
            branch_head(source_of(sshd, repository, allow_private_addresses=False), "main")

    def test_nobody_listens(self, repository: Path, tmp_path: Path) -> None:
        with pytest.raises(RepositoryUnavailable):
            branch_head(GitSource("ssh://git@127.0.0.1:1/r.git", fingerprint="SHA256:x", connect_timeout=5.0), "main")

    def test_no_secret_is_in_the_repr(self, sshd: OpenSSH, repository: Path) -> None:
        source = source_of(sshd, repository, password="canary", passphrase="canary")
        assert "canary" not in repr(source)
        assert "PRIVATE" not in repr(source)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("git@host:o/r.git", ("git", "host", None, "o/r.git")),
        ("git@host:/srv/r.git", ("git", "host", None, "/srv/r.git")),
        ("ssh://git@host:2222/srv/a%20b.git", ("git", "host", 2222, "/srv/a b.git")),
        ("ssh://host/~builder/r.git", ("", "host", None, "~builder/r.git")),
        ("ssh://[::1]:22/r", ("", "::1", 22, "/r")),
    ],
)
def test_addresses(url: str, parts: tuple[str, str, int | None, str]) -> None:
    address = ssh_address(url)
    assert (address.username, address.host, address.port, address.path) == parts


class TestLFS:
    def answer(self, href: str, **header: str) -> str:
        return json.dumps({"href": href, "header": header, "expires_in": 600})

    def test_the_server_says_where_and_how(self, threaded: ThreadedGit, tmp_path: Path) -> None:
        with LFSServer() as server:
            oid = server.add(b"large")
            login = server.authorization
            address = f"{server.url}/info/lfs"
            threaded.answers["git-lfs-authenticate /o/r.git download"] = self.answer(address, Authorization=login)
            found = fetch_objects(threaded.source("/o/r.git"), {"a": Pointer(oid, 5)}, tmp_path)
            assert found[oid].read_bytes() == b"large"

    def test_a_server_without_the_command(self, threaded: ThreadedGit, tmp_path: Path) -> None:
        with pytest.raises(RepositoryUnavailable):
            fetch_objects(threaded.source("/o/r.git"), {"a": Pointer("a" * 64, 5)}, tmp_path)
        assert threaded.commands[0] == "git-lfs-authenticate /o/r.git download"

    @pytest.mark.parametrize(
        "said",
        [b"", b"{", b"[]", b"{}", b'{"href": 1}', b'{"href": "ftp://x"}', b'{"href": "https://x", "header": [1]}'],
    )
    def test_an_answer_that_is_none(self, said: bytes) -> None:
        with pytest.raises(RepositoryError):
            read_answer(said, GitSource("git@host:o/r.git"))

    def test_a_link_in_clear_is_refused(self) -> None:
        answer = b'{"href": "http://host/lfs"}'
        with pytest.raises(RepositoryError, match="not encrypted"):
            read_answer(answer, GitSource("git@host:o/r.git", allow_private_addresses=False))
        assert read_answer(answer, GitSource("git@host:o/r.git")).url == "http://host/lfs"


@pytest.mark.django_db
def test_the_first_check_offers_the_key_and_a_click_accepts_it(
    sshd: OpenSSH, repository: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions.tasks, "send", lambda *_: True)
    account = Account.objects.create(
        name="git", provider="git", url="https://127.0.0.1", private_key=sshd.user_key.export_private_key().decode()
    )
    url = f"ssh://{sshd.username}@127.0.0.1:{sshd.port}{repository}".replace(" ", "%20")
    service = make_service(host="127.0.0.1", port=9, provider="git", account=account, repository_slug=url)
    client.force_login(User.objects.create_superuser("root"))
    accept = reverse("ftpdeploy_service_fingerprint", args=[service.pk])

    validation.validate(service)
    (check,) = [check for check in service.checks if check.get("fingerprint")]
    assert (check["name"], check["state"]) == ("repository_login", "failed")
    page = client.get(reverse("ftpdeploy_service_manage", args=[service.pk])).content.decode()
    assert check["fingerprint"] in page

    client.post(accept, {"check": check["name"], "fingerprint": "SHA256:another"})
    assert Service.objects.get().repository_fingerprint == ""
    client.post(accept, {"check": check["name"], "fingerprint": check["fingerprint"]})
    service.refresh_from_db()
    assert service.repository_fingerprint == check["fingerprint"]
    assert AuditEntry.objects.filter(action="accept fingerprint").count() == 1

    validation.validate(service)
    states = {check["name"]: check["state"] for check in service.checks}
    assert (states["repository_login"], states["repository"], states["branch"]) == ("ok", "ok", "ok")
