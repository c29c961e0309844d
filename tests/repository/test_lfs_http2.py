"""Git LFS from a forge that speaks HTTP/2: many objects at a time over few connections, its certificate checked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ftp_deploy.exceptions import UnresolvedPointer
from ftp_deploy.repository.base import GitSource
from ftp_deploy.repository.lfs import Pointer, fetch_objects
from tests.servers.base import ProcessServer
from tests.servers.binaries import need
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.lfs import LFSServer

pytestmark = pytest.mark.integration

CONFIG = """
daemon off;
pid {base}/nginx.pid;
error_log {base}/error.log;
{user}
events {{ worker_connections 256; }}
http {{
    log_format seen '$server_protocol $connection $request';
    access_log {log} seen;
    client_body_temp_path {base}/body;
    proxy_temp_path {base}/proxy;
    fastcgi_temp_path {base}/fastcgi;
    uwsgi_temp_path {base}/uwsgi;
    scgi_temp_path {base}/scgi;
    server {{
        listen {host}:{port} ssl http2;
        ssl_certificate {certificates.certificate};
        ssl_certificate_key {certificates.key};
        location / {{ proxy_pass {behind}; proxy_set_header Host $http_host; }}
    }}
}}
"""


class Front(ProcessServer):
    """nginx in front of a Git LFS server."""

    def command(self) -> list[str]:
        import os

        binary = need("nginx", "nginx-light")
        user = "user root;" if os.geteuid() == 0 else ""
        values = {"base": self.base, "log": self.log, "host": self.host, "port": self.port, "user": user}
        config = CONFIG.format(certificates=self.certificates, behind=self.options["behind"], **values)
        (self.base / "nginx.conf").write_text(config)
        return [binary, "-p", str(self.base), "-c", str(self.base / "nginx.conf")]


@pytest.fixture
def behind() -> Iterator[LFSServer]:
    with LFSServer() as running:
        yield running


@pytest.fixture
def front(behind: LFSServer, certificates: Certificates) -> Iterator[Front]:
    with Front("implicit", certificates=certificates, behind=behind.base) as server:
        behind.elsewhere = f"https://127.0.0.1:{server.port}"
        yield server


def source(front: Front, behind: LFSServer, certificates: Certificates) -> GitSource:
    return GitSource(
        f"https://127.0.0.1:{front.port}/owner/site.git",
        behind.username,
        behind.password,
        certificate_authority=certificates.authority_pem,
        connect_timeout=20.0,
    )


def test_objects_come_over_http_2(front: Front, behind: LFSServer, certificates: Certificates, tmp_path: Path) -> None:
    contents = {f"img/{number}.bin": bytes([number]) * 50_000 for number in range(60)}
    wanted = {path: Pointer(behind.add(content), len(content)) for path, content in contents.items()}
    found = fetch_objects(source(front, behind, certificates), wanted, tmp_path, allow_private=True)
    assert {path: found[wanted[path].oid].read_bytes() for path in contents} == contents
    lines = [line.split(" ", 2) for line in front.log_text().splitlines()]
    downloads = [(protocol, connection) for protocol, connection, request in lines if request.startswith("GET")]
    assert {protocol for protocol, _ in downloads} == {"HTTP/2.0"}
    assert len(downloads) == 60
    assert len({connection for _, connection in downloads}) < 10


def test_another_authority_is_refused(front: Front, behind: LFSServer, tmp_path: Path) -> None:
    other = make_certificates(tmp_path)
    wanted = {"a.bin": Pointer(behind.add(b"a"), 1)}
    with pytest.raises(UnresolvedPointer, match="certificate is not trusted"):
        fetch_objects(source(front, behind, other), wanted, tmp_path / "objects", allow_private=True)
    assert behind.requests == []
