"""What the processes of a benchmark use, from the kernel's records."""

import os
import time
from contextlib import suppress
from pathlib import Path

from tests.servers.project import Process


def cpu_shares(workers: list[Process]) -> dict[str, float]:
    """Return the CPU time so far of the workers, of what else belongs to this benchmark, and of the whole machine."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    user, nice, system, _idle, _waiting, *interrupts = (int(field) / os.sysconf("SC_CLK_TCK") for field in fields)
    return {
        "workers": sum(cpu_seconds(process) for process in workers),
        "database": cpu_by_name("postgres"),
        "FTP servers": cpu_by_name("vsftpd"),
        "forge and latency": time.process_time(),
        "all": user + nice + system + sum(interrupts[:2]),
    }


def cpu_seconds(process: Process) -> float:
    """Return the CPU time that a process used so far."""
    fields = Path(f"/proc/{process.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_by_name(name: str) -> float:
    """Return the CPU time so far of the processes with this name, and of the children that they had."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            head, _, rest = stat.read_text().rpartition(")")
            if head.endswith(f"({name}"):
                total += sum(map(int, rest.split()[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


def peak(process: Process) -> int:
    """Return the largest resident size of a process so far, in kB."""
    lines = Path(f"/proc/{process.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
