from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from guest_policies import a_policy

from supervisor.firewall import ruleset

_POLICY = a_policy(
    denied="10.0.0.0/9, 10.128.0.0/9, fc00::/7",
    allowed="10.1.2.3:3128, 10.1.2.4:3128, [2001:db8::1]:443-444, 10.5.0.0/16",
)


def test_a_table_is_named_for_the_installation_and_the_bridge() -> None:
    assert ruleset.table_name("web", "lxdbr0") == "github-runners.web.lxdbr0"


def test_all_installations_that_guard_a_bridge_are_found_by_their_tables() -> None:
    others = ["lxd", "github-runners.b.c.br0", "github-runners.d.br01"]
    tables = [*others, "github-runners.a.br0", "github-runners.b-2.br0"]

    assert ruleset.installations(tables, "br0") == ["a", "b-2"]
    assert ruleset.installations(tables, "c.br0") == ["b"]
    assert ruleset.installations(tables, "br.") == []


def test_sets_hold_the_fewest_networks() -> None:
    found = ruleset.sets(_POLICY)

    assert found["denied4"] == (ip_network("10.0.0.0/8"),)
    assert found["denied6"] == (ip_network("fc00::/7"),)
    assert found["allowed4"] == (ip_network("10.5.0.0/16"),)
    assert found["allowed4-3128"] == (ip_network("10.1.2.3/32"), ip_network("10.1.2.4/32"))
    assert found["allowed6-443-444"] == (ip_network("2001:db8::1/128"),)
    assert found["endpoints6-443-444"] == (ip_network("2001:db8::1/128"),)
    assert ip_network("10.77.0.255/32") in found["unheard4"]


def test_endpoints_of_equal_ports_share_their_rules() -> None:
    more = replace(_POLICY, allowed=_POLICY.allowed * 5)

    assert ruleset.chains(more) == ruleset.chains(_POLICY)


def test_every_rule_says_why_in_words_that_no_other_of_its_chain_has() -> None:
    policy = replace(_POLICY, closes_ipv6=True)
    for chain in (*ruleset.chains(policy), *ruleset.closed_chains(policy)):
        comments = [rule.comment for rule in chain.rules]
        assert all(comments)
        assert len(set(comments)) == len(comments)
