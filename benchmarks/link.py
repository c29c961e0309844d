"""A link with latency between two network namespaces, made with netdelay.c."""

import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CLIENT, SERVER = "10.78.0.1", "10.78.0.2"
CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Link:
    """Two namespaces. ``rtt`` in ms; without latency there is no link: client and server share one namespace."""

    client: str
    server: str
    rtt: float
    host: str
    device: str


def missing() -> str:
    """Say what a link needs and this machine lacks; empty: nothing."""
    if os.geteuid() != 0:
        return "namespaces need root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    for program in ("ip", "cc"):
        if not any((Path(folder) / program).exists() for folder in os.environ["PATH"].split(":")):
            return f"there is no {program}"
    return ""


@contextmanager
def link(rtt: float, work: Path, loss: float = 0) -> Iterator[Link]:
    """Make the namespaces and, for a latency above 0, the link, which loses ``loss`` per cent of all packets.

    Both go away at the end.
    """
    client, server = f"bench-client-{os.getpid()}", f"bench-server-{os.getpid()}"
    for name in (client, server):
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
    process = None
    try:
        if not rtt:
            yield Link(server, server, 0, "127.0.0.1", "lo")
            return
        process = delay(client, server, rtt, work, loss)
        for name, device, address in ((client, "tunA", CLIENT), (server, "tunB", SERVER)):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", device)
            ip("-n", name, "link", "set", device, "txqueuelen", "10000", "up")
        yield Link(client, server, rtt, SERVER, "tunA")
    finally:
        if process:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
        for name in (client, server):
            ip("netns", "del", name)


def delay(client: str, server: str, rtt: float, work: Path, loss: float = 0) -> "subprocess.Popen[bytes]":
    program = work / "netdelay"
    if not program.exists():
        subprocess.run(["cc", "-O2", "-o", str(program), str(HERE / "netdelay.c")], check=True)
    command = [str(program), client, "tunA", server, "tunB", str(rtt / 2), str(loss)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout
    if process.stdout.readline() != b"ready\n":
        raise RuntimeError("netdelay did not start")
    return process


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Let this thread, and the processes that it starts, live in a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as home, Path(f"/run/netns/{namespace}").open() as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


def measured_rtt(link: Link) -> float:
    """Return the round trip in ms that a connection over the link takes."""
    with inside(link.server):
        listener = socket.create_server((link.host, 0))
    with listener, inside(link.client):
        took = []
        for _ in range(5):
            started = time.monotonic()
            socket.create_connection(listener.getsockname(), 5).close()
            took.append(time.monotonic() - started)
    return min(took) * 1000
