"""Processes of the tests: started with a clean environment and a mark, by which all their children are found."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ("PATH", "HOME", "LANG", "CI_RUN_MARK", "COVERAGE_PROCESS_CONFIG")
"""What every process of a test inherits; the last one lets coverage measure it."""


def clean_environment(folder: Path, **more: str) -> dict[str, str]:
    """What ``ftp-deploy`` is given: nothing of the developer's own settings."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "DATA_FOLDER": str(folder), **more}


def spawn(command: list[str], environment: Mapping[str, str], output: Path) -> subprocess.Popen[bytes]:
    """Start a process whose output goes into a file."""
    with output.open("wb") as file:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )


def marked(mark: str) -> list[int]:
    """Return the living processes that inherited ``DEMO_MARK``."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"DEMO_MARK={mark}".encode() in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
        except OSError:
            continue
    return found


def until(true: Callable[[], bool], seconds: float = 240.0) -> bool:
    """Ask ten times a second; return whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
