"""pyftpdlib in a thread of the test's own process.

Options: ``max_per_ip``, ``handler`` (attributes of the handler class, or a subclass of it).
"""

import logging
import threading
import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # asyncore and asynchat, on Python 3.11
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer as Acceptor

from tests.servers.base import DEADLINE, FTPServer

PERMISSIONS = "elradfmwMT"


class RecordingHandler(FTPHandler):  # type: ignore[misc]
    """Writes every command line, as it came in, to the server's log."""

    record = None
    use_sendfile = False

    def pre_process_command(self, line: str, cmd: str, arg: str) -> Any:
        if self.record:
            self.record(f"{cmd} {'***' if cmd == 'PASS' else arg}")
        return super().pre_process_command(line, cmd, arg)


class Pyftpd(FTPServer):
    """In this process; ``kill`` closes the listener and all sessions."""

    needs_root = False
    acceptor: Acceptor | None = None

    def start(self) -> None:
        logging.getLogger("pyftpdlib").setLevel(logging.CRITICAL)
        base = self.options.get("handler", RecordingHandler)
        authorizer = DummyAuthorizer()
        authorizer.add_user(self.username, self.password, str(self.folder), perm=PERMISSIONS)
        attributes = {"authorizer": authorizer, "record": staticmethod(self._record), "auth_failed_timeout": 0}
        if self.tls:
            base, more = self._tls_handler()
            attributes.update(more)
        handler = type("Handler", (base,), {**attributes, **self.options.get("attributes", {})})
        # A loop of its own: pyftpdlib's default is one for the process, and two servers would read it from two threads.
        self.acceptor = Acceptor((self.host, self.port), handler, ioloop=IOLoop())
        self.acceptor.max_cons = 512
        self.acceptor.max_cons_per_ip = self.options.get("max_per_ip", 0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="pyftpdlib", daemon=True)
        self._thread.start()

    def _tls_handler(self) -> tuple[type, dict[str, Any]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from pyftpdlib.handlers import TLS_FTPHandler
        assert self.certificates
        recording = type("RecordingTLSHandler", (RecordingHandler, TLS_FTPHandler), {})
        required = {"tls_control_required": True, "tls_data_required": True}
        return recording, {"certfile": str(self.certificates.both), **required}

    def _serve(self) -> None:
        assert self.acceptor
        while not self._stopping.is_set():
            self.acceptor.ioloop.loop(timeout=0.02, blocking=False)
        self.acceptor.close_all()

    def _record(self, line: str) -> None:
        with self.log.open("a", errors="backslashreplace") as log:
            log.write(line + "\n")

    def kill(self) -> None:
        if self.acceptor is None:
            return
        self._stopping.set()
        self._thread.join(DEADLINE)
        self.acceptor = None
