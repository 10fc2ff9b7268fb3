"""Give the actors' tests their world, and what guests report to in it."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fake_world import World, make_world
from ports import free_port
from signal_service import LIFETIME_S, Service
from tokens_stage import sandbox, stage

from supervisor.actors import signals as signals_actor
from supervisor.actors.listening import ListeningActor
from supervisor.actors.signals import BOUNDS

__all__ = ["make_world", "sandbox", "stage"]


@pytest.fixture
def service(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr(signals_actor, "BOUNDS", replace(BOUNDS, lifetime_s=LIFETIME_S))
    return Service(make_world(signals={"port": free_port()}))


@pytest.fixture
def failed_tries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the reasons why services could not have their addresses, one for each try."""
    reasons: list[str] = []
    fail = ListeningActor.fail

    def failing(actor: ListeningActor, reason: str, **details: Any) -> None:
        reasons.append(reason)
        fail(actor, reason, **details)

    monkeypatch.setattr(ListeningActor, "fail", failing)
    return reasons


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
