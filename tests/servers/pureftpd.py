"""Pure-FTPd, with a virtual user in a PureDB of its own.

Options: ``max_per_ip``, ``arguments`` (further command line arguments).
"""

import subprocess

from tests.servers.base import NOBODY, ProcessServer
from tests.servers.binaries import need


class PureFTPd(ProcessServer):
    def command(self) -> list[str]:
        binary = need("pure-ftpd", "pure-ftpd")
        self._make_user(need("pure-pw", "pure-ftpd-common"))
        limit = self.options.get("max_per_ip")
        return [
            binary,
            "-S", f"{self.host},{self.port}",
            "-l", f"puredb:{self.base / 'users.pdb'}",
            "-g", str(self.base / "pure-ftpd.pid"),
            "-O", f"clf:{self.log}",
            "-f", "none",
            "-A", "-E", "-H",
            "-u", "1",
            "-U", "133:022",
            "-c", "100",
            *(["-C", str(limit)] if limit else []),
            *self._tls_arguments(),
            *self.options.get("arguments", ()),
        ]  # fmt: skip

    def _make_user(self, pure_pw: str) -> None:
        passwords = self.base / "users.passwd"
        if passwords.exists():
            return
        passwords.touch()
        arguments = ["-f", str(passwords), "-u", str(NOBODY), "-g", str(NOBODY), "-d", str(self.folder)]
        subprocess.run(
            [pure_pw, "useradd", self.username, *arguments, "-F", str(self.base / "users.pdb"), "-m"],
            input=f"{self.password}\n{self.password}\n".encode(),
            check=True,
            capture_output=True,
            timeout=60,
        )

    def _tls_arguments(self) -> list[str]:
        if not self.tls:
            return []
        assert self.certificates
        return ["-Y", "3", "-2", f"{self.certificates.both}"]
