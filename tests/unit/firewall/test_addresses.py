from __future__ import annotations

from ipaddress import ip_network

from guest_policies import a_policy

from supervisor.firewall.addresses import sets


def test_sets_hold_the_fewest_networks() -> None:
    found = sets(
        a_policy(
            denied="10.0.0.0/9, 10.128.0.0/9, fc00::/7",
            allowed="10.1.2.3:3128, 10.1.2.4:3128, [2001:db8::1]:443-444, 10.5.0.0/16",
        )
    )

    assert found["denied4"] == (ip_network("10.0.0.0/8"),)
    assert found["denied6"] == (ip_network("fc00::/7"),)
    assert found["allowed4"] == (ip_network("10.5.0.0/16"),)
    assert found["allowed4-3128"] == (ip_network("10.1.2.3/32"), ip_network("10.1.2.4/32"))
    assert found["allowed6-443-444"] == (ip_network("2001:db8::1/128"),)
    assert found["endpoints6-443-444"] == (ip_network("2001:db8::1/128"),)
    assert ip_network("10.77.0.255/32") in found["unheard4"]


def test_what_is_refused_comes_first_and_whose_packets_are_looked_at_last() -> None:
    """As the kernel fills them, so that nothing passes while it does."""
    found = [*sets(a_policy(denied="10.0.0.0/8", allowed="10.1.2.3:3128, 10.5.0.0/16"))]

    assert found[:4] == ["denied4", "denied6", "unheard4", "unheard6"]
    assert found[-2:] == ["subnets4", "subnets6"]
