"""Many browsers that watch one running deploy: each asks as the page's script does, with the tag of its last answer."""

import asyncio
import gzip
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]
CODE = Path(__file__).with_name("pages_watchers.py")
MOVE = """
import sys, time
import django
django.setup()
from django.utils import timezone
from ftp_deploy.models import Deploy, LogLine
deploy = Deploy.objects.get(state="running")
ends = time.monotonic() + float(sys.argv[1])
turn = 0
while time.monotonic() < ends:
    turn += 1
    done = 2000 + turn % 2500
    values = {"files_done": done, "bytes_done": done * 48200, "current_file": f"picture-{done}.webp"}
    Deploy.objects.filter(pk=deploy.pk).update(**values)
    LogLine.objects.create(deploy=deploy, at=timezone.now(), level="info", text=f"Uploaded picture-{done}.webp")
    time.sleep(0.5)
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """What the watchers cost. ``web`` and ``database`` are shares of one core; times in ms."""

    watchers: int
    seconds: float
    answers: int
    unchanged: int
    failed: int
    web: float
    median: float
    tail: float

    def sentence(self) -> str:
        """Return it in words."""
        return (
            f"{self.watchers} watchers for {self.seconds:.0f} s: {self.answers} answers ({self.unchanged} of them 304, "
            f"{self.failed} failed), web process {self.web * 100:.1f} % of one core, "
            f"answers {self.median:.1f} ms median, {self.tail:.1f} ms p95"
        )


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process so far, all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(
    port: int, process: int, path: str, sessions: list[str], seconds: float, environment: Mapping[str, str]
) -> Watched:
    """Let one browser for each session watch, while the deploy moves twice a second; read the web process's CPU time.

    The browsers live in a process of their own: what they cost is not counted.
    """
    mover = subprocess.Popen([sys.executable, "-c", MOVE, str(seconds + 20)], env=environment)
    client = subprocess.Popen(
        [sys.executable, str(CODE), str(port), path, str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert client.stdin
        assert client.stdout
        client.stdin.write(json.dumps(sessions).encode())
        client.stdin.close()
        assert client.stdout.readline() == b"ready\n"
        before, began = cpu_seconds(process), time.monotonic()
        found = json.loads(client.stdout.readline())
        spent, taken = cpu_seconds(process) - before, time.monotonic() - began
        return Watched(len(sessions), taken, web=spent / taken, **found)
    finally:
        client.kill()
        client.wait()
        mover.terminate()
        mover.wait()


class Browsers:
    """The browsers, each with a kept-alive connection and a session of its own."""

    def __init__(self, port: int, path: str, seconds: float) -> None:
        self.port, self.path, self.seconds = port, path, seconds
        self.times: list[float] = []
        self.unchanged = self.failed = 0
        self.ends = 0.0
        self.end = 0
        self.loaded, self.go = asyncio.Semaphore(0), asyncio.Event()

    async def run(self, sessions: list[str]) -> None:
        """Print ``ready`` when all have loaded, then the figures."""
        tasks = []
        for number, session in enumerate(sessions):
            tasks.append(asyncio.create_task(self.watch(session, number / len(sessions))))
            await self.loaded.acquire()  # the first has read the whole log: the others begin where it is
        print("ready", flush=True)
        self.ends = time.monotonic() + self.seconds
        self.go.set()
        await asyncio.gather(*tasks)
        figures = {"answers": len(self.times), "unchanged": self.unchanged, "failed": self.failed}
        tail = statistics.quantiles(self.times, n=20)[18]
        print(json.dumps({**figures, "median": statistics.median(self.times), "tail": tail}))

    async def watch(self, session: str, share: float) -> None:
        """Be one browser: read the log so far, then ask again and again; ``share`` spreads them over the pause."""
        line = await asyncio.open_connection("127.0.0.1", self.port)
        after, tag, asked, again, more = self.end, "", -1, 2.0, True
        while more:
            _, tag, body = await self.ask(line, session, after, "")
            news = json.loads(body)
            after, more = news["after"], news["more"]
        self.end = after
        self.loaded.release()
        await self.go.wait()
        await asyncio.sleep(again * share)
        while time.monotonic() < self.ends:
            began = time.monotonic()
            status, got, body = await self.ask(line, session, after, tag if asked == after else "")
            self.times.append((time.monotonic() - began) * 1000)
            asked = after
            if status == 200:
                news = json.loads(body)
                tag, after, again = got, news["after"], news["again"]
            self.unchanged += status == 304
            self.failed += status not in (200, 304)
            await asyncio.sleep(again)
        line[1].close()

    async def ask(self, line: Line, session: str, after: int, tag: str) -> tuple[int, str, bytes]:
        """Send one request; return status, tag and body."""
        reader, writer = line
        head = f"GET {self.path}?after={after} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: sessionid={session}\r\n"
        head += "Accept-Encoding: gzip, deflate, br\r\n" + (f"If-None-Match: {tag}\r\n" if tag else "") + "\r\n"
        writer.write(head.encode())
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines[1:])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        return int(lines[0].split()[1]), headers.get("etag", ""), body


if __name__ == "__main__":
    asyncio.run(Browsers(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])).run(json.load(sys.stdin)))
