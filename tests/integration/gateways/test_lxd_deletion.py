"""Deleting an instance that LXD does not let go of at once. Its words were met with a real LXD."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.lxd_emulator import LxdEmulator, OperationFault
from supervisor.gateways.lxd import Lxd, LxdEndpoint, LxdError, OperationFailed, Refused, TimedOut

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NOT_YET = 'container is not running: "runners_one"'
"""Of one that is being started, or whose start has just failed."""


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[LxdEmulator]:
    with LxdEmulator(tmp_path / "lxd.socket", images={"tiny": "container"}) as emulator:
        yield emulator


@pytest.fixture
def lxd(emulator: LxdEmulator) -> Lxd:
    """Have an LXD with a running instance named one."""
    lxd = Lxd(LxdEndpoint(emulator.socket))
    lxd.create({"name": "one", "source": {"type": "image", "alias": "tiny"}}, limit_s=10)
    lxd.start("one", limit_s=10)
    return lxd


@pytest.mark.parametrize(
    "words",
    [_NOT_YET, "The instance is already stopped", 'Instance is busy running a "start" operation'],
)
def test_what_passes_is_waited_for(emulator: LxdEmulator, lxd: Lxd, words: str) -> None:
    emulator.want(OperationFault(way="fail", description="Stopping instance", text=words, times=2))

    assert lxd.delete("one", limit_s=10) is True
    assert lxd.instances() == []


@pytest.mark.parametrize(
    ("words", "limit_s", "kind"),
    [
        (_NOT_YET, 0.3, TimedOut),
        ("The instance is protected", 10, Refused),
        ("The instance is not stopped", 10, OperationFailed),
    ],
)
def test_what_does_not_pass_is_told(
    emulator: LxdEmulator, lxd: Lxd, words: str, limit_s: float, kind: type[LxdError]
) -> None:
    fault = OperationFault(way="fail", description="Stopping instance", text=words, times=None)
    emulator.want(fault)

    with pytest.raises(kind, match=words):
        lxd.delete("one", limit_s=limit_s)
    assert [instance.name for instance in lxd.instances()] == ["one"]
