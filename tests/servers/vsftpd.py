"""vsftpd, with anonymous logins that need a password: the only kind that asks nothing of the machine's PAM.

Options: ``max_per_ip``, ``require_reuse`` (default on with TLS), ``tls_1_3``, ``settings`` (further lines).
"""

from tests.servers.base import ProcessServer
from tests.servers.binaries import need


class Vsftpd(ProcessServer):
    username = "anonymous"
    path = "/site"  # vsftpd lets nobody in whose root is writable
    supports_chmod = False  # vsftpd never lets an anonymous user change modes

    def command(self) -> list[str]:
        binary = need("vsftpd", "vsftpd")
        (self.base / "passwords").write_text(self.password + "\n")
        (self.base / "empty").mkdir(exist_ok=True)
        settings = self.base / "vsftpd.conf"
        settings.write_text("\n".join([*self._lines(), *self._tls_lines(), *self.options.get("settings", ())]) + "\n")
        settings.chmod(0o600)
        return [binary, str(settings)]

    def _lines(self) -> list[str]:
        listen = ["listen=NO", "listen_ipv6=YES", f"listen_address6={self.host}"]
        if ":" not in self.host:
            listen = ["listen=YES", "listen_ipv6=NO", f"listen_address={self.host}"]
        return [
            *listen,
            f"listen_port={self.port}",
            "background=NO",
            "anonymous_enable=YES",
            "local_enable=NO",
            "write_enable=YES",
            f"anon_root={self.chroot}",
            "anon_upload_enable=YES",
            "anon_mkdir_write_enable=YES",
            "anon_other_write_enable=YES",
            "anon_world_readable_only=NO",
            "anon_umask=022",
            "secure_email_list_enable=YES",
            f"email_password_file={self.base / 'passwords'}",
            "ftp_username=daemon",  # a user whose home exists
            "nopriv_user=nobody",
            f"secure_chroot_dir={self.base / 'empty'}",
            "seccomp_sandbox=NO",
            "isolate=NO",
            "isolate_network=NO",
            "xferlog_enable=YES",
            "log_ftp_protocol=YES",
            f"vsftpd_log_file={self.log}",
            f"max_per_ip={self.options.get('max_per_ip', 0)}",
        ]

    def _tls_lines(self) -> list[str]:
        if not self.tls:
            return []
        assert self.certificates
        return [
            "ssl_enable=YES",
            "allow_anon_ssl=YES",
            "force_anon_logins_ssl=YES",
            "force_anon_data_ssl=YES",
            "ssl_ciphers=HIGH",
            f"implicit_ssl={'YES' if self.tls == 'implicit' else 'NO'}",
            f"require_ssl_reuse={'YES' if self.options.get('require_reuse', True) else 'NO'}",
            f"rsa_cert_file={self.certificates.certificate}",
            f"rsa_private_key_file={self.certificates.key}",
        ]
