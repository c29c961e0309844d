"""What a reader is told to type: the blocks of a page, and a shell that types them."""

import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.standalone.processes import ROOT, until

SERVERS = (" serve", " runserver", " worker")
"""Commands that go on until they are stopped."""
BLOCK = re.compile(
    r"^\.\. code-block:: (?P<language>\w+)\n(?:   :caption: (?P<caption>.+)\n)?\n(?P<body>(?:   .*\n|\n)+)", re.M
)


@dataclass(frozen=True)
class Block:
    """One code block: its language, the file it belongs to, its lines without their indent."""

    language: str
    caption: str
    body: str

    @property
    def commands(self) -> list[str]:
        return [line[2:] for line in self.body.splitlines() if line.startswith("$ ")]


def blocks(page: str) -> list[Block]:
    """Return the code blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(found["language"], found["caption"] or "", re.sub(r"^   ", "", found["body"], flags=re.M))
        for found in BLOCK.finditer(text)
    ]


@dataclass
class Shell:
    """Types commands in a folder, one after the other; servers go on in the background until ``stop``."""

    folder: Path
    environment: dict[str, str]
    wheel: Path
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def type(self, command: str) -> None:
        """Run one line as it stands; only the package's name becomes the wheel that was just built."""
        command = re.sub(r'"?django-ftp-deploy(\[\w+\])?"?$', lambda found: f"'{self.wheel}{found[1] or ''}'", command)
        if command.startswith("cd "):
            self.folder = self.folder / command[3:]
            return
        if any(word in f"{command} " for word in (f"{each} " for each in SERVERS)):
            self._serve(command)
            return
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        allowed = (0, 1) if command.endswith(" doctor") else (0,)
        assert done.returncode in allowed, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

    def _serve(self, command: str) -> None:
        with (self.folder / f"server-{time.monotonic_ns()}.log").open("wb") as log:
            self.servers.append(
                subprocess.Popen(
                    ["bash", "-c", f"exec env {command}"],
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def write(self, block: Block) -> None:
        """Add a block to the file that its caption names."""
        with (self.folder / block.caption).open("a", encoding="utf-8") as file:
            file.write("\n" + block.body)

    def answers(self, url: str, seconds: float = 120.0) -> bool:
        """Whether the address answers 200 in time, while every server runs."""

        def ok() -> bool:
            assert all(server.poll() is None for server in self.servers), self.logs()
            with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=10) as answer:
                return bool(answer.status == 200)
            return False

        return until(ok, seconds)

    def logs(self) -> str:
        """What the servers said."""
        return "\n".join(place.read_text(errors="replace")[-3000:] for place in self.folder.glob("server-*.log"))

    def stop(self) -> None:
        """Stop the servers and all they started."""
        for server in self.servers:
            server.terminate()
        for server in self.servers:
            with suppress(subprocess.TimeoutExpired):
                server.wait(60)
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        self.servers.clear()
