"""A build that is killed leaves nothing that is used, and nothing that stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from image_stand import Stand
from waiting import eventually

from sandbox.private_lxd import private_lxd
from supervisor.gateways.lxd import Lxd, OperationFailed
from supervisor.work.image import ImageFailed, Look

pytestmark = pytest.mark.usefixtures("short")

_ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("phase", "delay_s"),
    [
        ("making instance web-image-build", 0.1),
        ("provisioning", 0.2),
        ("publishing", 0.1),
        ("making instance web-image-check", 0.1),
        ("verifying", 0.3),
    ],
)
def test_a_build_that_is_killed_is_cleaned_up_and_the_last_good_image_stays(
    stand: Stand, phase: str, delay_s: float
) -> None:
    good = stand.built()
    _kill_build(stand, phase, delay_s)
    look = stand.work().look(stand.application)
    assert isinstance(look, Look)
    assert (look.choice.use, look.choice.build) == (good.fingerprint, False)
    assert not isinstance(stand.work().clean_up(), ImageFailed)
    eventually(lambda: not _operations(stand.lxd))  # what LXD was at when nobody waited any more
    assert not isinstance(stand.work().clean_up(), ImageFailed)
    assert stand.half_made() == []
    assert stand.listing() == [good.fingerprint]


def test_the_next_build_removes_what_the_killed_one_has_left(stand: Stand) -> None:
    _kill_build(stand, "verifying", 0.2)
    assert stand.half_made() != []
    image = stand.built()
    assert stand.half_made() == []
    assert stand.listing() == [image.fingerprint]


def test_what_lxd_does_not_let_go_of_keeps_nobody_from_a_build(stand: Stand) -> None:
    _kill_build(stand, "verifying", 0.2)
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


def _kill_build(stand: Stand, phase: str, delay_s: float) -> None:
    """Have a process build an image, and kill it when it has come to a phase."""
    made = stand.made
    told = {
        "socket": str(made.endpoint.find_socket()),
        "archive": str(stand.archive),
        **{key: getattr(made, key) for key in ("project", "pool", "network", "profile", "image")},
    }
    with subprocess.Popen(
        [sys.executable, str(_ROOT / "tests/image_builder_process.py"), json.dumps(told)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'tests'}"},
    ) as process:
        assert process.stdout is not None
        reached = any(line.startswith(f"phase: {phase}") for line in process.stdout)
        time.sleep(delay_s)  # the moment within the phase is what differs
        process.kill()
    assert reached


def _operations(lxd: Lxd) -> list[object]:
    found = lxd._call("list operations", "get", "operations").metadata or {}
    return [one for state in ("running", "pending") for one in found.get(state) or ()]
