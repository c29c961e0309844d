"""Git over smart HTTP: git's own ``upload-pack`` and ``receive-pack``, or dulwich's where no git binary is installed.

See gitprotocol-http(5). ``partial`` decides whether the server speaks protocol version 2 with filters and gives out
any object by its id, as the large forges do, or only what a server of old did.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from io import BufferedReader
from typing import IO, cast

from dulwich.errors import GitProtocolError
from dulwich.protocol import ReceivableProtocol
from dulwich.repo import Repo
from dulwich.server import BackendRepo, DictBackend, ReceivePackHandler, UploadPackHandler

from ftp_deploy.standalone.forge.storage import StoredRepository

SERVICES = ("git-upload-pack", "git-receive-pack")
BLOCK = 65_536


class GitService:
    """Answers the two requests of smart HTTP."""

    def __init__(self, *, partial: bool = True, use_git: bool = True) -> None:
        self.partial = partial
        self.git = shutil.which("git") if use_git else None

    def advertise(self, repository: StoredRepository, service: str, protocol: str) -> Iterator[bytes]:
        """Yield the answer to ``info/refs``: what the server can do and, before version 2, all references."""
        version_2 = "version=2" in protocol and self.partial and service == SERVICES[0] and self.git
        if not version_2:
            line = f"# service={service}\n".encode()
            yield b"%04x%s0000" % (len(line) + 4, line)
        yield from self._run(repository, service, protocol, None)

    def serve(self, repository: StoredRepository, service: str, protocol: str, body: IO[bytes]) -> Iterator[bytes]:
        """Yield the answer to a request that carries a body."""
        yield from self._run(repository, service, protocol, body)

    def _run(
        self, repository: StoredRepository, service: str, protocol: str, body: IO[bytes] | None
    ) -> Iterator[bytes]:
        if not self.git:
            yield run_dulwich(repository, service, body)
            return
        settings = ["-c", "safe.directory=*", "-c", f"uploadpack.allowFilter={str(self.partial).lower()}"]
        step = ["--stateless-rpc", *([] if body else ["--advertise-refs"]), str(repository.folder)]
        command = [self.git, *settings, service.removeprefix("git-"), *step]
        environment = {**os.environ, "GIT_PROTOCOL": protocol if self.partial else ""}
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=body or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        output = cast("BufferedReader", process.stdout)
        try:
            while block := output.read1(BLOCK):
                yield block
        finally:
            output.close()
            process.kill()
            process.wait()


def run_dulwich(repository: StoredRepository, service: str, body: IO[bytes] | None) -> bytes:
    """Return the whole answer, made by dulwich's server: protocol version 0, no objects by id."""
    answer: list[bytes] = []

    def write(data: bytes) -> int:
        answer.append(data)
        return len(data)

    protocol = ReceivableProtocol(body.read if body else lambda _size: b"", write)
    with Repo(str(repository.folder)) as repo:
        kind = UploadPackHandler if service == SERVICES[0] else ReceivePackHandler
        served: dict[str, BackendRepo] = {"/": repo}
        try:
            kind(DictBackend(served), ["/"], protocol, stateless_rpc=True, advertise_refs=body is None).handle()
        except GitProtocolError as error:
            line = f"ERR {error}".encode()
            write(b"%04x%s" % (len(line) + 4, line))
    return b"".join(answer)
