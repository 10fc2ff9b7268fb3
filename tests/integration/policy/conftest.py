"""The policy's actor, the real service, and a GitHub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import policy_fleet
import pytest
from fake_world import World, make_world
from policy_fleet import GitHub, PolicyFleet, WrongClock
from ports import free_port
from waiting import eventually

from supervisor.actors import policy_here

__all__ = ["make_world"]

Make = Callable[..., PolicyFleet]


@pytest.fixture
def github() -> Iterator[GitHub]:
    with policy_fleet.github() as made:
        yield made


@pytest.fixture
def make(make_world: Callable[..., World], github: GitHub, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Start one that is looked at often; nothing is waited for."""
    monkeypatch.setattr(policy_here, "_EXAMINE_INTERVAL_S", 0.5)

    def start(policy: dict[str, Any] | None = None, **config: Any) -> PolicyFleet:
        settings = {"port": free_port(), "workers": 2, **(policy or {})}
        world = make_world(
            clock=WrongClock(),
            github_url=github.url,
            policy=settings,
            signals={"address": policy_fleet.HOST},
            **config,
        )
        return PolicyFleet(world)

    return start


@pytest.fixture
def fleet(make: Make) -> PolicyFleet:
    """One that is healthy."""
    made = make()
    eventually(lambda: made.healthy)
    return made
