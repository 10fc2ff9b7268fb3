from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.config import Config, parse
from supervisor.gateways.lxd import Instance, LxdError, LxdUnavailable, NotFound, Refused
from supervisor.gateways.nftables import NftablesError
from supervisor.runners import marks, naming
from supervisor.work import filters as filters_work
from supervisor.work.filters import BRIDGE, FiltersSeen, Restored, Swept

CONFIG: Config = parse({"name": "fleet", "path": "acme", "token": "s"}, "test")
FILTERED = {"security.mac_filtering": "true"}


def guest(name: str, *, installation: str = "fleet", status: str = "Running") -> Instance:
    config = {
        f"{marks.PREFIX}installation": installation,
        "volatile.eth0.hwaddr": f"00:16:3E:00:00:{ord(name[-1]):02X}",
    }
    made = datetime(2030, 1, 1, tzinfo=timezone.utc)
    devices = {"eth0": FILTERED}
    return Instance(name, status, "container", True, made, config, devices)  # noqa: FBT003


def chains(one: Instance) -> list[dict[str, Any]]:
    mac = one.config["volatile.eth0.hwaddr"].lower()
    found: list[dict[str, Any]] = []
    for hook in ("in", "fwd"):
        name = f"{hook}.{one.name}.eth0"
        found.append({"chain": {"name": name}})
        found.append({"rule": {"chain": name, "expr": [{"match": mac}, {"drop": None}]}})
    return found


def of_bridge() -> list[dict[str, Any]]:
    names = [f"{hook}.lxdbr0" for hook in ("in", "out", "fwd")]
    rules = [{"rule": {"chain": name, "expr": [{"accept": None}]}} for name in names]
    return [*({"chain": {"name": name}} for name in names), *rules]


class Host:
    """LXD and the kernel, as far as they are asked."""

    def __init__(self, *guests: Instance) -> None:
        self.guests = {one.name: one for one in guests}
        self.endpoint = SimpleNamespace(project="default")
        self.firewall = "nftables"
        self.tables: dict[str, list[dict[str, Any]]] = {
            "bridge": [entry for one in guests for entry in chains(one)],
            "inet": of_bridge(),
        }
        self.renewed: list[str] = []
        self.error: Exception | None = None
        self.unlisted: set[str] = set()

    def server(self) -> Any:
        self._fail()
        return SimpleNamespace(firewall=self.firewall)

    def instances(self) -> list[Instance]:
        return [one for one in self.guests.values() if one.name not in self.unlisted]

    def instance(self, name: str, *, limit_s: float = 30) -> Instance:
        assert limit_s <= 30
        self._fail()
        if name not in self.guests:
            raise NotFound(f"there is no instance {name}")
        return self.guests[name]

    def network_config(self, _name: str) -> Mapping[str, str]:
        return {"ipv4.address": "10.9.0.1/24"}

    def renew_filters(self, name: str) -> None:
        self.renewed.append(name)

    def renew_network(self, name: str) -> None:
        self._fail()
        self.renewed.append(name)

    def table(self, name: str, family: str) -> Mapping[str, Any] | None:
        assert name == "lxd"
        return {"nftables": self.tables[family]} if family in self.tables else None

    def delete_chain(self, table: str, name: str, family: str) -> bool:
        self._fail()
        assert (table, family) == ("lxd", "bridge")
        before = self.tables["bridge"]
        self.tables["bridge"] = [one for one in before if name not in _names(one)]
        return before != self.tables["bridge"]

    def named(self) -> set[str]:
        """Name the chains of guests that there are."""
        return {name for entry in self.tables["bridge"] for name in _names(entry)}

    def _fail(self) -> None:
        if self.error:
            raise self.error


def _names(entry: dict[str, Any]) -> set[str]:
    return {entry["chain"]["name"]} if "chain" in entry else {entry["rule"]["chain"]}


def look(host: Any, before: Mapping[str, str] | None = None) -> FiltersSeen:
    return filters_work.look(host, host, CONFIG, before or {}, 7)


def test_where_all_is_there_nothing_is_lacking() -> None:
    found = look(Host(guest("fleet-a"), guest("fleet-b")))
    assert (found.checks, found.lacking, found.error, found.warning) == (7, {}, "", "")
    assert set(found.spelled) == {"fleet-a", "fleet-b"}


def test_after_a_flush_all_is_lacking_that_is_ours_and_runs() -> None:
    host = Host(
        guest("fleet-a"),
        guest("fleet-b", status="Stopped"),
        guest("other-c", installation="other"),
        replace(guest("fleet-d"), devices={"eth0": {}}),
    )
    host.tables = {}
    assert look(host).lacking == {
        BRIDGE: "the chain in.lxdbr0 is gone",
        "fleet-a": "the chain in.fleet-a.eth0 is gone",
    }


def test_a_guest_in_which_an_image_is_built_is_filtered_and_told_from_runners() -> None:
    builder = guest("fleet-image-build-b")
    config = {**builder.config, **marks.of_builder("fleet")}
    del config[f"{marks.PREFIX}installation"]
    others = {**config, **marks.of_builder("other")}
    host = Host(
        guest("fleet-a"), replace(builder, config=config), replace(guest("x-c"), config=others)
    )
    assert look(host).builders == {"fleet-image-build-b"}
    host.tables["bridge"] = []
    assert set(look(host).lacking) == {"fleet-a", "fleet-image-build-b"}


