from __future__ import annotations

from typing import Any

import pytest
from guest_policies import TABLE, a_policy

from supervisor.firewall import live
from supervisor.firewall.addresses import sets
from supervisor.firewall.chains import chains
from supervisor.firewall.live import Counted
from supervisor.firewall.names import COUNTERS, DYNAMIC
from supervisor.firewall.policy import Policy

_POLICY = a_policy(denied="10.0.0.0/8, 192.168.1.0/24, 192.168.2.0/23", allowed="10.5.0.0/16:443")


def _document(policy: Policy) -> dict[str, Any]:
    """Make what nft would list, the rules' meaning apart."""
    entries: list[dict[str, Any]] = [{"metainfo": {"version": "1.0.2"}}, {"table": {"name": TABLE}}]
    entries += [{"counter": {"name": name, "packets": 1, "bytes": 2}} for name in COUNTERS]
    entries += [{"set": {"name": name, "type": "ether_addr"}} for name in DYNAMIC]
    for name, networks in sets(policy).items():
        kind = f"ipv{4 if name.split('-')[0].endswith('4') else 6}_addr"
        elements = [
            {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}
            for network in networks
        ]
        entries.append({"set": {"name": name, "type": kind, "elem": elements}})
    for chain in chains(policy):
        form: dict[str, Any] = {"name": chain.name, "handle": 7}
        if chain.hook:
            form |= {"type": "filter", "hook": chain.hook, "prio": chain.priority}
            form["policy"] = "accept"
        entries.append({"chain": form})
        entries += [
            {"rule": {"chain": chain.name, "comment": rule.comment, "expr": [rule.text]}}
            for rule in chain.rules
        ]
    return {"nftables": entries}


def _set(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        entry["set"] for entry in document["nftables"] if entry.get("set", {}).get("name") == name
    )
    return found


def test_a_table_that_is_as_wanted_has_no_fault() -> None:
    found = live.read(_document(_POLICY))

    assert live.fault(_POLICY, found, None) == ""
    assert live.fault(_POLICY, found, found) == ""


def test_the_same_addresses_may_be_listed_in_other_words() -> None:
    document = _document(_POLICY)
    _set(document, "denied4")["elem"] = [
        {"range": ["10.0.0.0", "10.0.0.99"]},
        {"range": ["10.0.0.100", "10.255.255.255"]},
        {"elem": {"val": {"range": ["192.168.1.0", "192.168.3.255"]}, "comment": "x"}},
    ]

    assert live.fault(_POLICY, live.read(document), None) == ""


def test_of_many_differences_a_few_are_named() -> None:
    document = _document(_POLICY)
    _set(document, "denied4")["elem"] += [f"11.0.0.{2 * number}" for number in range(9)]

    wanted = "the set denied4 holds too much: 11.0.0.0/32, 11.0.0.10/32, 11.0.0.12/32 and 6 more"
    assert live.fault(_POLICY, live.read(document), None) == wanted


def test_a_policy_that_has_changed_is_a_fault_of_the_table() -> None:
    found = live.read(_document(_POLICY))

    more = a_policy(denied="10.0.0.0/8, 11.0.0.0/8", allowed="10.5.0.0/16:443")
    assert live.fault(more, found, found).startswith("the set denied4 lacks 10.0.0.0/7")
    fewer = a_policy(denied="10.0.0.0/8")
    assert "allowed at 443" in live.fault(fewer, found, found)


def test_a_reference_of_another_policy_is_no_reason_to_fail() -> None:
    reference = live.read(_document(a_policy()))

    assert live.fault(_POLICY, live.read(_document(_POLICY)), reference) != ""


def test_a_table_that_is_gone_is_named() -> None:
    assert live.fault(_POLICY, None, None) == f"the table inet {TABLE} is gone"


def test_what_guests_were_refused_is_read_by_their_macs() -> None:
    document = _document(_POLICY)
    counter = {"packets": 5, "bytes": 400}
    _set(document, "rejected")["elem"] = [
        {"elem": {"val": "02:00:00:00:00:02", "expires": 9, "counter": counter}}
    ]

    found = live.read(document)

    assert found.rejected == {"02:00:00:00:00:02": Counted(5, 400)}
    assert (found.refused, found.spoofed, found.flooded, found.answers) == (Counted(1, 2),) * 4


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"nftables": [7]},
        {"nftables": [{"set": {"name": "x", "type": "ipv4_addr", "elem": ["example.com"]}}]},
        {"nftables": [{"rule": {"chain": "x"}}]},
        {"nftables": [{"set": {"name": "rejected", "type": "ether_addr", "elem": [7]}}]},
    ],
)
def test_what_is_no_list_of_a_table_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="nft lists a table in a way that is not known"):
        live.read(document)


@pytest.mark.parametrize(
    "element", ["02:00:00:00:00:07", {"elem": {"val": "02:00:00:00:00:07", "expires": 9}}]
)
def test_a_guest_that_somebody_has_put_among_the_counted_ones_is_named(element: object) -> None:
    document = _document(_POLICY)
    _set(document, "rejected")["elem"] = [element]

    with pytest.raises(ValueError, match=r"^the set rejected holds 02:00:00:00:00:07 without"):
        live.read(document)
