"""What the model says; that the kernel does the same is shown with real packets."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from guest_policies import LOCAL, SIGNALS, a_policy
from hypothesis import given
from hypothesis import strategies as st

from sandbox.namespaces import ELSEWHERE, GATEWAYS, GUEST, OTHER_GUEST, UPLINK
from supervisor.firewall.policy import Policy
from supervisor.firewall.verdict import Packet, Protocol, Verdict, verdict

ACCEPTED, REJECTED, DROPPED = Verdict.ACCEPTED, Verdict.REJECTED, Verdict.DROPPED
_PROTOCOLS = st.sampled_from(Protocol)
_PORTS = st.integers(1, 65535)
_HOSTS = st.sampled_from(sorted(LOCAL, key=str))


def _to(aim: str, port: int = 443, protocol: Protocol = Protocol.TCP, **more: Any) -> Packet:
    there = ip_address(aim)
    own = ip_address(GUEST[there.version == 6])
    packet = Packet(source=own, destination=there, protocol=protocol, port=port)
    return replace(packet, **more)


def _fate(policy: Policy, packet: Packet) -> Verdict:
    return verdict(policy, LOCAL, packet)


def test_the_world_is_open() -> None:
    assert _fate(a_policy(), _to("8.8.8.8")) is ACCEPTED
    assert _fate(a_policy(), _to("2606:4700::1111", protocol=Protocol.ECHO)) is ACCEPTED


def test_an_allowed_network_wins_over_the_denylist() -> None:
    policy = a_policy(denied="10.0.0.0/8", allowed="10.5.0.0/16")

    assert _fate(policy, _to("10.4.255.255")) is REJECTED
    assert _fate(policy, _to("10.5.0.0")) is ACCEPTED
    assert _fate(policy, _to("10.5.0.0", protocol=Protocol.ECHO)) is ACCEPTED


def test_an_allowed_endpoint_opens_its_ports_only() -> None:
    policy = a_policy(denied="10.0.0.0/8", allowed="10.5.0.1:3128-3130")

    assert _fate(policy, _to("10.5.0.1", 3127)) is REJECTED
    assert _fate(policy, _to("10.5.0.1", 3128)) is ACCEPTED
    assert _fate(policy, _to("10.5.0.1", 3130, Protocol.UDP)) is ACCEPTED
    assert _fate(policy, _to("10.5.0.1", 3128, Protocol.ECHO)) is REJECTED


@given(_HOSTS, _PORTS, _PROTOCOLS)
def test_no_allowed_network_opens_the_host(aim: object, port: int, protocol: Protocol) -> None:
    policy = a_policy(allowed="0.0.0.0/0, ::/0")
    is_dns = str(aim) in GATEWAYS and port == 53 and protocol is not Protocol.ECHO
    is_signal = (str(aim), port, protocol) == (GATEWAYS[0], SIGNALS, Protocol.TCP)

    wanted = ACCEPTED if is_dns or is_signal else REJECTED
    assert _fate(policy, _to(str(aim), port, protocol)) is wanted


@given(_PORTS, _PROTOCOLS, st.sampled_from(OTHER_GUEST), st.booleans())
def test_nothing_opens_other_guests(
    port: int, protocol: Protocol, other: str, answers: bool
) -> None:
    policy = a_policy(allowed="0.0.0.0/0, ::/0, 0.0.0.0/0:1-65535, [::/0]:1-65535")

    assert _fate(policy, _to(other, port, protocol, answers=answers)) is REJECTED


@pytest.mark.parametrize("host", [UPLINK[0], ELSEWHERE[1], "127.0.0.1"])
def test_the_host_is_answered_even_where_its_network_is_denied(host: str) -> None:
    policy = a_policy(denied="0.0.0.0/0, ::/0")

    assert _fate(policy, _to(host, answers=True)) is ACCEPTED
    assert _fate(policy, _to(host)) is REJECTED


def test_a_denied_address_is_not_answered() -> None:
    assert _fate(a_policy(denied="10.0.0.0/8"), _to("10.0.0.9", answers=True)) is REJECTED


@pytest.mark.parametrize("aim", ["224.0.0.251", "255.255.255.255", "10.77.0.255", "ff02::fb"])
def test_what_is_said_to_everybody_is_heard_by_nobody(aim: str) -> None:
    policy = a_policy(allowed="0.0.0.0/0, ::/0, 0.0.0.0/0:1-65535")

    assert _fate(policy, _to(aim, protocol=Protocol.UDP)) is DROPPED


@pytest.mark.parametrize("source", ["10.77.1.2", "0.0.0.0", "8.8.8.8", "fd78::1", *GATEWAYS])
def test_a_sender_that_no_guest_can_be_is_dropped(source: str) -> None:
    aim = "8.8.8.8" if "." in source else "2001:db8::1"

    assert _fate(a_policy(allowed=aim), _to(aim, source=ip_address(source))) is DROPPED


def test_an_address_of_the_link_gets_no_further_than_the_host() -> None:
    link = ip_address("fe80::2")

    assert _fate(a_policy(), _to(GATEWAYS[1], 53, source=link)) is ACCEPTED
    assert _fate(a_policy(allowed="::/0"), _to("2001:db8::1", source=link)) is REJECTED


@given(_PORTS, _PROTOCOLS)
def test_nat_does_not_lead_where_the_denylist_forbids(port: int, protocol: Protocol) -> None:
    policy = a_policy(denied="10.0.0.0/8", allowed="203.0.113.0/24")
    hidden = _to("203.0.113.7", port, protocol, translated=(ip_address("10.0.0.7"), port))

    assert _fate(policy, hidden) is REJECTED
    assert _fate(replace(policy, denied=(ip_network("11.0.0.0/8"),)), hidden) is ACCEPTED


@given(_HOSTS, _PORTS, _PROTOCOLS)
def test_ports_of_many_addresses_do_not_open_the_host(
    aim: object, port: int, protocol: Protocol
) -> None:
    wide = a_policy(allowed="0.0.0.0/1:1-65535, 128.0.0.0/1:1-65535, [::/0]:1-65535")

    packet = _to(str(aim), port, protocol)
    assert _fate(wide, packet) is _fate(a_policy(), packet)


@given(_HOSTS, _PORTS, _PROTOCOLS)
def test_what_is_allowed_elsewhere_does_not_open_the_host(
    aim: object, port: int, protocol: Protocol
) -> None:
    text = f"[{aim}]:1-65535" if ":" in str(aim) else f"{aim}:1-65535"
    policy = a_policy(elsewhere=text)

    packet = _to(str(aim), port, protocol)
    assert _fate(policy, packet) is _fate(a_policy(), packet)


def test_what_is_allowed_elsewhere_wins_over_the_denylist() -> None:
    policy = a_policy(denied="10.0.0.0/8", elsewhere="10.0.0.9:8443")

    assert _fate(policy, _to("10.0.0.9", 8443)) is ACCEPTED
    assert _fate(policy, _to("10.0.0.9", 8444)) is REJECTED


def test_ports_of_many_addresses_win_over_the_denylist() -> None:
    policy = a_policy(denied="10.0.0.0/8", allowed="10.0.0.0/8:8443")

    assert _fate(policy, _to("10.0.0.9", 8443)) is ACCEPTED
    assert _fate(policy, _to("10.0.0.9", 8444)) is REJECTED


@given(_HOSTS, _PORTS, _PROTOCOLS)
def test_nat_does_not_lead_back_to_the_host(aim: object, port: int, protocol: Protocol) -> None:
    policy = a_policy(allowed="0.0.0.0/0, ::/0, 0.0.0.0/0:1-65535, [::/0]:1-65535")
    there = ip_address(str(aim))
    dialled = "203.0.113.7" if there.version == 4 else "2001:db8::7"

    led = _to(dialled, 9, protocol, translated=(there, port))
    assert _fate(policy, led) is _fate(a_policy(), _to(str(aim), port, protocol))


def test_nat_may_lead_to_the_host_what_is_allowed_as_it_was_dialled() -> None:
    policy = a_policy(allowed="10.96.0.1:443")
    led = _to("10.96.0.1", translated=(ip_address(UPLINK[0]), 6443))

    assert _fate(policy, led) is ACCEPTED
    assert _fate(policy, replace(led, port=444)) is REJECTED


@given(_HOSTS, _PORTS, _PROTOCOLS, st.booleans())
def test_where_ipv6_is_closed_only_ipv4_is_as_ever(
    aim: object, port: int, protocol: Protocol, answers: bool
) -> None:
    policy = a_policy(allowed="[2001:db8::1]:443")
    packet = _to(str(aim), port, protocol, answers=answers)

    wanted = DROPPED if packet.source.version == 6 else _fate(policy, packet)
    assert _fate(replace(policy, closes_ipv6=True), packet) is wanted
