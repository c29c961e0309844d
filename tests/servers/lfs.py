"""A small Git LFS server over HTTP, in a thread: the batch API and basic downloads, with faults to order."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

MEDIA_TYPE = "application/vnd.git-lfs+json"


class LFSServer:
    """Holds objects for one repository, ``/owner/site.git``, behind one login.

    ``faults`` maps an object id to what goes wrong with it once: "500", "cut", "wrong", "short", "long", "redirect".
    ``elsewhere`` is another server that the links point at.
    """

    username = "deploy"
    password = "t0ken-word"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.faults: dict[str, list[str]] = {}
        self.link_headers: dict[str, str] = {}
        self.batch_status: list[int] = []
        self.batch_body: bytes | None = None
        self.elsewhere: str = ""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The repository's address."""
        return f"{self.base}/owner/site.git"

    def add(self, content: bytes) -> str:
        """Store an object; return its id."""
        oid = hashlib.sha256(content).hexdigest()
        self.objects[oid] = content
        return oid

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def batch(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a batch request."""
        found = []
        for wanted in request["objects"]:
            item: dict[str, Any] = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] in self.objects:
                href = f"{self.elsewhere or self.base}/objects/{wanted['oid']}"
                item["actions"] = {"download": {"href": href, "header": self.link_headers}}
            else:
                item["error"] = {"code": 404, "message": "Object does not exist"}
            found.append(item)
        return {"transfer": "basic", "objects": found}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        """Over 50 lines: the handler's class, which knows this server."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

            def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.requests.append(("POST", self.path, dict(self.headers)))
                if self.path != "/owner/site.git/info/lfs/objects/batch":
                    self.answer(404)
                elif self.headers["Authorization"] != server.authorization:
                    self.answer(401, b'{"message": "Credentials needed"}')
                elif server.batch_status:
                    self.answer(server.batch_status.pop(0), b'{"message": "not now"}')
                elif self.headers["Accept"] != MEDIA_TYPE or self.headers["Content-Type"] != MEDIA_TYPE:
                    self.answer(406)
                else:
                    made = json.dumps(server.batch(json.loads(body))).encode()
                    self.answer(200, server.batch_body if server.batch_body is not None else made)

            def do_GET(self) -> None:
                server.requests.append(("GET", self.path, dict(self.headers)))
                with server.lock:
                    server.at_once += 1
                    server.most_at_once = max(server.most_at_once, server.at_once)
                try:
                    self.give(self.path.rpartition("/")[2])
                finally:
                    with server.lock:
                        server.at_once -= 1

            def give(self, oid: str) -> None:
                content = server.objects.get(oid)
                fault = server.faults.get(oid, []).pop(0) if server.faults.get(oid) else ""
                if content is None:
                    self.answer(404)
                elif fault.startswith("redirect "):
                    self.answer(302, Location=fault.partition(" ")[2])
                elif fault.isdecimal():
                    self.answer(int(fault))
                elif fault == "cut":
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content[: len(content) // 2])
                    self.close_connection = True
                else:
                    changed = {"wrong": b"x" * len(content), "short": content[:-1], "long": content + b"more"}
                    self.answer(200, changed.get(fault, content))

        return Handler
