"""The work on the firewall with a real nft, in a network namespace of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

import pytest
from fake_lxd import FakeLxd

from sandbox.namespaces import Namespace, namespace
from supervisor.config import Config, parse
from supervisor.firewall import ruleset
from supervisor.firewall.intent import policy_of
from supervisor.firewall.live import Counted
from supervisor.firewall.names import REJECTED
from supervisor.firewall.networks import Network
from supervisor.firewall.policy import Policy
from supervisor.gateways.lxd import LxdError, LxdUnavailable, NotFound, Refused
from supervisor.gateways.name_notes import NameNotes
from supervisor.gateways.names import Names
from supervisor.gateways.nftables import Nftables
from supervisor.work import firewall as firewall_work
from supervisor.work.firewall import Surroundings, TableFailed, TableReady, ask, ensure

BRIDGE = (ip_interface("10.9.0.1/24"), ip_interface("fd42::1/64"))
TABLE = "github-runners.fleet.lxdbr0"
MAC = "00:16:3e:00:00:01"


class Ground:
    """A network namespace of the tests' own, with its own rules."""

    def __init__(self, there: Namespace) -> None:
        self._there = there
        self.command = (*there.prefix, "nft")
        self.nftables = Nftables(self.command)

    def nft(self, *words: str) -> str:
        return self._there.run("nft", *words)

    def rules(self) -> str:
        """List all rules, without what the kernel counts and numbers."""
        return self.nft("--stateless", "list", "ruleset")


@pytest.fixture
def ground() -> Iterator[Ground]:
    with namespace() as there:
        yield Ground(there)


def configured(**settings: Any) -> Config:
    given = {key.replace("_", "-"): value for key, value in settings.items()}
    given = {"denylist": "198.51.100.0/24, 2001:db8::/32", **given}
    return parse({"name": "fleet", "path": "acme", "token": "s", **given}, "test")


def wanted(**settings: Any) -> Policy:
    return policy_of(configured(**settings), BRIDGE, {})


def in_place(ground: Ground, policy: Policy | None = None) -> TableReady:
    found = ensure(ground.nftables, policy or wanted(), None, None)
    assert isinstance(found, TableReady), found
    return found


def test_it_is_put_in_place_once_and_then_only_looked_at(ground: Ground) -> None:
    first = in_place(ground)
    assert (first.healed, first.warnings, first.live.name) == ("", (), TABLE)
    handle = ground.nft("--json", "--handle", "list", "tables")
    again = ensure(ground.nftables, wanted(), first.kept, first.live)
    assert isinstance(again, TableReady)
    assert again.healed == ""
    assert again.kept is first.kept
    assert ground.nft("--json", "--handle", "list", "tables") == handle


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
def test_what_others_do_to_it_is_named_and_undone(ground: Ground, deed: str, named: str) -> None:
    first = in_place(ground)
    before = ground.rules()
    ground.nft(*deed.split())
    assert ground.rules() != before
    found = ensure(ground.nftables, wanted(), first.kept, first.live)
    assert isinstance(found, TableReady), found
    assert named in found.healed
    assert ground.rules() == before
    again = ensure(ground.nftables, wanted(), found.kept, found.live)
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
    ground: Ground, monkeypatch: pytest.MonkeyPatch, deed: str, *, is_closed: bool
) -> None:
    policy = wanted(denylist=LONG)
    first = in_place(ground, policy)
    before = ground.rules()
    applied: list[str] = []

    def apply(script: str) -> None:
        Nftables.apply(ground.nftables, script)
        applied.append(ground.rules())

    monkeypatch.setattr(ground.nftables, "apply", apply)
    ground.nft(*deed.split())
    found = ensure(ground.nftables, policy, first.kept, first.live)
    assert isinstance(found, TableReady), found
    assert (len(applied), bool(found.healed)) == ((2, True) if is_closed else (0, False))
    if is_closed:
        closed, whole = applied
        assert 'drop comment "closed for now"' in closed
        assert "11.0.0.0/24" not in closed
        assert whole == before


def test_a_table_that_is_gone_is_closed_also_while_a_look_is_under_way(
    ground: Ground,
) -> None:
    policy = wanted(denylist=LONG)
    first = in_place(ground, policy)
    before = ground.rules()
    firewall_work.close_if_gone(ground.nftables, policy, first.live)
    assert ground.rules() == before
    ground.nft("flush", "ruleset")
    firewall_work.close_if_gone(ground.nftables, wanted(), first.live)
    assert ground.rules() == "", "a short one is there as fast"
    firewall_work.close_if_gone(Nftables(("no-such-nft",)), policy, first.live)
    firewall_work.close_if_gone(ground.nftables, policy, first.live)
    assert 'drop comment "closed for now"' in ground.rules()
    found = ensure(ground.nftables, policy, first.kept, first.live)
    assert isinstance(found, TableReady)
    assert "is gone" in found.healed
    assert ground.rules() == before


