"""Run the benchmark: ``python -m benchmarks.transfer --help``. See README.rst for what is measured and how."""

import argparse
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import link as links
from benchmarks import servers, table, tools, tree, wire
from benchmarks.link import Link
from tests.servers.base import FTPServer, children


@dataclass(frozen=True)
class Result:
    """One tool, once."""

    protocol: str
    server: str
    rtt: float
    case: str
    tool: str
    connections: int
    seconds: float | None
    """From connecting to the last rename for ours, of the whole process for the others; None: it failed."""
    wall: float = 0.0
    files: int = 0
    complete: int = 0
    rss: int = 0
    """Peak resident memory in bytes."""
    switch: float | None = None
    commands: float | None = None
    """Per file."""
    round_trips: float | None = None
    """Per file: the time that the control connections were open, in round trips as the capture saw them."""
    note: str = ""


def main() -> None:
    options = parse()
    if options.merge:
        merge(options)
        return
    lack = links.missing()
    if lack:
        print(f"The benchmark cannot run here: {lack}.")
        return
    results: list[Result] = []
    work = Path(tempfile.mkdtemp(prefix="ftp-deploy-bench-"))
    work.chmod(0o755)
    try:
        for result in run(options, work):
            results.append(result)
            print(json.dumps(asdict(result)), flush=True)
            if options.results:
                Path(f"{options.results}.command").write_text(shlex.join(command()))
                Path(options.results).write_text(json.dumps([asdict(one) for one in results], indent=1))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    write(options, [asdict(one) for one in results], [shlex.join(command())])


def merge(options: argparse.Namespace) -> None:
    """Make one page of the results of several runs; a later run of the same thing replaces an earlier one."""
    rows: dict[tuple[object, ...], dict[str, object]] = {}
    for place in options.merge:
        for row in json.loads(Path(place).read_text()):
            rows[tuple(row[name] for name in ("protocol", "server", "rtt", "case", "tool", "connections"))] = row
    commands = [Path(f"{place}.command").read_text().strip() for place in options.merge]
    write(options, list(rows.values()), commands)


def write(options: argparse.Namespace, rows: list[dict[str, object]], commands: list[str]) -> None:
    """Write the page."""
    used = {row["tool"] for row in rows}
    versions = {name: tool.version() for name, tool in tools.TOOLS.items() if name in used}
    text = table.page(rows, versions, about(), "\n    ".join(commands), options.remark)
    if options.output:
        Path(options.output).write_text(text)
    else:
        print(text)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer", description=__doc__)
    words = {"type": lambda text: text.split(",")}
    parser.add_argument(
        "--protocols", default=["ftp", "ftps", "sftp"], **words, help="of ftp, ftps (TLS 1.3), ftps12 (TLS 1.2), sftp"
    )
    parser.add_argument("--rtt", default=["20"], **words, help="round trips in ms, such as 2,20,80; 0: loopback")
    parser.add_argument("--cases", default=["full", "changed"], **words, help=f"of {', '.join(tree.CASES)}")
    parser.add_argument("--tools", default=list(tools.TOOLS), **words, help=f"of {', '.join(tools.TOOLS)}")
    parser.add_argument("--servers", default=[], **words, help="of vsftpd, proftpd, pure-ftpd, pyftpdlib, sshd")
    parser.add_argument("--connections", default=8, type=int, help="of the other tools")
    parser.add_argument("--our-connections", default=["8"], **words, help="such as 8,16,32; FTP and FTPS only")
    parser.add_argument(
        "--limit",
        default=900.0,
        type=float,
        help="seconds after which a tool is stopped; what it had sent is scaled up",
    )
    parser.add_argument("--repeat", default=1, type=int, help="runs of ours and lftp, of which the best counts")
    parser.add_argument("--results", default="", help="a file for the results as JSON, written as they come")
    parser.add_argument("--merge", default=[], **words, help="make the page of earlier --results and run nothing")
    parser.add_argument("--remark", default="", help="a sentence for the page, such as what else the machine did")
    parser.add_argument("--output", default="", help="a file for the page with the table, such as docs/benchmarks.rst")
    return parser.parse_args()


