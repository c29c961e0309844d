"""The results of the pages' benchmark as a page of the documentation."""

import argparse
import os
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.table import as_csv

INTRODUCTION = """\
Benchmarks of the pages
=======================

The dashboard over a large database, as the stand-alone server serves it: one web process, PostgreSQL beside it, all on
one machine. ``benchmarks/README.rst`` says what is measured and how to repeat it.

Queries are those of one request with nothing kept from an earlier one, the session's and the user's included.
Milliseconds are those of the whole answer over the loopback device, one request after the other. HTML is its size
before compression; the weight is everything that Chromium loads for the page with an empty cache, as it comes over the
line.
"""
COLUMNS = ("page", "queries", "median, ms", "95th percentile, ms", "HTML, kB", "weight, kB")


def page(pages: Iterable[Any], seen: Any, given: argparse.Namespace) -> str:
    """Return the whole page."""
    command = "python -m benchmarks pages " + " ".join(sys.argv[1:])
    parts = [
        INTRODUCTION,
        about(given),
        f"::\n\n    {cleaned(command)}\n",
        table(pages),
    ]
    if seen is not None:
        parts.append(f"Watching\n--------\n\n{seen.sentence()}.\n")
    return "\n".join(parts)


def about(given: argparse.Namespace) -> str:
    """Return the sentence that says what was run."""
    return (
        f"Run on {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {given.services:,} services, "
        f"{given.deploys:,} deploys over two years; {given.turns} requests a page. "
        f"Load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.\n"
    )


def cleaned(command: str) -> str:
    """Return the command line without the place of a database, and with the output's name alone."""
    words = command.split()
    kept = [word for number, word in enumerate(words) if "--database" not in (word, words[number - 1])]
    return " ".join(Path(word).name if word.endswith(".rst") else word for word in kept)


def table(pages: Iterable[Any]) -> str:
    """Return the table, one line for each page."""
    text = [".. csv-table::", f"   :header: {as_csv(COLUMNS)}", ""]
    for one in pages:
        weight = "" if one.weight is None else f"{one.weight:.0f}"
        cells = (one.name, str(one.queries), f"{one.median:.0f}", f"{one.tail:.0f}", f"{one.html:.0f}", weight)
        text.append(f"   {as_csv(cells)}")
    return "\n".join(text) + "\n"
