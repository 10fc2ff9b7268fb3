from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from supervisor.config import Config, parse
from supervisor.firewall.debug_servers import judged
from supervisor.firewall.intent import policy_of, reachable
from supervisor.firewall.networks import Address
from supervisor.firewall.verdict import Packet, Protocol, Verdict, verdict

BRIDGE = (ip_interface("10.9.0.1/24"), ip_interface("fd42::1/64"))
OWN = tuple(map(ip_network, ("10.9.0.1", "192.168.7.1", "127.0.0.0/8", "fd42::1", "fd77::1")))
HERE = tuple(map(ip_address, ("10.9.0.1", "192.168.7.1", "fd42::1", "fd77::1")))
FINGERPRINT = "SHA256:ovh8Zf0fzPbDnFyfp1Hrl2nOxNDlWcGEkWVaHnRJ2+s"


def configured(host: str, **settings: Any) -> Config:
    server = {
        "host": host,
        "port": 22,
        "rsa-fingerprint": FINGERPRINT,
        "ed25519-fingerprint": FINGERPRINT,
    }
    base = {"name": "fleet", "path": "acme", "token": "s", "ssh-debug": [server]}
    return parse({**base, **settings}, "test")


def obstacle(*addresses: str, **settings: Any) -> str:
    known = {"tmate.example": tuple(map(ip_address, addresses))}
    return judged(configured("tmate.example", **settings), known, OWN)["tmate.example", 22]


@pytest.mark.parametrize("address", ["10.9.0.1", "192.168.7.1", "fd77::1"])
def test_this_host_is_no_server(address: str) -> None:
    assert obstacle(address) == f"{address} is an address of this host"
    assert obstacle(address, allowlist="0.0.0.0/0, ::/0, 10.0.0.0/8:22").endswith("of this host")


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "0.0.0.0"])
def test_what_each_host_has_for_itself_is_no_server(address: str) -> None:
    assert obstacle(address) == f"{address} is nothing that guests could reach"


def test_the_denylist_wins_over_a_server_and_the_allowlist_over_it() -> None:
    denied = {"denylist": "10.0.0.0/8"}
    wanted = "10.5.0.7 is in the denylist, and not in the allowlist"
    assert obstacle("10.5.0.7", **denied) == wanted
    assert obstacle("10.5.0.7", **denied, allowlist="10.5.0.7:23") == wanted
    for entry in ("10.5.0.7:22", "10.5.0.0/16", "10.5.0.0/16:20-30"):
        assert obstacle("10.5.0.7", **denied, allowlist=entry) == ""


def test_an_operator_may_open_this_host_to_it() -> None:
    assert obstacle("10.9.0.1", allowlist="10.9.0.1:22") == ""


def test_one_address_that_can_be_reached_is_enough() -> None:
    assert obstacle("10.9.0.1", "203.0.113.7") == ""
    assert obstacle("10.9.0.1", "fd77::1") == (
        "10.9.0.1 is an address of this host; fd77::1 is an address of this host"
    )


def test_a_name_that_stands_for_nothing_yet_is_no_server() -> None:
    assert obstacle() == "no address of it is known"
    assert obstacle(allowlist="0.0.0.0/0, ::/0") == "no address of it is known"


_ADDRESSES = st.one_of(
    st.ip_addresses(),
    st.ip_addresses(network="10.0.0.0/8"),
    st.ip_addresses(network="fd00::/8"),
    st.sampled_from(HERE),
)
_LISTS = st.sampled_from(
    ["", "10.0.0.0/8", "10.5.0.0/16, fd00::/8", "10.9.0.1:22", "10.0.0.0/8:22", "0.0.0.0/0, ::/0"]
)


@given(_ADDRESSES, _LISTS, _LISTS.filter(lambda text: ":22" not in text))
def test_a_server_is_left_out_if_and_only_if_the_rules_keep_guests_from_it(
    address: Address, allowlist: str, denylist: str
) -> None:
    assume(reachable(address))
    assume(address in HERE or not any(address in one.network for one in BRIDGE))
    config = configured(str(address), allowlist=allowlist, denylist=denylist)
    known = {str(address): (address,)}
    source = ip_address("10.9.0.7" if address.version == 4 else "fd42::7")
    packet = Packet(source=source, destination=address, protocol=Protocol.TCP, port=22)
    is_open = verdict(policy_of(config, BRIDGE, known), HERE, packet) is Verdict.ACCEPTED
    assert (judged(config, known, OWN)[str(address), 22] == "") is is_open
