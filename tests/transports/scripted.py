"""An FTP server that answers some commands as a test wants it, and all others as ever."""

from typing import Any

from tests.servers.base import FTPServer
from tests.servers.fixtures import StartServer
from tests.servers.pyftpd import RecordingHandler


class Scripted(RecordingHandler):
    """Answers some commands from a script: each reply once; the last one for ever if it is followed by "..."."""

    script: dict[str, list[str]] = {}

    def process_command(self, cmd: str, *arguments: Any, **details: Any) -> None:
        replies = self.script.get(cmd)
        if not replies:
            super().process_command(cmd, *arguments, **details)
            return
        reply = replies[0]
        if replies[1:] != ["..."]:
            replies.pop(0)
        if reply == "hang up":
            self.close()
        elif reply != "say nothing":
            self.respond(reply)


def scripted(start_server: StartServer, **attributes: Any) -> FTPServer:
    return start_server("pyftpdlib", handler=Scripted, attributes=attributes)


def count(server: FTPServer, command: str) -> int:
    return sum(line.split(" ")[0] == command for line in server.log_text().splitlines())
