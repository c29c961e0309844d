"""The page with the tables, as reStructuredText."""

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.tree import CASES

Row = Mapping[str, Any]

INTRODUCTION = """\
Benchmarks
==========

How long it takes to put a tree on a server, side by side with the tools that people use, one after the other on one
machine. Each table is one run.
Absolute seconds differ between machines; compare within a table. ``benchmarks/README.rst`` says what is measured and
how to repeat it.

Ours uploads under temporary names, checks the size of every file on the server and then switches all of them over with
renames; the others write the live names. Its time runs from connecting to the last rename. The time of the others is
that of their process. Over SFTP ours has one connection, and up to four for large files on long links, whatever the
number of connections that it is allowed.
"""
COLUMNS = (
    "tool",
    "connections",
    "seconds",
    "lftp = 1",
    "complete",
    "switch, s",
    "commands per file",
    "round trips per file",
    "peak memory, MB",
    "note",
)


def page(rows: list[Row], versions: Mapping[str, str], about: Mapping[str, str], command: str, remark: str) -> str:
    """Return the whole page."""
    parts = [
        INTRODUCTION,
        f"Run on {about['date']}: {about['machine']}. {remark}".rstrip() + "\n",
        f"::\n\n    {command}\n",
    ]
    parts.append("\n".join(f"- {name}: {version}" for name, version in versions.items()) + "\n")
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["case"], row["protocol"], row["server"], row["rtt"]), []).append(row)
    previous = ""
    for (case, protocol, server, rtt), group in sorted(groups.items(), key=lambda one: order(one[0])):
        if case != previous:
            title = CASES[case].title[0].upper() + CASES[case].title[1:]
            parts.append(f"{title}\n{'-' * len(title)}\n")
            previous = case
        where = f"{rtt:g} ms round trip" if rtt else "loopback, no latency"
        parts.append(f"{protocol.upper()}, {server}, {where}:\n")
        parts.append(table(group))
    return "\n".join(parts)


def order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    case, protocol, server, rtt = key
    return list(CASES).index(case), ("ftp", "ftps", "sftp").index(protocol), server, rtt


def table(rows: list[Row]) -> str:
    """Return a list-table of one group; columns that are empty in all rows are left out."""
    base = next((row["seconds"] for row in rows if row["tool"] == "lftp"), None)
    lines = [cells(row, base) for row in rows]
    used = [number for number in range(len(COLUMNS)) if any(line[number] for line in lines)]
    text = [".. list-table::", "   :header-rows: 1", ""]
    for line in [list(COLUMNS), *lines]:
        text += list_row(line[number] for number in used)
    return "\n".join(text) + "\n"


def list_row(values: Iterable[str]) -> list[str]:
    return [f"   {'* -' if not number else '  -'} {value}".rstrip() for number, value in enumerate(values)]


def cells(row: Row, base: float | None) -> list[str]:
    seconds = row["seconds"]
    return [
        row["tool"],
        str(row["connections"]),
        f"{seconds:.2f}" if seconds is not None else "failed",
        f"{base / seconds:.2f} times as fast" if base and seconds else "",
        f"{row['complete']} of {row['files']}" if row["files"] else "",
        number(row["switch"], 2),
        number(row["commands"], 1),
        number(row["round_trips"], 1),
        number(row["rss"] / 1e6 if row["rss"] else None, 0),
        row["note"],
    ]


def number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
