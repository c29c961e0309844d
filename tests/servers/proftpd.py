"""ProFTPD, with a user file of its own and the modules for TLS and hashes.

Options: ``max_per_host``, ``settings`` (further lines), ``quiet`` (no log of commands).
"""

import os

from tests.servers.base import NOBODY, ProcessServer
from tests.servers.binaries import installation, need

MODULES = ("mod_tls.c", "mod_digest.c")


class Proftpd(ProcessServer):
    password = "secret-password"
    password_hash = "$5$abcdefgh$zztCOTdC1Mfwg8HwcL33XdiRad6JCjiaMUQWjhFbrA9"

    def command(self) -> list[str]:
        binary = need("proftpd", "proftpd-core, proftpd-mod-crypto")
        users = self.base / "users"
        users.write_text(f"{self.username}:{self.password_hash}:{NOBODY}:{NOBODY}::{self.folder}:/bin/false\n")
        users.chmod(0o600)
        settings = self.base / "proftpd.conf"
        settings.write_text("\n".join([*self._lines(), *self._tls_lines(), *self.options.get("settings", ())]) + "\n")
        return [binary, "-n", "-q", "-c", str(settings)]

    def _modules(self) -> tuple[str, ...]:
        return MODULES

    def _lines(self) -> list[str]:
        modules = installation() / "usr/lib/proftpd"
        folder = modules if modules.is_dir() else "/usr/lib/proftpd"
        return [
            f"ModulePath {folder}",
            *(f"LoadModule {module}" for module in self._modules()),
            "ServerName Test",
            "ServerType standalone",
            f"DefaultAddress {self.host}",
            f"Port {self.port}",
            f"UseIPv6 {'on' if ':' in self.host else 'off'}",
            f"User {'nobody' if os.geteuid() == 0 else os.getlogin()}",
            "Group nogroup",
            f"PidFile {self.base / 'proftpd.pid'}",
            f"ScoreboardFile {self.base / 'scoreboard'}",
            f"DelayTable {self.base / 'delay'}",
            "AuthOrder mod_auth_file.c",
            f"AuthUserFile {self.base / 'users'}",
            "RequireValidShell off",
            "DefaultRoot ~",
            "UseReverseDNS off",
            "WtmpLog off",
            "TransferLog none",
            "DelayEngine off",
            "AllowOverwrite on",
            "Umask 022",
            "MaxInstances 100",
            f"SystemLog {self.base / 'system.log'}",
            *([] if self.options.get("quiet") else [f"ExtendedLog {self.log} ALL commands"]),
            'LogFormat commands "%{iso8601} %a \\"%r\\" %s"',
            *(
                [f'MaxClientsPerHost {self.options["max_per_host"]} "Too many connections"']
                if "max_per_host" in self.options
                else []
            ),
        ]

    def _tls_lines(self) -> list[str]:
        if not self.tls:
            return []
        assert self.certificates
        return [
            "TLSEngine on",
            "TLSRequired on",
            f"TLSLog {self.base / 'tls.log'}",
            f"TLSRSACertificateFile {self.certificates.certificate}",
            f"TLSRSACertificateKeyFile {self.certificates.key}",
            *(["TLSOptions UseImplicitSSL"] if self.tls == "implicit" else []),
        ]
