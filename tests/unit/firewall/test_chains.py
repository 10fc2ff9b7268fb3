from __future__ import annotations

from dataclasses import replace

from guest_policies import a_policy

from supervisor.firewall.chains import chains
from supervisor.firewall.closed import closed_chains

_POLICY = a_policy(
    denied="10.0.0.0/9, 10.128.0.0/9, fc00::/7",
    allowed="10.1.2.3:3128, 10.1.2.4:3128, [2001:db8::1]:443-444, 10.5.0.0/16",
)


def test_endpoints_of_equal_ports_share_their_rules() -> None:
    more = replace(_POLICY, allowed=_POLICY.allowed * 5)

    assert chains(more) == chains(_POLICY)


def test_every_rule_says_why_in_words_that_no_other_of_its_chain_has() -> None:
    policy = replace(_POLICY, closes_ipv6=True)
    for chain in (*chains(policy), *closed_chains(policy)):
        comments = [rule.comment for rule in chain.rules]
        assert all(comments)
        assert len(set(comments)) == len(comments)
