"""The benchmark's own arithmetic: what it counts in a capture, and the page that it writes."""

import struct
from pathlib import Path
from typing import Any

import pytest

from benchmarks import table, wire

PORT = 2121
CLIENT, SERVER = bytes([10, 78, 0, 1]), bytes([10, 78, 0, 2])


def packet(source: int, destination: int, flags: int = 16, content: bytes = b"") -> bytes:
    """Return an IPv4 packet with a TCP segment; the client's ports are the high ones."""
    outgoing = source > destination
    ends = (CLIENT, SERVER) if outgoing else (SERVER, CLIENT)
    internet = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(content), 0, 0, 64, 6, 0, *ends)
    return internet + struct.pack(">HHIIBBHHH", source, destination, 0, 0, 5 << 4, flags, 0, 0, 0) + content


def capture(place: Path, packets: list[tuple[float, bytes]]) -> Path:
    parts = [bytes(24)]
    for when, content in packets:
        parts.append(struct.pack("<IIII", int(when), round(when % 1 * 1e6), len(content), len(content)) + content)
    place.write_bytes(b"".join(parts))
    return place


def test_a_capture_is_counted(tmp_path: Path) -> None:
    """One control connection of a second, two commands, and round trips of 30 ms that the data connections show."""
    place = capture(
        tmp_path / "capture.pcap",
        [
            (1.0, packet(50000, PORT, wire.SYN)),
            (1.03, packet(PORT, 50000, wire.SYN | wire.ACK)),
            (1.1, packet(50000, PORT, content=b"EPSV\r\nSTOR a\r\n")),
            (1.2, packet(50001, 4000, wire.SYN)),
            (1.23, packet(4000, 50001, wire.SYN | wire.ACK)),
            (2.0, packet(PORT, 50000, content=b"226 Complete\r\n")),
            (2.5, packet(50000, PORT)),
        ],
    )
    counted = wire.count(place, PORT, clear=True)
    assert (counted.connections, counted.commands) == (1, 2)
    assert counted.busy == pytest.approx(1.0, abs=0.001)
    assert counted.round_trip == pytest.approx(0.03, abs=0.001)
    assert wire.count(place, PORT, clear=False).commands == 0
    assert wire.count(None, PORT, clear=True) == wire.Counted()


def row(tool: str, seconds: float | None, **more: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "protocol": "ftp", "server": "vsftpd", "rtt": 20.0, "case": "full", "tool": tool, "connections": 8,
        "seconds": seconds, "wall": seconds or 45.0, "switch": None, "commands": None, "round_trips": 3.25,
        "rss": 0, "note": "",
    }  # fmt: skip
    return {**values, **more}


def test_the_page_has_a_line_for_each_tool() -> None:
    rows = [
        row("lftp", 30.0),
        row("ours", 10.0, switch=0.25),
        row("ours", 2.0, rtt=2.0),
        row("npm", 180.0, connections=1, note="stopped after 45 s with 300 of 1271 files there; the time is scaled up"),
        row("2014", None, connections=1, note="stopped after 45 s with 0 of 1271 files there"),
        row("rclone", None, note="3 of 1271 files are not there"),
    ]
    text = table.page(rows, {"lftp": "4.9"}, {"date": "2026-01-01", "machine": "2 x CPU"}, "the command", "A remark.")
    assert ".. csv-table:: FTP, vsftpd" in text
    assert '"ours, 8 connections","2.00","10.00 (3.00)","0.25","3.2"' in text
    assert '"lftp, 8 connections","","30.00","","3.2"' in text
    assert '"@samkirkland/ftp-deploy, 1 connection","","~180 (0.17)"' in text
    assert '"algorithm of 2014, 1 connection","","> 45"' in text
    assert '"rclone, 8 connections","","failed"' in text
    assert "- rclone at 20 ms: 3 of 1271 files are not there." in text
    assert "memory" not in text.split("csv-table")[1]
