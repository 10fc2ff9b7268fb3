"""What a measurement depends on besides the code: the machine, and what else it is doing."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What a process has used so far, as the kernel counts it.

    Attributes:
        cpu_s: Processor time of all its threads, in user and kernel mode.
        resident_mib: Memory that is in RAM.
        threads: How many there are.
    """

    cpu_s: float
    resident_mib: float
    threads: int


def usage(pid: int) -> Usage:
    """Read it.

    Raises:
        OSError: There is no such process.
    """
    directory = Path(f"/proc/{pid}")
    # The second field, the program's name in brackets, may hold anything.
    fields = (directory / "stat").read_text().rpartition(")")[2].split()
    status = dict(
        line.split(":", 1)
        for line in (directory / "status").read_text().splitlines()
        if ":" in line
    )
    return Usage(
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS_PER_S,
        resident_mib=int(status["VmRSS"].split()[0]) / 1024,
        threads=int(status["Threads"]),
    )


def facts() -> dict[str, Any]:
    """Describe the machine."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": load(),
    }


def load() -> float:
    """Return the load average of the last minute."""
    return round(os.getloadavg()[0], 2)
