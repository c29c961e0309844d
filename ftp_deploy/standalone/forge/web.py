"""The forge's web server: logs callers in, reads bodies in any of HTTP's forms, and hands over to git or the API."""

import base64
import binascii
import hashlib
import hmac
import json
import re
import socket
import ssl
import tempfile
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from ftp_deploy.standalone.forge.api import Answer, ApiRefusal, Request, encoded
from ftp_deploy.standalone.forge.git_service import SERVICES

if TYPE_CHECKING:
    from ftp_deploy.standalone.forge.forge import Forge

GIT_PATH = re.compile(r"/([^/]+/[^/]+?)(?:\.git)?/(info/refs|git-upload-pack|git-receive-pack)")
BLOCK = 65_536
NOT_CACHED = {"Cache-Control": "no-cache, max-age=0, must-revalidate", "Pragma": "no-cache"}


class Server(ThreadingHTTPServer):
    """A server that, when it stops, closes the connections that callers keep open."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], forge: "Forge", tls: ssl.SSLContext | None) -> None:
        super().__init__(address, Handler)
        self.forge = forge
        self.tls = tls
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection; the handshake of TLS happens here, in the connection's own thread."""
        if self.tls:
            request.settimeout(30)
            request = self.tls.wrap_socket(request, server_side=True)
            request.settimeout(None)
        with self._lock:
            self._connections.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            with self._lock:
                self._connections.discard(request)
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Take no notice: a caller that hangs up is no news."""

    def close_connections(self) -> None:
        """Hang up on all callers."""
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "forge"
    server: Server

    @property
    def forge(self) -> "Forge":
        """The forge behind the server."""
        return self.server.forge

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep the line for whoever asks, without printing it."""
        self.forge.log.append(format % args)

    def do_GET(self) -> None:
        """Answer a request of any method."""
        with self._body() as body:
            if self.path.startswith("/api/v3/"):
                self._api(body)
            else:
                self._git(body)

    do_POST = do_PATCH = do_DELETE = do_PUT = do_HEAD = do_GET  # noqa: N815

    def _body(self) -> IO[bytes]:
        """Read the body, decoded, into a real file: git's processes read from it."""
        file = tempfile.TemporaryFile()  # noqa: SIM115
        unzip = zlib.decompressobj(31) if self.headers.get("Content-Encoding") == "gzip" else None
        for block in self._blocks():
            file.write(unzip.decompress(block) if unzip else block)
        file.seek(0)
        return file

    def _blocks(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline(32).split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline(8)
            self.rfile.readline(8)
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0 and (block := self.rfile.read(min(left, BLOCK))):
            left -= len(block)
            yield block

    def _logged_in(self) -> bool:
        """Say whether the caller gave the token: as Bearer, as ``token``, or as the password of Basic."""
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        given = value
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(value, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        elif scheme.lower() not in ("bearer", "token"):
            return False
        return hmac.compare_digest(given.encode(), self.forge.token.encode())

    def _api(self, body: IO[bytes]) -> None:
        url = urlsplit(self.path)
        if not self._logged_in():
            message = "Bad credentials" if self.headers.get("Authorization") else "Requires authentication"
            return self._send(ApiRefusal(401, message).answer)
        try:
            text = body.read()
            data = json.loads(text) if text else None
        except ValueError:
            return self._send(ApiRefusal(400, "Problems parsing JSON").answer)
        path = url.path.removeprefix("/api/v3")
        return self._send(self.forge.api.answer(Request(self.command, path, dict(parse_qsl(url.query)), data)))

    def _send(self, answer: Answer) -> None:
        """Send an answer of the API; an unchanged one without its body."""
        data = encoded(answer)
        tag = f'W/"{hashlib.sha256(data).hexdigest()}"'
        if answer.status == 200 and self.command == "GET" and self.headers.get("If-None-Match") == tag:
            answer, data = Answer(304, None, answer.headers), b""
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status == 200:
            self.send_header("ETag", tag)
        if answer.body is not None:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _git(self, body: IO[bytes]) -> None:
        url = urlsplit(self.path)
        match = GIT_PATH.fullmatch(url.path)
        query = dict(parse_qsl(url.query))
        service = query.get("service", "") if match and match[2] == "info/refs" else match[2] if match else ""
        if not match or service not in SERVICES:
            return self._plain(404, "Not Found")
        if not self._logged_in():
            return self._plain(401, "Log in with a token.", {"WWW-Authenticate": 'Basic realm="forge"'})
        repository = self.forge.find(match[1])
        if repository is None:
            return self._plain(404, "Repository not found.")
        if repository.full_name.lower() != match[1].lower():
            place = f"{self.forge.url}/{repository.full_name}.git/{match[2]}"
            return self._plain(301, "Moved", {"Location": place + (f"?{url.query}" if url.query else "")})
        protocol = self.headers.get("Git-Protocol", "")
        if self.command == "GET" and match[2] == "info/refs":
            kind = f"application/x-{service}-advertisement"
            return self._stream(kind, self.forge.git.advertise(repository, service, protocol))
        if self.command != "POST" or match[2] == "info/refs":
            return self._plain(405, "Method Not Allowed")
        kind = f"application/x-{service}-result"
        if service == SERVICES[0]:
            return self._stream(kind, self.forge.git.serve(repository, service, protocol, body))
        # The hooks go out only after the answer was made: then the branches have moved.
        with self.forge.watched(repository):
            answer = list(self.forge.git.serve(repository, service, protocol, body))
        return self._stream(kind, iter(answer))

    def _stream(self, content_type: str, blocks: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        for name, value in NOT_CACHED.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for block in blocks:
            if block:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
        self.wfile.write(b"0\r\n\r\n")

    def _plain(self, status: int, text: str, headers: "dict[str, str] | None" = None) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
