"""The ground on which packets are sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from packets import Ground, listening, listening_in

from sandbox.namespaces import neighbourhood
from supervisor.gateways.nftables import Nftables


@pytest.fixture(scope="module", params=["routed", "bridged"])
def lasting_ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """A neighbourhood, without br_netfilter and with it, where the kernel has it."""
    with neighbourhood() as there, listening(there) as listeners:
        bridged = request.param == "bridged" and there.host.bridge_netfilter(on=True)
        if not bridged:
            there.host.bridge_netfilter(on=False)
        yield Ground(
            there,
            listeners,
            Nftables((*there.host.prefix, "nft"), listen=listening_in(there.host)),
            bridged,
        )


@pytest.fixture
def ground(lasting_ground: Ground) -> Iterator[Ground]:
    """The same, without any table."""
    yield lasting_ground
    lasting_ground.there.host.run("nft", "flush", "ruleset")
