"""The table in the kernel: put in place, compared, watched and deleted, by the real nft."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest
from guest_policies import TABLE, a_policy

from sandbox.namespaces import Namespace, namespace
from supervisor.firewall import live, ruleset
from supervisor.firewall.names import installations
from supervisor.firewall.policy import Policy
from supervisor.gateways.nftables import Nftables, NftablesError

_LIMIT_S = 5.0
_POLICY = a_policy(
    denied="10.0.0.0/8, 192.168.0.0/16, fc00::/7",
    allowed="10.1.2.3:3128, [2001:db8::1]:443, 10.5.0.0/16, 10.1.2.0/24:8000-8010",
)
_OTHERS = """
table ip nat {
    chain POSTROUTING { type nat hook postrouting priority 100; masquerade; }
}
table inet lxd {
    set s { type ipv4_addr; elements = { 10.0.0.1 }; }
    chain in.lxdbr0 { type filter hook input priority 0; iifname "lxdbr0" counter accept; }
}
table inet github-runners.here.br1 {
    chain c { ip saddr 10.0.0.1 comment "of another bridge"; }
}
"""


@pytest.fixture
def host() -> Iterator[Namespace]:
    """A network namespace without anything."""
    with namespace() as made:
        yield made


@pytest.fixture
def nft(host: Namespace) -> Nftables:
    """Its nftables."""
    return Nftables((*host.prefix, "nft"))


def _live(nft: Nftables) -> live.LiveTable | None:
    document = nft.table(TABLE)
    return None if document is None else live.read(document)


@pytest.mark.parametrize(
    "policy",
    [
        _POLICY,
        a_policy(),
        a_policy(denied="0.0.0.0/0, ::/0", allowed="0.0.0.0/0, ::/0, 0.0.0.0/0:1-65535"),
        a_policy(denied="255.255.255.255, 0.0.0.0, 10.0.0.1, 10.0.0.2/31, 10.0.0.4/30"),
        a_policy(denied="10.0.0.0/8, 10.1.0.0/16, 10.1.1.1", allowed="10.0.0.0/8, 10.0.0.0/9"),
        a_policy(services=""),
    ],
)
def test_a_table_is_as_wanted_right_after_it_was_put_in_place(
    nft: Nftables, policy: Policy
) -> None:
    assert live.fault(policy, _live(nft), None) == f"the table inet {TABLE} is gone"

    nft.apply(ruleset.render(policy))

    reference = _live(nft)
    assert live.fault(policy, reference, None) == ""
    nft.apply(ruleset.render(policy, {"02:00:00:00:00:05": live.Counted(3, 200)}))
    found = _live(nft)
    assert live.fault(policy, found, reference) == ""
    assert found is not None
    assert found.rejected == {"02:00:00:00:00:05": live.Counted(3, 200)}


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("delete table inet {}", "the table inet github-runners.here.br0 is gone"),
        ("flush chain inet {} guest", "the chain guest lacks its rule"),
        ("flush table inet {}", "lacks its rule"),
        ("insert rule inet {} guest accept", 'has the rule "without a comment" instead of'),
        ("add rule inet {} guest accept", 'a rule too many: "without a comment"'),
        ("add chain inet {} more", "chain more is not of the daemon's making"),
        ("add set inet {} more {{ type ipv4_addr; }}", "set more is not of the daemon's making"),
        ("flush set inet {} denied4", "the set denied4 lacks 10.0.0.0/8, 192.168.0.0/16"),
        ("delete element inet {} denied6 {{ fc00::/7 }}", "the set denied6 lacks fc00::/7"),
        ("add element inet {} allowed4 {{ 8.8.8.8 }}", "allowed4 holds too much: 8.8.8.8/32"),
        (
            "chain inet {} prerouting {{ policy drop; }}",
            "the chain prerouting has policy drop instead of accept",
        ),
    ],
)
def test_what_somebody_changes_is_found_also_by_a_daemon_that_has_just_started(
    nft: Nftables, host: Namespace, command: str, wanted: str
) -> None:
    nft.apply(ruleset.render(_POLICY))
    assert live.fault(_POLICY, _live(nft), None) == ""

    host.run("nft", command.format(TABLE))

    assert wanted in live.fault(_POLICY, _live(nft), None)


def test_a_rule_that_does_something_else_under_the_same_comment_is_found(
    nft: Nftables, host: Namespace
) -> None:
    nft.apply(ruleset.render(_POLICY))
    reference = _live(nft)
    rules = [entry["rule"] for entry in (nft.table(TABLE) or {})["nftables"] if "rule" in entry]
    denied = next(rule for rule in rules if rule.get("comment") == "denied, IPv4")

    handle = denied["handle"]
    host.run(
        "nft",
        f"replace rule inet {TABLE} {denied['chain']} handle {handle}"
        ' ip daddr @denied4 accept comment "denied, IPv4"',
    )

    wanted = f'the rule "denied, IPv4" of the chain {denied["chain"]} was changed'
    assert live.fault(_POLICY, _live(nft), reference) == wanted


def test_what_the_kernel_counts_is_no_change(nft: Nftables, host: Namespace) -> None:
    nft.apply(ruleset.render(_POLICY))
    reference = _live(nft)

    host.run("nft", f"add element inet {TABLE} knocks {{ 02:00:00:00:00:07 }}")
    host.run("nft", f"reset counters table inet {TABLE}")

    assert live.fault(_POLICY, _live(nft), reference) == ""


def test_a_script_with_an_error_leaves_what_was_there(nft: Nftables, host: Namespace) -> None:
    nft.apply(ruleset.render(_POLICY))
    before = host.run("nft", "list", "ruleset")
    script = ruleset.render(a_policy()) + f"add rule inet {TABLE} nowhere accept\n"

    with pytest.raises(NftablesError, match=r"could not put the firewall's table in place: .*"):
        nft.apply(script)

    assert host.run("nft", "list", "ruleset") == before


def test_other_tables_are_left_alone(nft: Nftables, host: Namespace) -> None:
    host.run("nft", "-f", "-", script=_OTHERS)
    before = host.run("nft", "-a", "list", "ruleset")

    nft.apply(ruleset.render(_POLICY))
    nft.apply(ruleset.render(a_policy()))
    assert sorted(nft.tables()) == sorted(["lxd", "github-runners.here.br1", TABLE])
    assert installations(nft.tables(), "br1") == ["here"]
    others = [
        host.run("nft", "-a", "list", "table", *table)
        for table in (("ip", "nat"), ("inet", "lxd"), ("inet", "github-runners.here.br1"))
    ]

    assert "".join(others) == before
    assert nft.delete(TABLE)
    assert not nft.delete(TABLE)
    assert host.run("nft", "-a", "list", "ruleset") == before


def test_a_chain_is_deleted_with_its_rules_and_no_other(nft: Nftables, host: Namespace) -> None:
    chain = "chain {} {{ type filter hook input priority -200; ether type ip drop; }}"
    ours, other = "in.p_fleet-a.eth0", "in.p_fleet-b.eth0"
    script = f"table bridge lxd {{ {chain.format(other)}\n }}"
    host.run("nft", "-f", "-", script=script)
    before = host.run("nft", "list", "ruleset")
    host.run("nft", "-f", "-", script=script.replace(other, ours))

    assert nft.delete_chain("lxd", ours, "bridge")
    assert not nft.delete_chain("lxd", ours, "bridge")

    assert host.run("nft", "list", "ruleset") == before


def test_fifty_thousand_networks_are_put_in_place_and_compared(nft: Nftables) -> None:
    networks = tuple(IPv4Network(((11 << 24) + (number << 9), 24)) for number in range(50_000))
    policy = a_policy()
    policy = Policy(**{**vars(policy), "denied": networks})

    nft.apply(ruleset.render(policy))

    assert live.fault(policy, _live(nft), None) == ""


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (
            ("no-such-nft",),
            "could not list tables: there is no program no-such-nft; install nftables",
        ),
        (
            ("setpriv", "--reuid=65534", "--clear-groups", "nft"),
            "Operation not permitted.*; the daemon must be root, or have CAP_NET_ADMIN$",
        ),
        (("sh", "-c", "exec sleep 9"), "could not list tables: nft takes more than 0.2 s"),
        (("echo", "no JSON:"), "could not read nft's list: it is no JSON; is nft built without it"),
        (("sh", "-c", "exit 3"), "could not list tables: exit code 3"),
    ],
)
def test_an_nft_that_cannot_is_told_of_in_one_line(command: tuple[str, ...], wanted: str) -> None:
    with pytest.raises(NftablesError, match=wanted) as caught:
        Nftables(command, timeout_s=0.2 if "exec sleep 9" in command else 30).tables()
    assert "\n" not in str(caught.value)
