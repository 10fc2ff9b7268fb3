"""The ground on which packets are sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from packets import Ground, listening, listening_in
from settling import settle, ways_of

from sandbox.namespaces import neighbourhood
from supervisor.gateways.nftables import Nftables

_KINDS = ("routed", "bridged")
"""Without br_netfilter, and with it, where the kernel has it."""


@contextmanager
def _ground(kind: str) -> Iterator[Ground]:
    with (
        neighbourhood() as there,
        listening(there) as listeners,
        ways_of(there) as ways,
    ):
        bridged = kind == "bridged" and there.host.bridge_netfilter(on=True)
        if not bridged:
            there.host.bridge_netfilter(on=False)
        settle(ways)  # a cable that has just been plugged in carries nothing yet on a busy machine
        nft = Nftables((*there.host.prefix, "nft"), listen=listening_in(there.host))
        yield Ground(there, listeners, ways, nft, bridged)


@pytest.fixture(params=_KINDS)
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """A neighbourhood of the test's own: connections and packets of the one before are not its."""
    with _ground(request.param) as made:
        yield made


@pytest.fixture(scope="module", params=_KINDS)
def lasting_ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """The same for many examples, each of which puts its table in place of the one before."""
    with _ground(request.param) as made:
        yield made
