"""nginx with the configuration that the documentation shows, on ports and with a certificate of the test."""

import re

from tests.servers.binaries import need
from tests.servers.certificates import Certificates
from tests.servers.ports import free_ports
from tests.servers.programs import Program, listens
from tests.standalone.processes import ROOT

EXAMPLE = ROOT / "docs" / "examples" / "nginx.conf"
AROUND = """
daemon off; pid {base}/pid; error_log {base}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {base}/body; proxy_temp_path {base}/proxy; fastcgi_temp_path {base}/fastcgi;
    uwsgi_temp_path {base}/uwsgi; scgi_temp_path {base}/scgi;
{servers}
}}
"""


class Nginx(Program):
    """A TLS proxy on ``https://localhost:<port>``; below ``path`` it passes everything on to a port of this machine."""

    def __init__(self, certificates: Certificates, upstream: int, path: str = "/") -> None:
        super().__init__()
        self.binary = need("nginx", "nginx-light")
        self.port, self.plain_port = free_ports(2)
        self.url = f"https://localhost:{self.port}"
        example = EXAMPLE.read_text(encoding="utf-8")
        for pattern, value in (
            (r"listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
            (r"listen 80;", f"listen 127.0.0.1:{self.plain_port};"),
            (r"server_name \S+;", "server_name localhost;"),
            (r"ssl_certificate \S+;", f"ssl_certificate {certificates.certificate};"),
            (r"ssl_certificate_key \S+;", f"ssl_certificate_key {certificates.key};"),
            (r"proxy_pass http://127.0.0.1:8000/;", f"proxy_pass http://127.0.0.1:{upstream}/;"),
            (r"location / {", f"location {path} {{"),
        ):
            example, count = re.subn(pattern, value, example)
            assert count, pattern
        (self.base / "nginx.conf").write_text(AROUND.format(base=self.base, servers=example), encoding="utf-8")

    def command(self) -> list[str]:
        return [self.binary, "-p", str(self.base), "-c", str(self.base / "nginx.conf")]

    def answers(self) -> bool:
        return listens(self.port) and listens(self.plain_port)