def command() -> list[str]:
    """Return the command line of this run, without where its results go."""
    hidden = {number for number, word in enumerate(sys.argv) if word in ("--results", "--output")}
    kept = [word for number, word in enumerate(sys.argv) if number and not {number, number - 1} & hidden]
    return ["python", "-m", "benchmarks.transfer", *kept]


def run(options: argparse.Namespace, work: Path) -> Iterator[Result]:
    """Measure everything that was asked for."""
    trees = {}
    for case in options.cases:
        trees[case] = work / f"tree-{case}"
        trees[case].mkdir()
        tree.make(trees[case], case)
    for rtt in map(float, options.rtt):
        with links.link(rtt, work) as link:
            for protocol in options.protocols:
                for name in servers_for(protocol, options.servers):
                    with servers.serve(name, protocol, link, work) as server:
                        for case in options.cases:
                            bench = Bench(options, work, link, protocol, name, server, case, trees[case])
                            yield from bench.results()


def servers_for(protocol: str, asked: list[str]) -> list[str]:
    fitting = [name for name in asked if (name == "sshd") == (protocol == "sftp")]
    return fitting or [servers.FIRST_SERVER[protocol]]


@dataclass
class Bench:
    """One case on one server over one link."""

    options: argparse.Namespace
    work: Path
    link: Link
    protocol: str
    name: str
    server: FTPServer
    case: str
    tree: Path

    @property
    def spoken(self) -> str:
        """The protocol, whatever the version of TLS."""
        return "ftps" if self.protocol == "ftps12" else self.protocol

    def results(self) -> Iterator[Result]:
        for name in self.options.tools:
            tool = tools.TOOLS[name]
            if self.spoken not in tool.protocols or (self.protocol == "ftps12" and not tool.either_tls):
                continue
            why = tools.is_here(tool, self.work)
            if why:
                yield self.blank(name, self.options.connections, why)
                continue
            repeat = self.options.repeat if name in ("ours", "lftp") else 1
            for connections in self.connection_counts(name):
                found = [self.measure(tool, connections) for _ in range(repeat)]
                yield min(found, key=lambda one: (one.seconds is None, one.seconds or 0))

    def connection_counts(self, name: str) -> list[int]:
        if name != "ours":
            return [1 if name in ("git-ftp", "npm", "2014") else self.options.connections]
        return [16] if self.protocol == "sftp" else [int(count) for count in self.options.our_connections]

    def blank(self, tool: str, connections: int, note: str) -> Result:
        return Result(self.protocol, self.name, self.link.rtt, self.case, tool, connections, None, note=note)

    def measure(self, tool: tools.Tool, connections: int) -> Result:
        """Prepare the server, run the tool once, and look at what is there."""
        servers.clear(self.server)
        tree.git(self.tree, "clean", "-q", "-f", "-d")  # some tools leave files of their own in the tree
        scale = 1.0
        job = self.job(tool, connections, first=True)
        if self.case == "changed":
            self.fill(tool, job)
            job = replace(job, paths=tree.change(self.tree), directories=[], first=False)
        elif tool.sample and self.case == "full":
            job = replace(job, paths=job.paths[:: len(job.paths) // tool.sample])
            scale = tree.CASES["full"].files / len(job.paths)
        try:
            return self.timed(tool, job, scale)
        finally:
            if self.case == "changed":
                tree.git(self.tree, "reset", "-q", "--hard", "HEAD~1")

    def job(self, tool: tools.Tool, connections: int, *, first: bool) -> tools.Job:
        paths = sorted(tree.content(self.tree))
        found = {str(parent) for path in paths for parent in Path(path).parents} - {"."}
        directories = sorted(found, key=lambda one: (one.count("/"), one))
        work = self.work / f"job-{tool.name}"
        work.mkdir(exist_ok=True)
        tls = {"ftps": "1.3", "ftps12": "1.2"}.get(self.protocol, "")
        return tools.Job(self.spoken, self.server, self.tree, paths, directories, work, connections, first, tls)

    def fill(self, tool: tools.Tool, job: tools.Job) -> None:
        """Let the tool itself put the whole tree there, without latency: it may keep its own records."""
        if tool.name == "2014":  # keeps no records
            tool = tools.TOOLS["ours"]
        _, _, _, output = self.spawn(tool.command(job), self.link.server, job)
        if self.missing(job.paths):
            print(f"{tool.name} could not fill the server: {output[-300:]}", file=sys.stderr)

    def timed(self, tool: tools.Tool, job: tools.Job, scale: float) -> Result:
        small = self.case in ("full", "changed")
        port = self.server.port
        with wire.capture(self.link, port, self.work / "capture.pcap") if small else nothing() as captured:
            status, wall, rss, output = self.spawn(tool.command(job), self.link.client, job)
        counted = wire.count(captured, port, clear=self.protocol == "ftp")
        files, missing = len(job.paths), self.missing(job.paths)
        sent = files - missing
        phases = json.loads(output) if tool.name == "ours" and not status else {}
        seconds: float | None = phases.get("total", wall) * scale
        notes = [f"scaled up from a sample of {files} files"] if scale != 1 else []
        if status < 0:
            seconds = wall * files / sent * scale if sent else None
            scaled = "; the time is scaled up" if sent else ""
            notes.append(f"stopped after {wall:.0f} s with {sent} of {files} files there{scaled}")
        elif missing:
            seconds = None
            notes.append(f"{missing} of {files} files are not there")
        if status > 0:
            notes.append(f"ended with status {status}")
        trip = counted.round_trip or self.link.rtt / 1000
        return Result(
            self.protocol,
            self.name,
            self.link.rtt,
            self.case,
            tool.name,
            job.connections,
            seconds,
            wall,
            files,
            sent,
            rss,
            phases.get("switch"),
            counted.commands / sent if counted.commands and sent else None,
            counted.busy / trip / sent if counted.busy and sent else None,
            "; ".join(notes) + (f" ({output.strip()[-120:]})" if status > 0 and tool.name == "ours" else ""),
        )

    def missing(self, paths: list[str]) -> int:
        """Return how many files are not on the server with the size that they should have."""
        folder = self.server.folder
        return sum(
            not (folder / path).is_file() or (folder / path).stat().st_size != (self.tree / path).stat().st_size
            for path in paths
        )

    def spawn(self, command: list[str], namespace: str, job: tools.Job) -> tuple[int, float, int, str]:
        """Run a tool; return its exit status, seconds, peak memory in bytes and what it printed."""
        log = job.work / "output"
        with log.open("wb") as output:
            started = time.monotonic()
            process = subprocess.Popen(
                ["ip", "netns", "exec", namespace, *command],
                cwd=self.tree if job.protocol and command[0] == "git" else Path(__file__).parents[1],
                env=tools.environment(self.work),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if command[0] != sys.executable else None,
                start_new_session=True,
            )
            memory = Memory(process.pid)
            while process.poll() is None:
                if time.monotonic() - started > self.options.limit:
                    os.killpg(process.pid, signal.SIGKILL)
                memory.look()
                time.sleep(0.005)
            wall = time.monotonic() - started
        return process.returncode, wall, memory.peak, log.read_text(errors="replace")


class Memory:
    """The peak resident memory of the largest process among a process and its children, in bytes."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.peak = 0
        self._pids = [pid]
        self._looked = 0.0

    def look(self) -> None:
        """Ask the kernel, at most ten times a second. What a process peaked at before its exec does not count."""
        if time.monotonic() - self._looked < 0.1:
            return
        self._looked = time.monotonic()
        self._pids = [self.pid, *children(self.pid)]
        for pid in self._pids:
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            found = re.search(r"VmHWM:\s+(\d+) kB", status)
            if found:
                self.peak = max(self.peak, int(found[1]) * 1024)


class nothing:  # noqa: N801
    """No capture."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def about() -> dict[str, str]:
    """Return what the machine is."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} x {cpu}, {platform.system()} {platform.release()}",
    }


if __name__ == "__main__":
    main()
