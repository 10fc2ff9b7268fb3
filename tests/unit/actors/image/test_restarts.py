"""What the image's actor finds after its own end, and what it tells a fleet that starts anew."""

from __future__ import annotations

from typing import Any

import pytest
from fake_actors import image_of
from waiting import eventually

from supervisor.messages.image import AnnounceImage
from supervisor.messages.upgrades import ApplicationChanged
from supervisor.supervision import Crash
from tests.unit.actors.image.play import NEWER, PREPARED, FakeWork, Play, built


def test_after_a_crash_during_a_build_it_finds_what_was_built(building: Play) -> None:
    gate = building.scene.hold("build")
    building.run()
    eventually(lambda: building.scene.builds)
    building.tell(Crash("a test"))
    eventually(lambda: len(building.asked) == 8)
    building.furnish()
    gate.set()
    eventually(lambda: building.scene.images)
    building.starts_from(building.newest.fingerprint)
    building.settle()
    assert len(building.scene.builds) == 1


def test_after_a_crash_during_a_build_runners_start_from_the_image_of_before(
    building: Play,
) -> None:
    first = built(building)
    gate = building.scene.hold("build")
    building.tell(ApplicationChanged(NEWER))
    eventually(lambda: len(building.scene.builds) == 2)
    building.fleet.clear()
    building.tell(Crash("a test"))
    building.starts_from(first.fingerprint)
    building.furnish()
    gate.set()
    eventually(lambda: len(building.scene.images) == 2)
    building.starts_from(building.newest.fingerprint)


def test_a_fault_of_ours_in_its_work_restarts_it(
    building: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    bugs = [RuntimeError("a bug")]
    sound = FakeWork.clean_up

    def clean_up(work: FakeWork, in_use: frozenset[str]) -> Any:
        if bugs:
            raise bugs.pop()
        return sound(work, in_use)

    monkeypatch.setattr(FakeWork, "clean_up", clean_up)
    building.run(furnished=False)
    eventually(lambda: len(building.asked) == 8)
    building.furnish()
    eventually(lambda: building.scene.images)
    building.starts_from(building.newest.fingerprint)


def test_a_fleet_that_starts_anew_is_told_again(prepared: Play) -> None:
    prepared.run()
    prepared.starts_from(PREPARED)
    prepared.settle()
    prepared.fleet.clear()
    prepared.tell(AnnounceImage())
    eventually(lambda: prepared.fleet == [image_of(PREPARED)])
