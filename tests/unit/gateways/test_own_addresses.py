from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network
from pathlib import Path

import ifaddr
import pytest

from supervisor.gateways.own_addresses import of_interface, of_this_host

_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     |-- 10.187.203.0
        /24 link UNICAST
     |-- 10.187.203.1
        /32 host LOCAL
     |-- 10.187.203.255
        /32 link BROADCAST
Local:
  +-- 127.0.0.0/8 2 0 2
     |-- 127.0.0.0
        /32 link BROADCAST
        /8 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
"""
_SIX = """\
00000000000000000000000000000001 01 80 10 80       lo
fd000000000000000000000000000002 04 40 00 82     eth0
"""


def test_addresses_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    ipv4, ipv6 = tmp_path / "fib_trie", tmp_path / "if_inet6"
    ipv4.write_text(_TRIE)
    ipv6.write_text(_SIX)
    wanted = ("10.187.203.1", "127.0.0.0/8", "127.0.0.1", "::1", "fd00::2")
    assert of_this_host(ipv4, ipv6) == tuple(map(ip_network, wanted))


def test_a_kernel_without_ipv6_has_no_such_address(tmp_path: Path) -> None:
    ipv4 = tmp_path / "fib_trie"
    ipv4.write_text(_TRIE)
    assert all(one.version == 4 for one in of_this_host(ipv4, tmp_path / "none"))


def test_this_machines_loopback_and_the_address_that_it_sends_from_are_its_own() -> None:
    own = of_this_host()
    assert ip_network("127.0.0.1") in own
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("127.0.0.1", 9))
        assert ip_network(probe.getsockname()[0]) in own


def test_the_addresses_of_one_interface_are_of_both_families() -> None:
    assert of_interface("lo") >= {ip_address("127.0.0.1"), ip_address("::1")}
    assert of_interface("none-such") == frozenset()


def test_an_address_with_a_label_is_its_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"br0": "10.1.0.1", "br0:x": "10.2.0.1", "br01": "10.3.0.1", "br01:br0": "10.4.0.1"}
    cards = [
        ifaddr.Adapter(name, name, [ifaddr.IP(address, 24, name)])
        for name, address in given.items()
    ]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: cards)
    assert of_interface("br0") == {ip_address("10.1.0.1"), ip_address("10.2.0.1")}
