from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.firewall import filters
from supervisor.firewall.filters import Port, bridge_chains, bridge_fault, guest_fault, read

MAC = "00:16:3e:00:00:01"
PORT = Port("runners", "fleet-a", MAC, {"security.mac_filtering": "true"})


def chain(name: str) -> dict[str, Any]:
    return {"chain": {"family": "bridge", "table": "lxd", "name": name, "handle": 7}}


def rule(name: str, *statements: Any, handle: int = 8) -> dict[str, Any]:
    expr = [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "veth1"}}]
    expr += list(statements)
    return {
        "rule": {"family": "bridge", "table": "lxd", "chain": name, "handle": handle}
        | {"expr": expr}
    }


def other_mac(mac: str = MAC) -> dict[str, Any]:
    left = {"payload": {"protocol": "ether", "field": "saddr"}}
    return {"match": {"op": "!=", "left": left, "right": mac}}


def listed(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"nftables": [{"metainfo": {"version": "1.0.6"}}, *entries]}


def whole(port: Port = PORT, handle: int = 8) -> list[dict[str, Any]]:
    entries = []
    for name in port.chains:
        entries += [chain(name), rule(name, other_mac(port.mac), {"drop": None}, handle=handle)]
    return entries


@given(
    st.sampled_from(["default", "runners", "a-b"]),
    st.sampled_from(["default", "runners", "a-b"]),
    st.from_regex(r"[a-z](-?[a-z0-9]){0,20}", fullmatch=True),
)
def test_a_chain_tells_whose_it_is_to_the_project_of_its_instance_alone(
    project: str, other: str, name: str
) -> None:
    for named in replace(PORT, project=project, instance=name).chains:
        assert filters.instance_of(named, project) == name
        assert filters.instance_of(named, other) == (name if other == project else "")


@pytest.mark.parametrize(
    "named",
    ["in.fleet-a.eth1", "out.fleet-a.eth0", "in.fleet-a", "fwd.lxdbr0", "in.a.fleet-a.eth0"],
)
def test_other_chains_are_of_no_instance(named: str) -> None:
    assert filters.instance_of(named, "default") == ""


def test_a_guest_with_both_chains_that_hold_it_to_its_mac_lacks_nothing() -> None:
    assert guest_fault(PORT, read(listed(*whole())), "") == ""


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        ([], "the chain in.runners_fleet-a.eth0 is gone"),
        (whole()[:2], "the chain fwd.runners_fleet-a.eth0 is gone"),
        (
            [entry for entry in whole() if "chain" in entry],
            "the chain in.runners_fleet-a.eth0 does not hold the guest to its MAC",
        ),
        (whole(replace(PORT, mac="00:16:3e:00:00:02")), "does not hold the guest to its MAC"),
        (
            [*whole()[:3], rule("fwd.runners_fleet-a.eth0", other_mac(), {"accept": None})],
            "the chain fwd.runners_fleet-a.eth0 does not hold the guest to its MAC",
        ),
    ],
)
def test_what_a_guest_lacks_is_named(entries: list[dict[str, Any]], fault: str) -> None:
    found = guest_fault(PORT, read(listed(*entries)), "")
    assert fault in found


def test_no_table_at_all_is_that_all_is_gone() -> None:
    assert guest_fault(PORT, read(None), "") == "the chain in.runners_fleet-a.eth0 is gone"


def test_filters_are_held_to_what_they_were_but_for_the_kernels_numbers() -> None:
    before = filters.spelling(PORT, read(listed(*whole())))
    assert guest_fault(PORT, read(listed(*whole(handle=99))), before) == ""
    more = [rule(PORT.chains[0], {"accept": None}), *whole()]
    assert guest_fault(PORT, read(listed(*more)), "") == ""
    assert guest_fault(PORT, read(listed(*more)), before) == "the filters of fleet-a were changed"


def test_chains_of_the_default_project_have_no_projects_name() -> None:
    assert replace(PORT, project="default").chains == ("in.fleet-a.eth0", "fwd.fleet-a.eth0")


@pytest.mark.parametrize(
    ("options", "filtered"),
    [
        ({"security.mac_filtering": "true"}, True),
        ({"security.mac_filtering": "1"}, True),
        ({"security.ipv4_filtering": "Yes"}, True),
        ({"security.ipv6_filtering": "on"}, True),
        ({"security.mac_filtering": "false", "security.port_isolation": "true"}, False),
        ({}, False),
    ],
)
def test_lxd_filters_a_port_if_an_option_says_so(options: dict[str, str], filtered: bool) -> None:
    assert replace(PORT, options=options).filtered is filtered


@pytest.mark.parametrize(
    ("config", "hooks"),
    [
        ({"ipv4.address": "10.9.0.1/24"}, ["in", "out", "fwd"]),
        ({"ipv4.address": "10.9.0.1/24", "ipv4.nat": "true"}, ["in", "out", "fwd", "pstrt"]),
        ({"ipv4.address": "10.9.0.1/24", "ipv4.firewall": "false"}, []),
        ({"ipv4.address": "10.9.0.1/24", "ipv4.firewall": "0", "ipv4.nat": "1"}, ["pstrt"]),
        ({"ipv4.address": "none", "ipv6.address": "fd42::1/64"}, ["in", "out", "fwd"]),
        ({"ipv4.address": "none", "ipv4.nat": "true"}, []),
    ],
)
def test_which_chains_a_bridge_has_depends_on_its_settings(
    config: dict[str, str], hooks: list[str]
) -> None:
    assert bridge_chains("lxdbr0", config) == tuple(f"{hook}.lxdbr0" for hook in hooks)


def test_what_a_bridge_lacks_is_named() -> None:
    names = ("in.lxdbr0", "out.lxdbr0")
    full = [entry for name in names for entry in (chain(name), rule(name, {"accept": None}))]
    assert bridge_fault(names, read(listed(*full))) == ""
    assert bridge_fault(names, read(listed(*full[:3]))) == "the chain out.lxdbr0 is empty"
    assert bridge_fault(names, read(listed(*full[:2]))) == "the chain out.lxdbr0 is gone"
    assert bridge_fault(names, read(None)) == "the chain in.lxdbr0 is gone"
    assert bridge_fault((), read(None)) == ""


@pytest.mark.parametrize("document", [{}, {"nftables": [{"chain": {}}]}, {"nftables": [1]}])
def test_what_is_no_table_is_said(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="nft lists a table in a way that is not known"):
        read(document)
