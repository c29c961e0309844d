"""Deploys to each real server: everything changes at once, bad names, directories that may not be written."""

from collections.abc import Iterator
from typing import Any

import pytest

from ftp_deploy.deploys import queue
from ftp_deploy.models import Service
from tests.deploys.runs import State, reload, run
from tests.deploys.test_transfer import BAD_NAMES
from tests.servers.base import FTPServer
from tests.servers.fixtures import StartServer
from tests.servers.sshd import OpenSSH

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.integration]


def deploy_to(made: Any, service: Service) -> None:
    """Let the service name a real server."""
    target = made.target()
    names = ("protocol", "host", "port", "username", "password", "private_key", "path", "fingerprint")
    for name in names:
        setattr(service, name, getattr(target, name))
    service.certificate_authority = target.certificate_authority
    service.save()


def test_a_server_that_ignores_case(service, origin, start_server: StartServer) -> None:
    """Names of files and directories change only in case: each file is there afterwards, none went with an old one."""
    from pyftpdlib.filesystems import AbstractedFS

    class Folding(AbstractedFS):  # type: ignore[misc]
        def ftp2fs(self, ftppath: str) -> str:
            return str(super().ftp2fs(ftppath.lower()))

    real = start_server("pyftpdlib", attributes={"abstracted_fs": Folding})
    deploy_to(real, service)
    for tree in (
        {"Logo.PNG": b"same", "Img/A.png": b"a", "Img/b.png": b"b", "c": b"c"},
        {"logo.png": b"same", "img/a.png": b"a", "img/B.PNG": b"b", "c": b"c"},
        {"LOGO.PNG": b"other", "IMG/a.png": b"a", "C": b"c"},
    ):
        deploy = origin.push(tree)
        run(service)
        assert reload(deploy).state == State.SUCCEEDED, reload(deploy).error
        assert {path: real.read(path) for path in real.files()} == {path.lower(): tree[path] for path in tree}


def test_a_server_that_takes_no_hidden_names(service, origin, start_server: StartServer) -> None:
    """Temporary names begin with a dot: the deploy says what to do, and direct writing does it."""
    real = start_server("pure-ftpd", arguments=["-x"])
    deploy_to(real, service)
    deploy = origin.push({"index.html": b"one"})
    run(service)
    deploy = reload(deploy)
    assert (deploy.state, deploy.error_kind) == (State.FAILED, "PermissionRefused")
    assert "index.html" in deploy.error
    assert "begin with a dot" in deploy.advice
    assert real.files() == set()
    service.atomic = False
    service.save()
    queue.retry(deploy)
    run(service)
    assert real.read("index.html") == b"one"


REAL = ["pyftpdlib", "vsftpd", "proftpd", "pure-ftpd", "openssh"]


@pytest.mark.parametrize("name", REAL)
class TestRealServers:
    """Pushes that change everything at once, on each server."""

    @pytest.fixture
    def real(self, name: str, service: Service, start_server: StartServer) -> Iterator[FTPServer | OpenSSH]:
        if name == "openssh":
            with OpenSSH() as made:
                deploy_to(made, service)
                yield made
            return
        found = start_server(name)
        deploy_to(found, service)
        yield found

    def held(self, real: Any) -> dict[str, bytes]:
        return {path: real.read(path) for path in real.files()}

    def test_everything_changes_its_kind(self, name, real, service, origin) -> None:
        first = {
            "stays": b"same",
            "empty": b"",
            "becomes a directory": b"file",
            "becomes/a/file.txt": b"deep",
            "becomes/other": b"x",
            "Case.TXT": b"same",
            "gone/deep/er": b"g",
            "caf\u00e9": b"nfc",
        }
        second = {
            "stays": b"same",
            "empty": b"no more",
            "becomes a directory/with/files": b"now",
            "becomes": b"a file",
            "case.txt": b"same",
            "filled": b"",
            "\U0001f680 -rf/~x": b"r",
        }
        for tree in (first, second, first):
            deploy = origin.push(tree)
            run(service)
            assert reload(deploy).state == State.SUCCEEDED, reload(deploy).error
            assert self.held(real) == tree
        assert not {path for path in real.folders() if path.startswith("becomes a directory")}

    def test_no_bad_name_reaches_the_server(self, name, real, service, origin) -> None:
        """By the servers' own logs: nothing was sent, and nothing but the log-in was asked."""
        origin.push({"victim": b"alive"})
        run(service)
        before = len(real.log_text())
        for bad in BAD_NAMES.values():
            deploy = origin.push({"victim": b"other", f"d/{bad}": b"bad"})
            run(service)
            assert reload(deploy).error_kind == "UnsafePath"
        assert self.held(real) == {"victim": b"alive"}
        said = real.log_text()[before:].upper()
        assert not any(word in said for word in ("DELE", "STOR", "RNTO", "MKD", "REMOVE", "POSIX-RENAME", "UPLOAD"))

    def test_a_directory_that_may_not_be_written(self, name, real, service, origin) -> None:
        """The file and the server's answer are named, and everything that was live stays."""
        if name in ("pyftpdlib", "openssh"):
            pytest.skip("these servers run as the tests' own user, who may write everywhere")
        origin.push({"a": b"1", "locked/b": b"1"})
        run(service)
        (real.folder / "locked").chmod(0o555)
        try:
            deploy = origin.push({"a": b"2", "locked/b": b"2"})
            run(service)
        finally:
            (real.folder / "locked").chmod(0o777)
        deploy = reload(deploy)
        assert (deploy.state, deploy.error_kind) == (State.FAILED, "PermissionRefused")
        assert "locked/b" in deploy.error
        assert "55" in deploy.error
        assert ".ftp-deploy" not in deploy.error
        assert real.read("a") == b"1"
        assert real.read("locked/b") == b"1"
        queue.retry(deploy)
        run(service)
        assert self.held(real) == {"a": b"2", "locked/b": b"2"}
