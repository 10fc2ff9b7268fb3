"""The work on the firewall with a real nft, in a network namespace of the tests' own."""

from __future__ import annotations

import secrets
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_interface
from typing import Any

import pytest
from fake_world import FakeLxd, eventually

from supervisor import firewall_work
from supervisor.config import Config, parse
from supervisor.firewall import ruleset
from supervisor.firewall.intent import policy_of
from supervisor.firewall.live import Counted
from supervisor.firewall.policy import Policy
from supervisor.firewall_work import Kept, TableFailed, TableReady, ask, ensure
from supervisor.gateways.lxd import LxdError, LxdUnavailable, NotFound, Refused
from supervisor.gateways.names import Names
from supervisor.gateways.nftables import Nftables

BRIDGE = (ip_interface("10.9.0.1/24"), ip_interface("fd42::1/64"))
TABLE = "github-runners.fleet.lxdbr0"
MAC = "00:16:3e:00:00:01"


class Namespace:
    """A network namespace, with its own rules."""

    def __init__(self, name: str) -> None:
        self.command = ("ip", "netns", "exec", name, "nft")
        self.nftables = Nftables(self.command)

    def nft(self, *words: str) -> str:
        done = subprocess.run(
            [*self.command, *words], check=True, capture_output=True, text=True, timeout=30
        )
        return done.stdout

    def rules(self) -> str:
        """List all rules, without what the kernel counts and numbers."""
        return self.nft("--stateless", "list", "ruleset")


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    name = f"fw-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True, timeout=30)
    try:
        yield Namespace(name)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True, timeout=30)


def configured(**settings: Any) -> Config:
    given = {key.replace("_", "-"): value for key, value in settings.items()}
    given = {"denylist": "198.51.100.0/24, 2001:db8::/32", **given}
    return parse({"name": "fleet", "path": "acme", "token": "s", **given}, "test")


def wanted(**settings: Any) -> Policy:
    return policy_of(configured(**settings), BRIDGE, {})


def in_place(namespace: Namespace, policy: Policy | None = None) -> TableReady:
    found = ensure(namespace.nftables, policy or wanted(), None, None)
    assert isinstance(found, TableReady), found
    return found


def test_it_is_put_in_place_once_and_then_only_looked_at(namespace: Namespace) -> None:
    first = in_place(namespace)
    assert (first.healed, first.warnings, first.live.name) == ("", (), TABLE)
    handle = namespace.nft("--json", "--handle", "list", "tables")
    again = ensure(namespace.nftables, wanted(), first.kept, first.live)
    assert isinstance(again, TableReady)
    assert again.healed == ""
    assert again.kept is first.kept
    assert namespace.nft("--json", "--handle", "list", "tables") == handle


@pytest.mark.parametrize(
    ("deed", "named"),
    [
        (f"delete table inet {TABLE}", "is gone"),
        ("flush ruleset", "is gone"),
        (f"flush table inet {TABLE}", "lacks its rule"),
        (f"flush chain inet {TABLE} guest", "lacks its rule"),
        (f"delete element inet {TABLE} denied4 {{ 198.51.100.0/24 }}", "lacks 198.51.100.0/24"),
        (f"add element inet {TABLE} allowed4 {{ 10.0.0.0/8 }}", "holds too much: 10.0.0.0/8"),
        (f"insert rule inet {TABLE} guest accept", "without a comment"),
        (f"add chain inet {TABLE} mine", "mine is not of the daemon's making"),
        (f"add table inet {TABLE} {{ flags dormant; }}", "dormant"),
        (f"add element inet {TABLE} rejected {{ {MAC} }}", f"holds {MAC} without a counter"),
        (f"add map inet {TABLE} mine {{ type ipv4_addr : verdict; }}", "mine"),
    ],
)
def test_what_others_do_to_it_is_named_and_undone(
    namespace: Namespace, deed: str, named: str
) -> None:
    first = in_place(namespace)
    before = namespace.rules()
    namespace.nft(*deed.split())
    assert namespace.rules() != before
    found = ensure(namespace.nftables, wanted(), first.kept, first.live)
    assert isinstance(found, TableReady), found
    assert named in found.healed
    assert namespace.rules() == before
    again = ensure(namespace.nftables, wanted(), found.kept, found.live)
    assert isinstance(again, TableReady)
    assert again.healed == ""


LONG = ", ".join(f"11.{n >> 7}.{(n & 127) * 2}.0/24" for n in range(2_000))