def test_what_it_was_is_kept_while_it_is_not_whole() -> None:
    host = Host(guest("fleet-a"))
    whole = look(host)
    rule = {"rule": {"chain": "in.fleet-a.eth0", "expr": [{"accept": None}]}}
    host.tables["bridge"].append(rule)
    changed = look(host, whole.spelled)
    assert changed.lacking == {"fleet-a": "the filters of fleet-a were changed"}
    assert changed.spelled == whole.spelled
    host.tables["bridge"].remove(rule)
    assert look(host, changed.spelled).lacking == {}


@pytest.mark.parametrize("driver", ["xtables", ""])
def test_another_way_of_filtering_is_not_looked_at_and_said(driver: str) -> None:
    host = Host(guest("fleet-a"))
    host.firewall, host.tables = driver, {}
    found = look(host)
    assert (found.lacking, found.error) == ({}, "")
    assert found.warning.startswith(f"LXD filters with {driver or 'something'}")


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("server", LxdUnavailable("LXD is not running")),
        ("instances", LxdError("in an unknown way")),
        ("network_config", NotFound("there is no network")),
        ("table", NftablesError("there is no program nft")),
    ],
)
def test_why_it_could_not_be_looked_is_said_and_nothing_else(
    call: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(guest("fleet-a"))
    monkeypatch.setattr(host, call, failing(error))
    assert look(host) == FiltersSeen(7, error=str(error))


def test_only_a_guest_that_runs_is_filtered_anew() -> None:
    host: Any = Host(guest("fleet-a"), guest("fleet-b", status="Stopped"))
    for name in ("fleet-a", "fleet-b", "fleet-gone"):
        assert filters_work.restore(host, name) == Restored(name)
    assert host.renewed == ["fleet-a"]


@pytest.mark.parametrize(
    ("error", "outage"),
    [(Refused("LXD says: no"), False), (LxdUnavailable("LXD is not running"), True)],
)
def test_why_lxd_did_not_filter_anew_is_told_apart_from_its_being_away(
    error: Exception, outage: bool
) -> None:
    host: Any = Host(guest("fleet-a"))
    host.error = error
    assert filters_work.restore(host, "fleet-a") == Restored("fleet-a", str(error), outage=outage)
    assert filters_work.restore_bridge(host, "lxdbr0") == Restored(
        BRIDGE, str(error), outage=outage
    )


OURS = naming.runner_name("fleet", "abcdefghij")
BUILDER = naming.new_builder_name("fleet", "build")


def left_behind(host: Host, *names: str) -> None:
    host.tables["bridge"] += [entry for name in names for entry in chains(guest(name))]


def test_what_is_left_of_our_guests_is_deleted_and_nothing_else() -> None:
    there = guest(naming.runner_name("fleet", "klmnopqrst"), status="Stopped")
    host = Host(there)
    others = (naming.runner_name("other", "abcdefghij"), "fleet-database1234", "fleet-2-image-a")
    left_behind(host, OURS, BUILDER, *others)
    wanted = {f"{hook}.{name}.eth0" for name in (OURS, BUILDER) for hook in ("in", "fwd")}
    assert set(look(host).left_over) == wanted
    swept = filters_work.sweep(_as_any(host), _as_any(host), CONFIG)
    assert (set(swept.chains), swept.error) == (wanted, "")
    assert not wanted & host.named()
    assert {f"in.{name}.eth0" for name in (there.name, *others)} <= host.named()
    assert look(host).left_over == ()


def test_a_guest_that_appears_between_the_looks_keeps_its_filters() -> None:
    host = Host()
    left_behind(host, OURS)
    assert look(host).left_over
    host.guests[OURS] = guest(OURS)
    assert filters_work.sweep(_as_any(host), _as_any(host), CONFIG) == Swept()
    assert f"in.{OURS}.eth0" in host.named()


def test_a_guest_that_lxds_list_lacks_keeps_its_filters() -> None:
    there = guest(naming.runner_name("fleet", "klmnopqrst"))
    host = Host(there)
    host.unlisted = {there.name}
    left_behind(host, OURS)
    assert len(look(host).left_over) == 4, "by the list both are gone"
    swept = filters_work.sweep(_as_any(host), _as_any(host), CONFIG)
    gone = {f"{hook}.{OURS}.eth0" for hook in ("in", "fwd")}
    assert (set(swept.chains), swept.error) == (gone, "")
    assert host.named() == {f"{hook}.{there.name}.eth0" for hook in ("in", "fwd")}


@pytest.mark.parametrize(
    "error", [LxdUnavailable("LXD is not running"), Refused("LXD says: not authorized")]
)
def test_where_lxd_does_not_say_whether_a_guest_is_there_its_filters_stay(error: LxdError) -> None:
    host = Host()
    left_behind(host, OURS)
    before, host.error = host.named(), error
    swept = filters_work.sweep(_as_any(host), _as_any(host), CONFIG)
    assert (swept, host.named()) == (Swept(error=str(error)), before)


def test_what_can_not_be_deleted_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    left_behind(host, OURS)
    refusal = NftablesError("could not delete the chain: no")
    monkeypatch.setattr(host, "delete_chain", failing(refusal))
    swept = filters_work.sweep(_as_any(host), _as_any(host), CONFIG)
    assert swept == Swept(error="could not delete the chain: no")


def _as_any(host: Host) -> Any:
    return host
