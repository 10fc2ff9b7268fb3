"""The host's memory, as the kernel tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.gateways import host_memory
from supervisor.gateways.host_memory import Memory


def test_this_host_has_memory_and_some_of_it_is_available() -> None:
    seen = host_memory.read()
    assert seen is not None
    assert 0 < seen.available < seen.total


def test_the_kernel_counts_in_kibibytes(tmp_path: Path) -> None:
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 4 kB\nMemFree: 1 kB\nMemAvailable: 2 kB\nHugePages_Total: 0\n")
    assert host_memory.read(told) == Memory(4096, 2048)


@pytest.mark.parametrize("text", [None, "", "MemTotal: 4 kB\n", "MemTotal: x\nMemAvailable: y\n"])
def test_what_the_kernel_does_not_tell_is_not_known(tmp_path: Path, text: str | None) -> None:
    told = tmp_path / "meminfo"
    if text is not None:
        told.write_text(text)
    assert host_memory.read(told) is None