def test_another_policy_takes_its_place_and_nothing_is_said_to_be_healed(
    ground: Ground,
) -> None:
    first = in_place(ground)
    other = wanted(denylist="203.0.113.0/24")
    found = ensure(ground.nftables, other, first.kept, first.live)
    assert isinstance(found, TableReady)
    assert (found.healed, found.kept.policy) == ("", other)
    assert "203.0.113.0/24" in ground.rules()
    assert "198.51.100.0/24" not in ground.rules()


def test_counting_goes_on_over_restarts_and_after_a_deletion(ground: Ground) -> None:
    script = ruleset.render(wanted(), {MAC: Counted(7, 420)}, {REJECTED: Counted(9, 540)})
    ground.nftables.apply(script)
    first = in_place(ground)
    assert (first.live.rejected, first.live.refused) == ({MAC: Counted(7, 420)}, Counted(9, 540))
    ground.nftables.delete(TABLE)
    found = ensure(ground.nftables, wanted(), first.kept, first.live)
    assert isinstance(found, TableReady)
    assert (found.live.rejected, found.live.refused) == ({MAC: Counted(7, 420)}, Counted(9, 540))


def test_a_bridge_that_another_installation_guards_is_refused_and_left_alone(
    ground: Ground,
) -> None:
    in_place(ground, replace(wanted(), installation="other"))
    before = ground.rules()
    found = ensure(ground.nftables, wanted(), None, None)
    assert isinstance(found, TableFailed)
    assert "installation other guards the guests of bridge lxdbr0 already" in found.reason
    command = "nft delete table inet github-runners.other.lxdbr0"
    assert found.reason.endswith(command)
    assert ground.rules() == before
    ground.nft(*command.split()[1:])
    in_place(ground)


@pytest.mark.parametrize("restarted", [False, True])
def test_what_was_there_before_another_installations_is_kept_up_and_the_other_told_of(
    ground: Ground, restarted: bool
) -> None:
    first = in_place(ground)
    before = ground.rules()
    other = "github-runners.other.lxdbr0"
    ground.nft(f"table inet {other} {{ chain c {{ }}; }}")
    ground.nft("flush", "chain", "inet", TABLE, "guest")
    kept, live = (None, None) if restarted else (first.kept, first.live)
    found = ensure(ground.nftables, wanted(), kept, live)
    assert isinstance(found, TableReady)
    assert "installation other guards the guests of bridge lxdbr0 already" in found.obstacle
    ground.nft("delete", "table", "inet", other)
    assert ground.rules() == before
    found = ensure(ground.nftables, wanted(), found.kept, found.live)
    assert isinstance(found, TableReady)
    assert found.obstacle == ""


def test_others_at_other_bridges_are_no_obstacle_and_untouched(ground: Ground) -> None:
    ground.nft("add", "table", "inet", "lxd")
    in_place(ground, replace(wanted(), installation="other", bridge="b.lxdbr0"))
    before = ground.rules()
    first = in_place(ground)
    assert first.warnings == ()
    assert firewall_work.remove(ground.nftables, "fleet") == [TABLE]
    assert ground.rules() == before


def test_a_table_of_an_earlier_bridge_is_warned_of_and_removed_with_all(
    ground: Ground,
) -> None:
    before = ground.rules()
    in_place(ground, replace(wanted(), bridge="old0"))
    (warning,) = in_place(ground).warnings
    assert "nft delete table inet github-runners.fleet.old0" in warning
    removed = firewall_work.remove(ground.nftables, "fleet")
    assert sorted(removed) == [TABLE, "github-runners.fleet.old0"]
    assert ground.rules() == before
    assert firewall_work.remove(ground.nftables, "fleet") == []


