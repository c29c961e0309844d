"""Ports for the servers of tests.

A port that the system picks may be given to any outgoing connection a moment later, also while a server is down for a
restart. These lie below the system's range, and a lock keeps two test processes from picking the same one.
"""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

FIRST, BEYOND = 15_000, 32_000

_chance = random.SystemRandom()
_taken: set[int] = set()
_locks: list[int] = []
"""One descriptor, open to the end of this process: closing it would let all locks go."""


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on and that no other test process is given as long as this one lives."""
    for _ in range(1000):
        port = _chance.randrange(FIRST, BEYOND)
        if port not in _taken and _lock(port):
            _taken.add(port)
            if _is_free(host, port):
                return port
    raise RuntimeError("No free port was found.")


def free_ports(count: int) -> list[int]:
    """Return several, all different."""
    return [free_port() for _ in range(count)]


def _lock(port: int) -> bool:
    if not _locks:
        place = Path(tempfile.gettempdir()) / f"ftp-deploy-test-ports-{os.getuid()}"
        _locks.append(os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    try:
        fcntl.lockf(_locks[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
