"""The page with the tables, as reStructuredText: one table for each case and server, one line for each tool."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.tree import CASES

Row = Mapping[str, Any]

INTRODUCTION = """\
Benchmarks
==========

How long it takes to put a tree on a server, side by side with the tools that people use, one after the other on one
machine. Absolute seconds differ between machines; compare within a table. ``benchmarks/README.rst`` says how each
figure is measured and how to repeat it.

Ours uploads under temporary names, checks the size of every file on the server (and its hash, where the server can),
and then switches all of them over with renames. The others write the live names and check nothing. Our time runs from
the start of connecting to the last rename; the time of the others is that of their process.

Time
    Seconds for each round trip of the link, and in brackets how many times as fast as ``lftp`` in the same run.
    "~": the tool was stopped at a limit, or sent a sample, and its time is scaled up from the files that had arrived.
Switch
    Seconds from the first to the last rename: how long the site is a mix of old and new.
Commands, round trips
    For one file, counted at the socket. Round trips are the time for which the control connections were open, all
    together, logging in and making directories included.
Memory
    The peak of the largest process, in MB.

Switch, commands, round trips and memory are those of the run with 20 ms. Over SFTP ours has one connection, and up to
four for large files on long links.
"""
PROTOCOLS = {"ftp": "FTP", "ftps": "FTPS, TLS 1.3", "ftps12": "FTPS, TLS 1.2", "sftp": "SFTP"}
TOOLS = ("ours", "lftp", "rclone", "git-ftp", "npm", "2014")
NAMES = {"npm": "@samkirkland/ftp-deploy", "2014": "algorithm of 2014"}
DETAILS_AT = 20.0
"""The round trip, in ms, of which a line shows the further figures."""


def page(rows: list[Row], versions: Mapping[str, str], about: Mapping[str, str], command: str, remark: str) -> str:
    """Return the whole page."""
    parts = [
        INTRODUCTION,
        f"Run on {about['date']}: {about['machine']}. {remark}".rstrip() + "\n",
        "\n".join(f"- {NAMES.get(name, name)}: {version}" for name, version in versions.items()) + "\n",
    ]
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["case"], row["protocol"], row["server"]), []).append(row)
    previous = ""
    for (case, protocol, server), group in sorted(groups.items(), key=lambda one: order(one[0])):
        if case != previous:
            title = CASES[case].title[0].upper() + CASES[case].title[1:]
            parts.append(f"{title}\n{'-' * len(title)}\n")
            previous = case
        parts.append(table(f"{PROTOCOLS[protocol]}, {server}", group))
    parts.append(f"The commands\n------------\n\n::\n\n    {command}\n")
    return "\n".join(parts)


def order(key: tuple[str, str, str]) -> tuple[Any, ...]:
    case, protocol, server = key
    return list(CASES).index(case), list(PROTOCOLS).index(protocol), server != "vsftpd", server


def table(title: str, rows: list[Row]) -> str:
    """Return the table of one case on one server; columns that are empty in all lines are left out."""
    trips = sorted({row["rtt"] for row in rows})
    head = ["tool", *(f"{trip:g} ms" if trip else "loopback" for trip in trips)]
    head += ["switch", "commands", "round trips", "memory"]
    tools: dict[tuple[str, int], dict[float, Row]] = {}
    for row in sorted(rows, key=lambda row: (TOOLS.index(row["tool"]), row["connections"])):
        tools.setdefault((row["tool"], row["connections"]), {})[row["rtt"]] = row
    base = {row["rtt"]: row["seconds"] for row in rows if row["tool"] == "lftp"}
    lines = [line(tool, connections, found, trips, base) for (tool, connections), found in tools.items()]
    used = [number for number in range(len(head)) if any(one[number] for one in lines)]
    text = [f".. csv-table:: {title}", f"   :header: {as_csv(head[number] for number in used)}", ""]
    text += [f"   {as_csv(one[number] for number in used)}" for one in lines]
    return "\n".join([*text, "", *notes(rows)])


def line(
    tool: str, connections: int, found: Mapping[float, Row], trips: list[float], base: Mapping[float, float | None]
) -> list[str]:
    """Return the cells of one tool."""
    detail = found.get(DETAILS_AT) or next(iter(found.values()))
    return [
        f"{NAMES.get(tool, tool)}, {connections} connection{'s' * (connections != 1)}",
        *(time(found[trip], base.get(trip)) if trip in found else "" for trip in trips),
        number(detail["switch"], 2),
        number(detail["commands"], 1),
        number(detail["round_trips"], 1),
        number(detail["rss"] / 1e6 if detail["rss"] else None, 0),
    ]


def time(row: Row, base: float | None) -> str:
    """Return the seconds and the ratio to lftp."""
    seconds = row["seconds"]
    if seconds is None:
        return f"> {row['wall']:.0f}" if row["note"].startswith("stopped") else "failed"
    about = "~" if "scaled up" in row["note"] else ""
    text = f"{about}{seconds:.0f}" if about or seconds >= 100 else f"{seconds:.2f}"
    return text + (f" ({base / seconds:.2f})" if base and row["tool"] != "lftp" else "")


def notes(rows: list[Row]) -> list[str]:
    """Say below the table what has to be said about single figures."""
    found = [
        f"- {NAMES.get(row['tool'], row['tool'])} at {row['rtt']:g} ms: {row['note']}." for row in rows if row["note"]
    ]
    return [*found, ""] if found else []


def as_csv(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="").writerow(cells)
    return text.getvalue()


def number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
