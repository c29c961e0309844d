"""Pure-FTPd, with a virtual user in a PureDB of its own.

Options: ``max_per_ip``, ``arguments`` (further command line arguments).
"""

import subprocess

from tests.servers.base import NOBODY, ProcessServer
from tests.servers.binaries import need
from tests.servers.proftpd import Proftpd


class PureFTPd(ProcessServer):
    password = Proftpd.password

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
        """Write the user by hand: the hash that pure-pw would make takes seconds to compute, at each log-in."""
        passwords = self.base / "users.passwd"
        fields = [self.username, Proftpd.password_hash, str(NOBODY), str(NOBODY), "", f"{self.folder}/./"]
        passwords.write_text(":".join([*fields, *[""] * 12]) + "\n")
        subprocess.run(
            [pure_pw, "mkdb", str(self.base / "users.pdb"), "-f", str(passwords)],
            check=True,
            capture_output=True,
            timeout=60,
        )

    def _tls_arguments(self) -> list[str]:
        if not self.tls:
            return []
        assert self.certificates
        return ["-Y", "3", "-2", f"{self.certificates.both}"]