def test_a_transaction_that_fails_leaves_the_old_rules(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = in_place(ground)
    before = ground.rules()
    monkeypatch.setattr(ruleset, "render", lambda *_: "table inet x { nonsense }")
    found = ensure(ground.nftables, wanted(denylist=""), first.kept, first.live)
    assert isinstance(found, TableFailed)
    assert found.reason.startswith("could not put the firewall's table in place: ")
    assert ground.rules() == before


def test_what_the_kernel_does_not_show_afterwards_is_not_believed(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ruleset.render
    smaller = replace(wanted(), denied=())
    monkeypatch.setattr(ruleset, "render", lambda _policy, *counts: real(smaller, *counts))
    found = ensure(ground.nftables, wanted(), None, None)
    assert isinstance(found, TableFailed)
    assert "does not hold what was just put there: the set denied4 lacks" in found.reason


def test_without_nft_it_is_said_what_to_install() -> None:
    found = ensure(Nftables(("no-such-nft",)), wanted(), None, None)
    assert isinstance(found, TableFailed)
    assert "there is no program no-such-nft; install nftables" in found.reason


def test_who_may_not_set_rules_is_told_to_be_root(ground: Ground) -> None:
    powerless = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "nft")
    found = ensure(Nftables((*ground.command[:-1], *powerless)), wanted(), None, None)
    assert isinstance(found, TableFailed)
    assert "the daemon must be root, or have CAP_NET_ADMIN" in found.reason


# What is wanted


def asked(lxd: Any, names: Names, config: Config, *, with_runners: bool) -> Surroundings:
    """Ask where the kernel lets LXD filter IPv6."""
    return ask(lxd, names, lambda: True, config, with_runners=with_runners)


def test_what_is_asked_is_the_bridge_the_names_and_if_wanted_the_runners() -> None:
    lxd = FakeLxd()
    lxd.put("fleet-a")
    config_of: Any = lxd.there["fleet-a"].config
    config_of["volatile.eth0.hwaddr"] = MAC.upper()
    names = Names(lambda _host: (ip_interface("10.7.7.7/32").ip,))
    config = configured(http_proxy="http://proxy.example:3128")
    found = asked(lxd, names, config, with_runners=False)
    assert (found.bridge, found.runners) == ((ip_interface("127.0.0.1/24"),), None)
    assert found.addresses == {"proxy.example": (ip_interface("10.7.7.7/32").ip,)}
    assert (found.error, found.warnings) == ("", ())
    found = asked(lxd, names, config, with_runners=True)
    assert found.runners == {MAC: "fleet-a"}
    lxd.fail("instances", LxdUnavailable("LXD is not running"))
    found = asked(lxd, names, config, with_runners=True)
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
    found = asked(lxd, Names(), configured(), with_runners=True)
    assert (found.bridge, found.error, found.outage) == ((), str(error), outage)


def known_once(*addresses: str, notes: NameNotes | None = None) -> Names:
    """Look each of these up in turn, and nothing any more after them."""
    known = list(addresses)

    def look_up(_host: str) -> Any:
        if known:
            return (ip_address(known.pop(0)),)
        raise OSError(5, "no name server answers")

    return Names(look_up, notes)


def test_a_name_that_can_not_be_looked_up_is_a_warning_without_the_proxys_password() -> None:
    names = known_once("10.7.7.7")
    config = configured(http_proxy="http://user:secret@proxy.example:3128")
    assert asked(FakeLxd(), names, config, with_runners=False).warnings == ()
    found = asked(FakeLxd(), names, config, with_runners=False)
    assert found.warnings == (
        (
            "http-proxy: proxy.example can't be looked up (no name server answers); it stays open "
            "at 10.7.7.7"
        ),
    )
    assert not found.error
    never = asked(FakeLxd(), known_once(), config, with_runners=False)
    assert never.warnings[0].endswith("it is open only where the denylist lets it be")


def test_a_proxy_that_only_this_host_reaches_is_warned_of() -> None:
    config = configured(http_proxy="http://127.0.0.1:3128")
    found = asked(FakeLxd(), Names(), config, with_runners=False)
    (warning,) = found.warnings
    assert "127.0.0.1 is 127.0.0.1 to this host, which is nothing that guests" in warning


def own() -> tuple[Network, ...]:
    """Give the addresses of a host that is not this one."""
    return (ip_network("10.3.3.3"),)


def surroundings(config: Config, *addresses: str) -> Surroundings:
    """Ask where each name stands for these, on the host that has 10.3.3.3."""
    lxd: Any = FakeLxd()
    names = Names(lambda _host: tuple(map(ip_address, addresses)))
    return ask(lxd, names, lambda: True, config, with_runners=False, own=own)


def test_a_name_of_this_host_is_warned_of_and_not_opened() -> None:
    config = configured(http_proxy="http://proxy.example:3128")
    found = surroundings(config, "10.3.3.3", "10.7.7.7")
    (warning,) = found.warnings
    assert warning == (
        "http-proxy: proxy.example is 10.3.3.3, an address of this host, which no name opens: "
        "name the address itself"
    )
    named_itself = configured(http_proxy="http://10.3.3.3:3128")
    assert surroundings(named_itself).warnings == ()


def with_debug_server() -> Config:
    fingerprints = dict.fromkeys(("rsa-fingerprint", "ed25519-fingerprint"), "SHA256:" + "r" * 43)
    return configured(ssh_debug=[{"host": "tmate.example", "port": 22, **fingerprints}])


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("10.3.3.3", "10.3.3.3 is an address of this host"),
        ("198.51.100.7", "198.51.100.7 is in the denylist, and not in the allowlist"),
        ("127.0.0.1", "127.0.0.1 is nothing that guests could reach"),
    ],
)
def test_a_debug_server_that_runners_can_not_reach_is_left_out_with_a_warning(
    address: str, why: str
) -> None:
    config = with_debug_server()
    found = surroundings(config, address)
    assert found.servers == {("tmate.example", 22): why}
    (warning,) = found.warnings
    assert warning == (
        "ssh-debug: runners are not told of tmate.example port 22, which they can't reach: "
        f"{why}; what opens it is its address and port in the allowlist"
    )
    assert surroundings(config, "203.0.113.7").servers == {("tmate.example", 22): ""}
    assert surroundings(config, "203.0.113.7").warnings == ()


