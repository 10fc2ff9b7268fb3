"""What the actors' tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fake_world import LIMIT_S, World
from loguru import logger


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    worlds: list[World] = []
    logged: list[str] = []
    sink = logger.add(logged.append, level="DEBUG", format="{message}")

    def make(**config: Any) -> World:
        given = {key.replace("_", "-"): value for key, value in config.items()}
        worlds.append(World(**given))
        worlds[-1].logged = logged
        return worlds[-1]

    yield make
    for world in worlds:
        for gate in world.lxd.gates.values():
            gate.set()
        world.system.stop(LIMIT_S)
        for stream in world.lxd.streams:
            stream.close()
    logger.remove(sink)
