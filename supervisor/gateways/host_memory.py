"""The memory of this host, as the kernel tells it."""

from dataclasses import dataclass
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Memory:
    """Memory, in bytes.

    Attributes:
        total: all that there is.
        available: what could be had by new processes without swapping.
    """

    total: int
    available: int


def read(path: Path = _MEMINFO) -> Memory | None:
    """Read it; None where the kernel does not tell it."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        told = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
        return Memory(told["MemTotal"] * 1024, told["MemAvailable"] * 1024)
    except (OSError, ValueError, LookupError):
        return None