@pytest.mark.parametrize(
    ("deed", "is_closed"),
    [
        (f"delete table inet {TABLE}", True),
        (f"flush chain inet {TABLE} guest", True),
        (f"add element inet {TABLE} rejected {{ {MAC} }}", True),
        (f"add element inet {TABLE} knocks {{ {MAC} }}", False),
    ],
)
def test_while_a_long_denylist_is_put_back_guests_reach_nothing(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch, deed: str, *, is_closed: bool
) -> None:
    policy = wanted(denylist=LONG)
    first = in_place(namespace, policy)
    before = namespace.rules()
    applied: list[str] = []

    def apply(script: str) -> None:
        Nftables.apply(namespace.nftables, script)
        applied.append(namespace.rules())

    monkeypatch.setattr(namespace.nftables, "apply", apply)
    namespace.nft(*deed.split())
    found = ensure(namespace.nftables, policy, first.kept, first.live)
    assert isinstance(found, TableReady), found
    assert (len(applied), bool(found.healed)) == ((2, True) if is_closed else (0, False))
    if is_closed:
        closed, whole = applied
        assert 'drop comment "closed for now"' in closed
        assert "11.0.0.0/24" not in closed
        assert whole == before


def test_a_table_that_is_gone_is_closed_also_while_a_look_is_under_way(
    namespace: Namespace,
) -> None:
    policy = wanted(denylist=LONG)
    first = in_place(namespace, policy)
    before = namespace.rules()
    firewall_work.close_if_gone(namespace.nftables, policy, first.live)
    assert namespace.rules() == before
    namespace.nft("flush", "ruleset")
    firewall_work.close_if_gone(namespace.nftables, wanted(), first.live)
    assert namespace.rules() == "", "a short one is there as fast"
    firewall_work.close_if_gone(Nftables(("no-such-nft",)), policy, first.live)
    firewall_work.close_if_gone(namespace.nftables, policy, first.live)
    assert 'drop comment "closed for now"' in namespace.rules()
    found = ensure(namespace.nftables, policy, first.kept, first.live)
    assert isinstance(found, TableReady)
    assert "is gone" in found.healed
    assert namespace.rules() == before


def test_another_policy_takes_its_place_and_nothing_is_said_to_be_healed(
    namespace: Namespace,
) -> None:
    first = in_place(namespace)
    other = wanted(denylist="203.0.113.0/24")
    found = ensure(namespace.nftables, other, first.kept, first.live)
    assert isinstance(found, TableReady)
    assert (found.healed, found.kept.policy) == ("", other)
    assert "203.0.113.0/24" in namespace.rules()
    assert "198.51.100.0/24" not in namespace.rules()


def test_counting_goes_on_over_restarts_and_after_a_deletion(namespace: Namespace) -> None:
    script = ruleset.render(wanted(), {MAC: Counted(7, 420)}, {ruleset.REJECTED: Counted(9, 540)})
    namespace.nftables.apply(script)
    first = in_place(namespace)
    assert (first.live.rejected, first.live.refused) == ({MAC: Counted(7, 420)}, Counted(9, 540))
    namespace.nftables.delete(TABLE)
    found = ensure(namespace.nftables, wanted(), first.kept, first.live)
    assert isinstance(found, TableReady)
    assert (found.live.rejected, found.live.refused) == ({MAC: Counted(7, 420)}, Counted(9, 540))


def test_a_bridge_that_another_installation_guards_is_refused_and_left_alone(
    namespace: Namespace,
) -> None:
    in_place(namespace, replace(wanted(), installation="other"))
    before = namespace.rules()
    found = ensure(namespace.nftables, wanted(), None, None)
    assert isinstance(found, TableFailed)
    assert "installation other guards the guests of bridge lxdbr0 already" in found.reason
    command = "nft delete table inet github-runners.other.lxdbr0"
    assert found.reason.endswith(command)
    assert namespace.rules() == before
    namespace.nft(*command.split()[1:])
    in_place(namespace)


def test_others_at_other_bridges_are_no_obstacle_and_untouched(namespace: Namespace) -> None:
    namespace.nft("add", "table", "inet", "lxd")
    in_place(namespace, replace(wanted(), installation="other", bridge="b.lxdbr0"))
    before = namespace.rules()
    first = in_place(namespace)
    assert first.warnings == ()
    assert firewall_work.remove(namespace.nftables, "fleet") == [TABLE]
    assert namespace.rules() == before


def test_a_table_of_an_earlier_bridge_is_warned_of_and_removed_with_all(
    namespace: Namespace,
) -> None:
    before = namespace.rules()
    in_place(namespace, replace(wanted(), bridge="old0"))
    (warning,) = in_place(namespace).warnings
    assert "nft delete table inet github-runners.fleet.old0" in warning
    removed = firewall_work.remove(namespace.nftables, "fleet")
    assert sorted(removed) == [TABLE, "github-runners.fleet.old0"]
    assert namespace.rules() == before
    assert firewall_work.remove(namespace.nftables, "fleet") == []


