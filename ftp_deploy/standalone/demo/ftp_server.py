"""The demo's FTP server, and a web server that shows what lies on it.

A process of its own: ``python -m ftp_deploy.standalone.demo.ftp_server FOLDER FTP_PORT WEB_PORT USER PASSWORD_FILE
SPEED``. The password is read from its file at each login, so that the demo can change it behind the app's back. The
speed is in bytes a second for each connection; 0: as fast as it goes.
"""

import logging
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pyftpdlib.authorizers import AuthenticationFailed, DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, ThrottledDTPHandler
from pyftpdlib.servers import FTPServer

from ftp_deploy.standalone.processes import die_with_parent

LOOPBACK = "127.0.0.1"
EVERYTHING = "elradfmwMT"
MOST_CONNECTIONS = 256


class FileAuthorizer(DummyAuthorizer):  # type: ignore[misc]
    """One user, whose password is whatever its file says now."""

    def __init__(self, user: str, password_file: Path, folder: Path) -> None:
        super().__init__()
        self.password_file = password_file
        self.add_user(user, "", str(folder), perm=EVERYTHING)

    def validate_authentication(self, user_name: str, password: str, handler: Any) -> None:
        """Raise ``AuthenticationFailed`` unless name and password are right."""
        if not self.has_user(user_name) or password != self.password_file.read_text(encoding="utf-8"):
            raise AuthenticationFailed("Authentication failed.")


class QuietPages(SimpleHTTPRequestHandler):
    """Files as a browser expects them, without a line in the log for each."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


def main(arguments: list[str]) -> None:
    """Serve until the process is stopped."""
    die_with_parent()
    folder, ftp_port, web_port, user, password_file, speed = arguments
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    authorizer = FileAuthorizer(user, Path(password_file), Path(folder))
    attributes: dict[str, Any] = {"authorizer": authorizer, "auth_failed_timeout": 0}
    if int(speed):
        attributes["dtp_handler"] = type("Slow", (ThrottledDTPHandler,), {"read_limit": int(speed)})
    handler = type("Handler", (FTPHandler,), attributes)
    pages = ThreadingHTTPServer((LOOPBACK, int(web_port)), partial(QuietPages, directory=folder))
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    server = FTPServer((LOOPBACK, int(ftp_port)), handler)
    server.max_cons = MOST_CONNECTIONS
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
