from __future__ import annotations

import pytest

from sandbox.lxd_emulator import objects
from sandbox.lxd_emulator.clock import stamp
from sandbox.lxd_emulator.errors import LxdError
from sandbox.lxd_emulator.state import ServerState, check_match, furnish


def test_a_project_without_a_feature_uses_the_default_projects() -> None:
    state = ServerState()
    objects.make_project(state, {"name": "p1", "config": {"features.images": "false"}})
    assert state.project_for("images", "p1") == "default"
    assert state.project_for("profiles", "p1") == "p1"
    assert ("p1", "default") in state.profiles


def test_a_network_without_an_address_gets_the_loopbacks() -> None:
    state = ServerState()
    network = objects.make_network(state, {"name": "br0"})
    assert network.config["ipv4.address"] == "127.0.0.1/8"


def test_what_is_used_stays() -> None:
    state = ServerState()
    furnish(state)
    with pytest.raises(LxdError, match="currently in use"):
        objects.delete_pool(state, state.pools["default"])
    with pytest.raises(LxdError, match="currently in use"):
        objects.delete_network(state, state.networks["lxdbr0"])


@pytest.mark.parametrize("value", ["zz", "10.0.0.1", "10.0.0.1/99"])
def test_a_bridge_needs_a_real_address(value: str) -> None:
    with pytest.raises(LxdError, match=f"invalid CIDR address: {value}"):
        objects.make_network(ServerState(), {"name": "br0", "config": {"ipv4.address": value}})


def test_a_change_of_something_that_has_changed_is_refused() -> None:
    check_match(None, "abc")
    check_match('"abc"', "abc")
    with pytest.raises(LxdError, match="ETag doesn't match: abc vs x"):
        check_match('"x"', "abc")


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (1_000_000_007, "1970-01-01T00:00:01.000000007Z"),
    ],
)
def test_times_are_printed_as_go_does(nanoseconds: int, text: str) -> None:
    assert stamp(nanoseconds) == text