def test_a_transaction_that_fails_leaves_the_old_rules(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = in_place(namespace)
    before = namespace.rules()
    monkeypatch.setattr(ruleset, "render", lambda *_: "table inet x { nonsense }")
    found = ensure(namespace.nftables, wanted(denylist=""), first.kept, first.live)
    assert isinstance(found, TableFailed)
    assert found.reason.startswith("could not put the firewall's table in place: ")
    assert namespace.rules() == before


def test_what_the_kernel_does_not_show_afterwards_is_not_believed(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ruleset.render
    smaller = replace(wanted(), denied=())
    monkeypatch.setattr(ruleset, "render", lambda _policy, *counts: real(smaller, *counts))
    found = ensure(namespace.nftables, wanted(), None, None)
    assert isinstance(found, TableFailed)
    assert "does not hold what was just put there: the set denied4 lacks" in found.reason


def test_without_nft_it_is_said_what_to_install() -> None:
    found = ensure(Nftables(("no-such-nft",)), wanted(), None, None)
    assert isinstance(found, TableFailed)
    assert "there is no program no-such-nft; install nftables" in found.reason


def test_who_may_not_set_rules_is_told_to_be_root(namespace: Namespace) -> None:
    powerless = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "nft")
    found = ensure(Nftables((*namespace.command[:-1], *powerless)), wanted(), None, None)
    assert isinstance(found, TableFailed)
    assert "the daemon must be root, or have CAP_NET_ADMIN" in found.reason


def test_each_change_of_its_table_is_heard_of(namespace: Namespace) -> None:
    heard, lost = threading.Event(), threading.Event()
    in_place(namespace)
    monitor = namespace.nftables.monitor(heard.set, lost.set, TABLE)
    try:

        def change() -> bool:
            namespace.nft("add", "element", "inet", TABLE, "denied4", "{ 203.0.113.7 }")
            namespace.nft("delete", "element", "inet", TABLE, "denied4", "{ 203.0.113.7 }")
            return heard.wait(0.2)

        eventually(change)
    finally:
        monitor.close()
    assert not lost.is_set()


# What is wanted


def test_what_is_asked_is_the_bridge_the_names_and_if_wanted_the_runners() -> None:
    lxd = FakeLxd()
    lxd.put("fleet-a")
    lxd.there["fleet-a"].config["volatile.eth0.hwaddr"] = MAC.upper()  # type: ignore[index]
    names = Names(lambda _host: (ip_interface("10.7.7.7/32").ip,))
    config = configured(http_proxy="http://proxy.example:3128")
    found = ask(lxd, names, config, with_runners=False)  # type: ignore[arg-type]
    assert (found.bridge, found.runners) == ((ip_interface("127.0.0.1/24"),), None)
    assert found.addresses == {"proxy.example": (ip_interface("10.7.7.7/32").ip,)}
    assert (found.error, found.warnings) == ("", ())
    found = ask(lxd, names, config, with_runners=True)  # type: ignore[arg-type]
    assert found.runners == {MAC: "fleet-a"}
    lxd.fail("instances", LxdUnavailable("LXD is not running"))
    found = ask(lxd, names, config, with_runners=True)  # type: ignore[arg-type]
    assert (found.runners, found.error) == (None, "")


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (LxdUnavailable("LXD is not running"), True),
        (LxdError("LXD describes it in an unknown way"), True),
        (NotFound("there is no network"), False),
        (Refused("it is no bridge"), False),
    ],
)
def test_why_the_bridge_is_not_known_is_told_apart_from_lxds_being_away(
    error: Exception, outage: bool
) -> None:
    lxd = FakeLxd()
    lxd.fail("bridge_addresses", error)
    found = ask(lxd, Names(), configured(), with_runners=True)  # type: ignore[arg-type]
    assert (found.bridge, found.error, found.outage) == ((), str(error), outage)


def test_a_name_that_can_not_be_looked_up_is_a_warning_without_the_proxys_password() -> None:
    known: list[Any] = [(ip_interface("10.7.7.7/32").ip,)]

    def look_up(_host: str) -> Any:
        if known:
            return known.pop()
        raise OSError(5, "no name server answers")

    names = Names(look_up)
    config = configured(http_proxy="http://user:secret@proxy.example:3128")
    assert ask(FakeLxd(), names, config, with_runners=False).warnings == ()  # type: ignore[arg-type]
    found = ask(FakeLxd(), names, config, with_runners=False)  # type: ignore[arg-type]
    assert found.warnings == (
        (
            "http-proxy: proxy.example can't be looked up (no name server answers); it stays open "
            "at 10.7.7.7"
        ),
    )
    assert not found.error
    never = ask(FakeLxd(), Names(look_up), config, with_runners=False)  # type: ignore[arg-type]
    assert never.warnings[0].endswith("it is open only where the denylist lets it be")


def test_a_proxy_that_only_this_host_reaches_is_warned_of() -> None:
    config = configured(http_proxy="http://127.0.0.1:3128")
    found = ask(FakeLxd(), Names(), config, with_runners=False)  # type: ignore[arg-type]
    (warning,) = found.warnings
    assert "127.0.0.1 is 127.0.0.1 to this host, which is nothing that guests" in warning


def test_nothing_is_kept_of_what_was_not_applied(namespace: Namespace) -> None:
    first = in_place(namespace)
    assert first.kept == Kept(wanted(), first.live)
