"""The table in the kernel: put in place, compared, watched and deleted, by the real nft."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path
from queue import Empty, Queue

import pytest
from guest_policies import TABLE, a_policy

from sandbox.namespaces import Namespace, namespace
from supervisor.firewall import live, ruleset
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
    assert ruleset.installations(nft.tables(), "br1") == ["here"]
    others = [
        host.run("nft", "-a", "list", "table", *table)
        for table in (("ip", "nat"), ("inet", "lxd"), ("inet", "github-runners.here.br1"))
    ]

    assert "".join(others) == before
    assert nft.delete(TABLE)
    assert not nft.delete(TABLE)
    assert host.run("nft", "-a", "list", "ruleset") == before


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
        Nftables(command, timeout_s=0.2 if "sh" in command else 30).tables()
    assert "\n" not in str(caught.value)


@pytest.fixture
def watched(nft: Nftables) -> Iterator[tuple[Queue[str], Callable[[], None]]]:
    """What a monitor tells of, and how to kill what it watches by."""
    told: Queue[str] = Queue()
    monitor = nft.monitor(lambda: told.put("changed"), lambda: told.put("lost"), TABLE)
    try:
        deadline = time.monotonic() + _LIMIT_S
        while told.empty():  # it takes a moment until it hears
            assert time.monotonic() < deadline
            nft.apply(ruleset.render(a_policy()))
        _settle(told)
        yield told, lambda: os.kill(monitor._process.pid, signal.SIGKILL)
    finally:
        monitor.close()
    assert told.empty()


def test_a_change_of_the_table_is_told_at_once(
    watched: tuple[Queue[str], Callable[[], None]], host: Namespace
) -> None:
    told, _ = watched
    for command in (f"flush chain inet {TABLE} guest", f"delete table inet {TABLE}"):
        began = time.monotonic()
        host.run("nft", command)
        assert told.get(timeout=_LIMIT_S) == "changed"
        assert time.monotonic() - began < 1
        _settle(told)


def test_a_change_of_another_table_is_not_told(
    watched: tuple[Queue[str], Callable[[], None]], host: Namespace
) -> None:
    told, _ = watched
    host.run("nft", "-f", "-", script=_OTHERS)
    host.run("nft", f"flush chain inet {TABLE} guest")
    assert told.get(timeout=_LIMIT_S) == "changed"
    assert _settle(told) == 0


def test_the_end_of_the_watch_is_told_once(
    watched: tuple[Queue[str], Callable[[], None]],
) -> None:
    told, kill = watched
    kill()
    assert told.get(timeout=_LIMIT_S) == "lost"


def test_a_watch_of_a_process_that_was_killed_ends_with_the_next_change(host: Namespace) -> None:
    watcher = f"""
import os, time
from supervisor.gateways.nftables import Nftables
seen = []
nft = Nftables({(*host.prefix, "nft")!r})
monitor = nft.monitor(lambda: seen.append(1), int, "told")
while not seen:
    nft.apply("table inet told; delete table inet told")
print(monitor._process.pid, flush=True)
os.kill(os.getpid(), {signal.SIGKILL.value})
"""
    done = subprocess.run(
        [sys.executable, "-c", watcher], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    child = Path(f"/proc/{int(done.stdout)}")
    assert "monitor" in (child / "cmdline").read_text()

    deadline = time.monotonic() + _LIMIT_S
    while _runs(child):
        assert time.monotonic() < deadline
        host.run("nft", "-f", "-", script="table inet told; delete table inet told")


def _runs(process: Path) -> bool:
    try:
        return " Z " not in (process / "stat").read_text()
    except OSError:
        return False


def test_a_watch_that_can_not_begin_says_why() -> None:
    with pytest.raises(NftablesError, match="there is no program no-such-nft; install nftables"):
        Nftables(("no-such-nft",)).monitor(int, int, TABLE)


def test_fifty_thousand_changes_are_told_in_a_few_words(
    watched: tuple[Queue[str], Callable[[], None]], host: Namespace
) -> None:
    told, _ = watched
    elements = ",".join(f"11.{n >> 8}.{n & 255}.0" for n in range(0, 50_000, 2))
    host.run("nft", "-f", "-", script=f"add element inet {TABLE} denied4 {{ {elements} }}")
    assert told.get(timeout=_LIMIT_S) == "changed"
    assert _settle(told) < 50


def _settle(told: Queue[str]) -> int:
    """Take what is told until nothing more is, and say how much."""
    number = 0
    while True:
        try:
            told.get(timeout=0.3)
        except Empty:
            return number
        number += 1


def test_changes_that_the_kernel_could_not_tell_of_count_as_changes() -> None:
    told: Queue[str] = Queue()
    says = 'echo "# ERROR: We lost some netlink events!"; exec sleep 9'
    nft = Nftables(("sh", "-c", says))
    monitor = nft.monitor(lambda: told.put("changed"), lambda: told.put("lost"), TABLE)
    try:
        assert told.get(timeout=_LIMIT_S) == "changed"
    finally:
        monitor.close()
    assert told.empty()
