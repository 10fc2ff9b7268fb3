"""Give the actors' tests their world, and what guests report to in it."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator

import pytest
from fake_world import World, make_world
from ports import free_port
from signal_service import Service

__all__ = ["make_world"]


@pytest.fixture
def service(make_world: Callable[..., World]) -> Service:
    return Service(make_world(signals={"port": free_port()}))


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
