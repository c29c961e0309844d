"""The servers, started inside the server's namespace: those of the tests, with their logs off."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.link import Link, inside
from tests.servers.base import FTPServer, own
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.proftpd import Proftpd
from tests.servers.pureftpd import PureFTPd
from tests.servers.pyftpd import Pyftpd
from tests.servers.sshd import OpenSSH
from tests.servers.vsftpd import Vsftpd

QUIET: dict[str, dict[str, Any]] = {
    "vsftpd": {"settings": ("log_ftp_protocol=NO", "xferlog_enable=NO")},
    "proftpd": {"quiet": True, "settings": ("MaxInstances 200",)},
    "pure-ftpd": {},
    "pyftpdlib": {},
    "sshd": {"quiet": True, "extra": "MaxStartups 100\nMaxSessions 100"},
}
CLASSES: dict[str, type[FTPServer]] = {
    "vsftpd": Vsftpd,
    "proftpd": Proftpd,
    "pure-ftpd": PureFTPd,
    "pyftpdlib": Pyftpd,
    "sshd": OpenSSH,
}
FIRST_SERVER = {"ftp": "vsftpd", "ftps": "vsftpd", "ftps12": "vsftpd", "sftp": "sshd"}


@contextmanager
def serve(name: str, protocol: str, link: Link, work: Path) -> Iterator[FTPServer]:
    """Start a server for a protocol on the far side of the link."""
    certificates: Certificates | None = (
        make_certificates(work, names=(link.host,)) if protocol.startswith("ftps") else None
    )
    options = dict(QUIET[name])
    with inside(link.server):
        if name == "sshd":
            server: FTPServer = OpenSSH(host=link.host, **options)
        else:
            tls = "explicit" if certificates else ""
            server = CLASSES[name](tls, host=link.host, certificates=certificates, **options)
        server.start()
    try:
        yield server
    finally:
        server.stop()


def clear(server: FTPServer) -> None:
    """Empty the site."""
    shutil.rmtree(server.folder)
    server.folder.mkdir(parents=True)
    own(server.folder)
