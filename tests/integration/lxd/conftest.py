"""What the tests against a real LXD share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.private_lxd import PrivateLxd, private_lxd
from supervisor.gateways.lxd import Lxd
from supervisor.runners.instances import instance_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

# A guest that does nothing until it is stopped; SIGPWR does not end its script.
IDLE = "echo the guest is up\nexec sleep 3600\n"


@pytest.fixture
def request_for(real_lxd: PrivateLxd) -> Callable[..., dict[str, Any]]:
    """Build the request of a container: `request_for(name, user_data="...", key="value")`."""

    def build(name: str, user_data: str = IDLE, **metadata: str) -> dict[str, Any]:
        keys = {f"user.supervisor.{key}": value for key, value in metadata.items()}
        return instance_request(real_lxd.template(), name=name, user_data=user_data, metadata=keys)

    return build


@pytest.fixture(scope="module")
def fragile() -> Iterator[PrivateLxd]:
    """A LXD that tests may kill and pause."""
    with private_lxd(timeout_s=30) as made:
        yield made


@pytest.fixture
def fragile_lxd(fragile: PrivateLxd) -> Iterator[Lxd]:
    gateway = Lxd(fragile.endpoint)
    yield gateway
    fragile.daemon.resume()
    fragile.daemon.start()
    for instance in gateway.instances():
        gateway.delete(instance.name, limit_s=30)


@pytest.fixture
def hasty_lxd(fragile_lxd: Lxd) -> Lxd:
    """Another gateway to it, which gives up after a second.

    For what LXD is not to answer: on a busy machine it may take as long for all else.
    """
    return Lxd(replace(fragile_lxd.endpoint, timeout_s=1))


@pytest.fixture
def fragile_request(fragile: PrivateLxd) -> Callable[..., dict[str, Any]]:
    def build(name: str, user_data: str = IDLE) -> dict[str, Any]:
        return instance_request(fragile.template(), name=name, user_data=user_data, metadata={})

    return build


@pytest.fixture
def in_thread() -> Iterator[Callable[..., Future[Any]]]:
    """Run something in a thread of its own."""
    threads = ThreadPoolExecutor(4)
    yield threads.submit
    threads.shutdown(wait=False)
