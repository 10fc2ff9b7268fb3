"""A build that is killed leaves nothing that is used, and nothing that stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from image_stand import Stand
from waiting import eventually

from sandbox.private_lxd import private_lxd
from supervisor.gateways.lxd import Lxd, OperationFailed
from supervisor.work.image import ImageFailed, Look

pytestmark = pytest.mark.usefixtures("short")

_ROOT = Path(__file__).parents[3]
_STAYS_IN = frozenset({"provisioning", "verifying"})
"""The phases that the process can stay in for ever, and says that it does."""


@pytest.mark.parametrize(
    "phase",
    [
        "making instance web-image-build",
        "provisioning",
        "publishing",
        "making instance web-image-check",
        "verifying",
    ],
)
def test_a_build_that_is_killed_is_cleaned_up_and_the_last_good_image_stays(
    stand: Stand, phase: str
) -> None:
    good = stand.built()
    _kill_build(stand, phase)
    look = stand.work().look(stand.application)
    assert isinstance(look, Look)
    assert (look.choice.use, look.choice.build) == (good.fingerprint, False)
    assert not isinstance(stand.work().clean_up(), ImageFailed)
    eventually(lambda: not _operations(stand.lxd))  # what LXD was at when nobody waited any more
    assert not isinstance(stand.work().clean_up(), ImageFailed)
    assert stand.half_made() == []
    assert stand.listing() == [good.fingerprint]


def test_the_next_build_removes_what_the_killed_one_has_left(stand: Stand) -> None:
    _kill_build(stand, "verifying")
    assert stand.half_made() != []
    image = stand.built()
    assert stand.half_made() == []
    assert stand.listing() == [image.fingerprint]


def test_what_lxd_does_not_let_go_of_keeps_nobody_from_a_build(stand: Stand) -> None:
    _kill_build(stand, "verifying")
    before = [name for name in stand.half_made() if name.startswith("web-image-")]

    class Holding(Lxd):
        def delete(self, name: str, *, limit_s: float) -> bool:
            if name in before:
                raise OperationFailed(f"could not delete instance {name}: LXD says: busy")
            return super().delete(name, limit_s=limit_s)

    stand.lxd = Holding(stand.made.endpoint)
    assert stand.built().verified
    assert [name for name in stand.half_made() if name.startswith("web-image-")] == before


def test_a_lxd_that_dies_meanwhile_is_an_outage_and_the_build_is_cleaned_up_later(
    tmp_path: Path,
) -> None:
    archive = tmp_path / "application.tar.gz"
    archive.write_bytes(b"an application")
    own = tmp_path / "own"
    own.write_text("#!/bin/sh\necho now\nsleep 60\n")
    with private_lxd(timeout_s=5) as made:
        stand = Stand(Lxd(made.endpoint), made, archive)

        class Killing(list[str]):
            def append(self, line: str) -> None:
                if line == "now":
                    made.daemon.kill()

        stand.said = Killing()
        failed = stand.ensure(stand.work(script=own))
        assert isinstance(failed, ImageFailed)
        assert failed.outage, failed
        made.daemon.start()
        assert stand.half_made() != []
        removed = stand.work().clean_up()
        assert not isinstance(removed, ImageFailed)
        assert len(removed) == 1
        assert stand.half_made() == []


def _kill_build(stand: Stand, phase: str) -> None:
    """Have a process build an image, and kill it in the middle of a phase."""
    made = stand.made
    told = {
        "socket": str(made.endpoint.find_socket()),
        "archive": str(stand.archive),
        "stays_in": phase,
        **{key: getattr(made, key) for key in ("project", "pool", "network", "profile", "image")},
    }
    with subprocess.Popen(
        [sys.executable, str(_ROOT / "tests/image_builder_process.py"), json.dumps(told)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'tests'}"},
    ) as process:
        assert process.stdout is not None
        sign = f"{'stays in' if phase in _STAYS_IN else 'phase:'} {phase}"
        try:
            assert any(line.startswith(sign) for line in process.stdout)
            eventually(lambda: phase in _STAYS_IN or _has_begun(stand, phase))
        finally:
            process.kill()


def _has_begun(stand: Stand, phase: str) -> bool:
    """Tell whether LXD is at what the phase is about, or has done it."""
    made = stand.half_made()
    if phase == "publishing":
        image = any(not one.startswith("web-image-") for one in made)
        return image or bool(_operations(stand.lxd))
    return any(one.startswith(phase.removeprefix("making instance ")) for one in made)


def _operations(lxd: Lxd) -> list[object]:
    found = lxd._call("list operations", "get", "operations").metadata or {}
    return [one for state in ("running", "pending") for one in found.get(state) or ()]
