"""What guests reach where other programs turn addresses and ports to others."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from guest_policies import LOCAL, SIGNALS, a_policy
from packets import (
    BAD,
    GOOD,
    GUESTS_MAC,
    Ground,
)

from sandbox.namespaces import (
    ELSEWHERE,
    GATEWAYS,
    GUEST,
    OTHER_GUEST,
    UPLINK,
)
from supervisor.firewall.verdict import Packet, Protocol, Verdict, verdict

ACCEPTED, REJECTED, DROPPED = Verdict.ACCEPTED, Verdict.REJECTED, Verdict.DROPPED


def _docker(ground: Ground) -> None:
    """Publish two ports of the host as Docker does, and turn one address to another."""
    ground.there.host.run(
        "nft",
        "-f",
        "-",
        script=f"""table ip docker {{
            chain prerouting {{
                type nat hook prerouting priority dstnat;
                fib daddr type local tcp dport 8000 dnat to {BAD}:443
                fib daddr type local tcp dport 8005 dnat to {BAD}:443
                ip daddr 198.51.100.1 dnat to {BAD}
                ip daddr 198.51.100.2 dnat to {OTHER_GUEST[0]}
                ip daddr 10.77.0.9 dnat to {GOOD}
            }}
        }}""",
    )


def test_ports_that_the_host_publishes_by_nat_are_closed(ground: Ground) -> None:
    _docker(ground)
    published = [(UPLINK[0], 8000), (GATEWAYS[0], 8000), (ELSEWHERE[0], 8005)]
    assert {ground.fate(*one) for one in published} == {ACCEPTED}

    ground.apply(a_policy())

    assert {ground.fate(*one) for one in published} == {REJECTED}


@pytest.mark.parametrize("ports", ["8000", "7999-8001"])
def test_a_published_port_that_is_allowed_is_open_although_what_is_behind_it_is_denied(
    ground: Ground, ports: str
) -> None:
    _docker(ground)

    ground.apply(a_policy(denied="203.0.113.0/24", allowed=f"{UPLINK[0]}:{ports}"))

    assert ground.fate(UPLINK[0], 8000) is ACCEPTED
    assert ground.fate(UPLINK[0], 8005) is REJECTED
    assert ground.fate(ELSEWHERE[0], 8000) is REJECTED
    assert ground.fate(BAD) is REJECTED


@pytest.mark.parametrize("allowed", ["", BAD, f"{BAD}:443", "198.51.100.1:443", "198.51.100.1"])
def test_what_nat_turns_to_a_denied_address_is_looked_at_again(
    ground: Ground, allowed: str
) -> None:
    _docker(ground)
    assert ground.fate("198.51.100.1") is ACCEPTED
    policy = a_policy(denied=BAD, allowed=allowed)

    ground.apply(policy)

    packet = Packet(
        source=ip_address(GUEST[0]),
        destination=ip_address("198.51.100.1"),
        protocol=Protocol.TCP,
        port=443,
        translated=(ip_address(BAD), 443),
    )
    wanted = verdict(policy, LOCAL, packet)
    assert ground.fate("198.51.100.1") is (_after_nat(ground) if wanted is REJECTED else wanted)
    assert wanted is (REJECTED if allowed in {"", "198.51.100.1"} else ACCEPTED)


def _after_nat(ground: Ground) -> Verdict:
    """Say what a guest sees of a refusal after NAT.

    With br_netfilter the kernel sends resets to the bridge's port directly, past the NAT that would
    give them the sender whom the guest expects: it is not told, and waits in vain.
    """
    return DROPPED if ground.bridged else REJECTED


def test_another_guest_is_not_reached_by_a_detour_over_nat(ground: Ground) -> None:
    _docker(ground)
    assert ground.fate("198.51.100.2") is ACCEPTED

    ground.apply(a_policy(allowed=f"{OTHER_GUEST[0]}, 0.0.0.0/0:443"))

    assert ground.fate("198.51.100.2") is _after_nat(ground)
    assert ground.fate(OTHER_GUEST[0]) is REJECTED


def test_an_address_of_the_guests_is_closed_whatever_nat_makes_of_it(ground: Ground) -> None:
    _docker(ground)
    assert ground.fate("10.77.0.9") is ACCEPTED

    ground.apply(a_policy())

    assert ground.fate("10.77.0.9") is REJECTED


_TO_SERVICE, _TO_REDIRECT = "10.96.0.1", "198.51.100.8"


def _kube_proxy(ground: Ground) -> None:
    """Lead addresses of others to this host, as kube-proxy and transparent proxies do."""
    ground.there.host.run(
        "nft",
        "-f",
        "-",
        script=f"""table inet kube {{
            chain prerouting {{
                type nat hook prerouting priority dstnat;
                ip daddr {_TO_SERVICE} tcp dport 443 dnat ip to {UPLINK[0]}:8000
                ip daddr {_TO_REDIRECT} tcp dport 80 redirect to :8005
                ip daddr {_TO_REDIRECT} udp dport 53 redirect
                ip daddr {_TO_REDIRECT} tcp dport 8000 dnat ip to {GATEWAYS[0]}:{SIGNALS}
                ip6 daddr 2001:db8::8 tcp dport 80 redirect to :8005
            }}
            chain stateless {{
                type filter hook prerouting priority -149;
                ip daddr 198.51.100.9 udp dport 8000 ip daddr set {UPLINK[0]}
            }}
        }}""",
    )


_LED_HERE = [
    (_TO_SERVICE, 443, Protocol.TCP),
    (_TO_REDIRECT, 80, Protocol.TCP),
    ("2001:db8::8", 80, Protocol.TCP),
    ("198.51.100.9", 8000, Protocol.UDP),
]


def test_nat_does_not_lead_guests_back_to_this_host(ground: Ground) -> None:
    _kube_proxy(ground)
    assert {ground.fate(*one) for one in _LED_HERE} == {ACCEPTED}

    ground.apply(a_policy(allowed="0.0.0.0/0, ::/0, 0.0.0.0/0:1-65535"))

    assert ACCEPTED not in {ground.fate(*one) for one in _LED_HERE}
    assert ground.fate(_TO_SERVICE) is _after_nat(ground)
    assert ground.live().rejected[GUESTS_MAC].packets >= len(_LED_HERE)
    assert ground.fate(_TO_SERVICE, 80) is ACCEPTED  # what is not led here


@pytest.mark.parametrize(
    "allowed",
    [
        f"{_TO_SERVICE}:443, {_TO_REDIRECT}:80, [2001:db8::8]:80",
        f"{UPLINK[0]}:8000, {GATEWAYS[0]}:8005, [{GATEWAYS[1]}]:8005",
    ],
    ids=["as dialled", "as translated"],
)
def test_an_allowed_endpoint_that_nat_leads_to_this_host_is_open(
    ground: Ground, allowed: str
) -> None:
    _kube_proxy(ground)

    ground.apply(a_policy(allowed=allowed, denied="10.96.0.0/12" if UPLINK[0] in allowed else ""))

    dialled = UPLINK[0] not in allowed
    assert ground.fate(_TO_SERVICE) is (ACCEPTED if dialled else REJECTED)
    assert ground.fate(_TO_REDIRECT, 80) is ACCEPTED
    assert ground.fate("2001:db8::8", 80) is ACCEPTED


def test_dns_and_services_of_this_host_may_be_dialled_by_other_addresses(ground: Ground) -> None:
    _kube_proxy(ground)

    ground.apply(a_policy())

    assert ground.fate(_TO_REDIRECT, 53, Protocol.UDP) is ACCEPTED
    assert ground.fate(_TO_REDIRECT, 8000) is ACCEPTED


def test_ports_of_many_addresses_win_over_the_denylist_and_do_not_open_this_host(
    ground: Ground,
) -> None:
    assert ground.fate(UPLINK[0], 8000) is ACCEPTED

    ground.apply(a_policy(denied="198.18.0.0/15", allowed="198.18.0.0/16:8000"))

    assert ground.fate("198.18.0.9", 8000) is ACCEPTED
    assert ground.fate("198.18.0.9", 8005) is REJECTED
    assert ground.fate(UPLINK[0], 8000) is REJECTED
