"""A small HTTP server on loopback whose answers a test writes down; for what no description of an API covers."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Seen:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Reply:
    """One answer to give. ``body`` is sent as JSON unless it is bytes."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """Close the connection before the answer."""


Script = Callable[[Seen], Reply]


class ScriptedForge:
    """Answers with ``script``; keeps what it saw. Use as a context manager."""

    def __init__(self, script: Script | None = None) -> None:
        self.replies: list[Reply] = []
        self.script: Script = script or (lambda seen: self.replies.pop(0))
        self.seen: list[Seen] = []
        forge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.command, self.path, headers, json.loads(text) if text else None)
                forge.seen.append(seen)
                self.send(forge.script(seen))

            def send(self, reply: Reply) -> None:
                self.close_connection = reply.cut
                if reply.cut:
                    return
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                if reply.body is None or reply.status in {204, 304}:
                    body = b""
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.answer)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> "ScriptedForge":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def reply(self, body: Any = None, status: int = 200, *, cut: bool = False, **headers: str) -> None:
        """Add an answer; ``Retry_After="3"`` is the header ``Retry-After``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies.append(Reply(status, body, named, cut))
