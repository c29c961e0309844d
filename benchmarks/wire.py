"""What went over the wire: commands and round trips, counted in a capture on the client's side of the link."""

import shutil
import statistics
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.link import Link

SYN, ACK = 2, 16


@dataclass
class Flow:
    """One TCP connection to the server's control port."""

    first: float
    last: float = 0.0
    sent: bytearray = field(default_factory=bytearray)


@dataclass
class Counted:
    """``commands``: lines that the client sent, 0 where encrypted; ``busy``: seconds of all connections together.

    ``round_trip``: seconds from a SYN to its answer, the middle one of all control and data connections.
    """

    connections: int = 0
    commands: int = 0
    busy: float = 0.0
    round_trip: float = 0.0


@contextmanager
def capture(link: Link, port: int, place: Path) -> Iterator[Path | None]:
    """Record the control connections while the block runs; None where that is not possible."""
    if not link.rtt or not shutil.which("tcpdump"):
        yield None
        return
    command = ["ip", "netns", "exec", link.client, "tcpdump", "-i", link.device, "-w", str(place), "-s", "1600"]
    command += ["-B", "16384", "-U", "-Z", "root", "-n"]
    command += [f"tcp port {port} or tcp[tcpflags] & tcp-syn != 0"]
    place.unlink(missing_ok=True)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not place.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        yield place
    finally:
        time.sleep(0.2)
        process.terminate()
        process.wait(20)


def count(place: Path | None, port: int, *, clear: bool) -> Counted:
    """Read a capture."""
    if place is None or not place.exists():
        return Counted()
    flows: dict[bytes, Flow] = {}
    asked: dict[bytes, float] = {}
    took: list[float] = []
    for when, packet in packets(place):
        header = (packet[0] & 15) * 4
        source, destination = struct.unpack_from(">HH", packet, header)
        if packet[header + 13] & SYN:
            if not packet[header + 13] & ACK:
                asked[packet[header : header + 4]] = when
            elif started := asked.pop(packet[header + 2 : header + 4] + packet[header : header + 2], None):
                took.append(when - started)
        if port not in (source, destination):
            continue
        offset = header + (packet[header + 12] >> 4) * 4
        length = struct.unpack_from(">H", packet, 2)[0] - offset
        outgoing = destination == port
        key = packet[12:20] + packet[header : header + 4]
        if not outgoing:
            key = packet[16:20] + packet[12:16] + packet[header + 2 : header + 4] + packet[header : header + 2]
        flow = flows.setdefault(key, Flow(when))
        if length > 0:
            flow.last = when
            if outgoing and clear:
                flow.sent += packet[offset : offset + length]
    used = [flow for flow in flows.values() if flow.last]
    commands = sum(flow.sent.count(b"\r\n") for flow in used)
    return Counted(len(used), commands, sum(flow.last - flow.first for flow in used), statistics.median(took or [0.0]))


def packets(place: Path) -> Iterator[tuple[float, bytes]]:
    """Give time and bytes of the IP packets of a pcap file of a TUN device."""
    data = place.read_bytes()
    at = 24
    while at + 16 <= len(data):
        seconds, micro, kept, _ = struct.unpack_from("<IIII", data, at)
        packet = data[at + 16 : at + 16 + kept]
        at += 16 + kept
        if len(packet) >= 40 and packet[0] >> 4 == 4:
            yield seconds + micro / 1e6, packet