def test_a_debug_server_that_can_not_be_looked_up_is_judged_by_its_last_addresses() -> None:
    config = with_debug_server()
    names = known_once("198.51.100.7")
    before = asked(FakeLxd(), names, config, with_runners=False)
    after = asked(FakeLxd(), names, config, with_runners=False)
    assert after.servers == before.servers
    assert after.servers["tmate.example", 22].startswith("198.51.100.7 is in the denylist")
    (warning,) = set(after.warnings) - set(before.warnings)
    assert warning == (
        "ssh-debug: tmate.example can't be looked up (no name server answers); whether runners "
        "are told of it goes by its last addresses: 198.51.100.7"
    )
    policy = firewall_work.policy_of(config, after)
    assert (policy.elsewhere, policy.allowed) == ((), ())


def test_a_daemon_that_is_started_while_dns_is_silent_goes_by_the_last_addresses(
    tmp_path: Path,
) -> None:
    config = with_debug_server()
    names = known_once("203.0.113.7", notes=NameNotes(tmp_path / "names"))
    before = asked(FakeLxd(), names, config, with_runners=False)
    assert before.servers == {("tmate.example", 22): ""}
    started = known_once(notes=NameNotes(tmp_path / "names"))
    after = asked(FakeLxd(), started, config, with_runners=False)
    assert (after.servers, after.addresses) == (before.servers, before.addresses)
    (warning,) = after.warnings
    assert warning.endswith("goes by its last addresses: 203.0.113.7")


def test_what_names_stand_for_is_a_warning_while_it_can_not_be_noted(tmp_path: Path) -> None:
    note = tmp_path / "names"
    note.mkdir()
    names = known_once("203.0.113.7", "203.0.113.7", notes=NameNotes(note))
    found = asked(FakeLxd(), names, with_debug_server(), with_runners=False)
    assert found.warnings == (f"can't note what names stand for: {note}: Is a directory",)
    note.rmdir()
    assert asked(FakeLxd(), names, with_debug_server(), with_runners=False).warnings == ()


def test_runners_are_not_told_of_a_debug_server_until_it_has_an_address() -> None:
    config = with_debug_server()
    found = asked(FakeLxd(), known_once(), config, with_runners=False)
    assert found.servers == {("tmate.example", 22): "no address of it is known"}
    (warning,) = found.warnings
    assert warning == (
        "ssh-debug: tmate.example can't be looked up (no name server answers); runners are not "
        "told of it until it has an address"
    )
    found = asked(FakeLxd(), known_once("203.0.113.7"), config, with_runners=False)
    assert found.servers == {("tmate.example", 22): ""}


@pytest.mark.parametrize(
    ("firewall", "who"),
    [("managed", "the firewall lets none"), ("external", "whoever keeps the firewall should let")],
)
def test_ipv6_that_lxd_can_not_filter_is_closed_and_warned_of(firewall: str, who: str) -> None:
    config = configured(firewall=firewall)

    def found_if(*, filtered: bool) -> Surroundings:
        lxd: Any = FakeLxd()
        return ask(lxd, Names(), lambda: filtered, config, with_runners=False)

    found = found_if(filtered=False)
    assert "net.bridge.bridge-nf-call-ip6tables=1" in found.warnings[-1]
    assert f"until then {who}" in found.warnings[-1]
    assert firewall_work.policy_of(config, found).closes_ipv6
    found = found_if(filtered=True)
    assert not any("ip6tables" in warning for warning in found.warnings)
    assert not firewall_work.policy_of(config, found).closes_ipv6


def test_of_an_external_firewall_neither_lxd_nor_a_name_server_is_asked() -> None:
    config = configured(firewall="external", http_proxy="http://proxy.example:3128")
    lxd: Any = FakeLxd()
    looked_up: list[str] = []
    names = Names(lambda host: looked_up.append(host) or ())  # type: ignore[func-returns-value]
    found = asked(lxd, names, config, with_runners=True)
    assert (lxd.calls, looked_up, found.bridge) == ([], [], ())
    (warning,) = found.warnings
    assert "nothing here holds the guests" in warning
