"""SFTP by ProFTPD's mod_sftp: a second real server beside OpenSSH, and one that can hash files."""

import shutil
from typing import Any

import asyncssh

from ftp_deploy.transports.base import Target
from tests.servers import proftpd
from tests.servers.base import own
from tests.servers.sshd import OpenSSH


class ProftpdSFTP(proftpd.Proftpd):
    """Logs in by password. It has no notion of an OpenSSH key of the user."""

    supports_chmod = True

    def __init__(self, *, host: str = "127.0.0.1", **options: Any) -> None:
        super().__init__("", host=host, **options)
        self.host_key = asyncssh.generate_private_key("ssh-rsa")

    @property
    def fingerprint(self) -> str:
        return self.host_key.get_fingerprint()

    def _modules(self) -> tuple[str, ...]:
        return (*proftpd.MODULES, "mod_sftp.c")

    def _tls_lines(self) -> list[str]:
        place = self.base / "host_key"
        self.host_key.write_private_key(place, "pkcs1-pem")
        place.chmod(0o600)
        return [
            "SFTPEngine on",
            f"SFTPLog {self.base / 'sftp.log'}",
            f"SFTPHostKey {place}",
            "SFTPAuthMethods password",
            "TimeoutLogin 60",
        ]

    _answers = OpenSSH._answers

    def clear(self) -> None:
        """Remove all files of the site, for the next test."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        own(self.folder)

    def target(self, **changes: Any) -> Target:
        """Return a target that logs in with the password."""
        return super().target(**{"protocol": "sftp", "fingerprint": self.fingerprint, **changes})
