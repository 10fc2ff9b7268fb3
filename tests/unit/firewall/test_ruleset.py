from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from guest_policies import a_policy

from supervisor.firewall.ruleset import render


def test_an_address_with_a_zone_which_may_hold_any_words_is_written_into_no_table() -> None:
    policy = a_policy(denied="2001:db8::/32")
    denied = ip_network(ip_address("2001:db8::1%x } ; flush ruleset"))
    assert "2001:db8::/32" in render(policy)
    with pytest.raises(ValueError, match="a network must have no zone"):
        render(replace(policy, denied=(denied,)))
