"""The plays of these tests: with a prepared image, and with one that is built."""

from __future__ import annotations

from typing import Any

import pytest
from fake_world import MakeWorld

from tests.unit.actors.image.play import MakePlay, Play


@pytest.fixture
def make_play(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> Any:
    plays: list[Play] = []

    def make(**config: Any) -> Play:
        plays.append(Play(make_world(**config), monkeypatch))
        return plays[-1]

    yield make
    for play in plays:
        for gate in play.scene.gates.values():
            gate.set()


@pytest.fixture
def prepared(make_play: MakePlay) -> Play:
    return make_play()


@pytest.fixture
def building(make_play: MakePlay) -> Play:
    return make_play(lxd={"image": None})
