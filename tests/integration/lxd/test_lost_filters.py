"""LXD's chains are deleted, as by `nft flush ruleset`, and made anew by LXD while guests go on.

Only chains of the tests' own guests and bridges are ever touched.
"""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import eventually

from supervisor.config import Config, parse
from supervisor.gateways.lxd import Lxd, LxdError, NotFound, Refused
from supervisor.gateways.nftables import Nftables
from supervisor.runners import marks, naming
from supervisor.runners.instances import instance_request
from supervisor.work import filters as filters_work
from supervisor.work.filters import BRIDGE, FiltersSeen, Swept
from tests.integration.lxd import frames
from tests.integration.lxd.conftest import IDLE
from tests.integration.lxd.frames import listening
from tests.integration.lxd.test_nic_filters import FORGERIES, Forgery, Guest, Guests, answer_to

if TYPE_CHECKING:
    from sandbox.private_lxd import PrivateLxd

INSTALLATION = "lost"
_LIMIT_S = 15
_ECHO = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=15) as server:
    while said := server.recv(64):
        server.sendall(said)
"""


def nft(*words: str) -> str:
    done = subprocess.run(["nft", *words], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def configured(made: PrivateLxd) -> Config:
    lxd = {"network": made.network, "project": made.project}
    return parse({"name": INSTALLATION, "path": "acme", "token": "s", "lxd": lxd}, "test")


def guests_of(made: PrivateLxd, lxd: Lxd) -> Guests:
    def build(name: str) -> dict[str, Any]:
        metadata = {f"{marks.PREFIX}installation": INSTALLATION}
        return instance_request(made.template(), name=name, user_data=IDLE, metadata=metadata)

    return Guests(lxd, build)


@pytest.fixture
def guests(real_lxd: PrivateLxd, lxd: Lxd) -> Guests:
    return guests_of(real_lxd, lxd)


@pytest.fixture
def look(real_lxd: PrivateLxd, lxd: Lxd) -> Callable[..., FiltersSeen]:
    """Look at what LXD filters: `look()`, or against what it was: `look(seen.spelled)`."""

    def seen(before: Any = None) -> FiltersSeen:
        found = filters_work.look(lxd, Nftables(), configured(real_lxd), before or {}, 1)
        assert (found.error, found.warning) == ("", "")
        return found

    return seen


def chains_of(made: PrivateLxd, guest: Guest) -> list[tuple[str, str, str]]:
    return [("bridge", "lxd", f"{at}.{made.project}_{guest.name}.eth0") for at in ("in", "fwd")]


def chains_of_guests() -> set[str]:
    listed = json.loads(nft("--json", "list", "table", "bridge", "lxd"))["nftables"]
    return {entry["chain"]["name"] for entry in listed if "chain" in entry}


def chains_of_bridge(made: PrivateLxd) -> list[tuple[str, str, str]]:
    return [("inet", "lxd", f"{hook}.{made.network}") for hook in ("in", "out", "fwd")]


def rules_of(chains: list[tuple[str, str, str]]) -> str:
    return "".join(nft("list", "chain", *chain) for chain in chains)


def delete(chains: list[tuple[str, str, str]]) -> None:
    for chain in chains:
        nft("flush", "chain", *chain)
        nft("delete", "chain", *chain)


def passes(guest: Guest, other: Guest, forgery: Forgery) -> bool:
    """Tell whether a forged frame arrives at the bridge, as an honest one does."""
    forged, honest = forgery(guest, other), guest.honest
    with listening(guest.port, guest.bridge) as (port, bridge):
        frames.send_from(guest.pid, forged, honest)
        assert port.waits_for(forged), "it left the guest"
        assert bridge.waits_for(honest), "what is honest arrives"
        return bridge.has_seen(forged)


def interface_of(guest: Guest) -> tuple[str, str]:
    """Give what tells whether the guest's interface is the one that it was, and still isolated."""
    port = Path("/sys/class/net", guest.port)
    return (port / "ifindex").read_text(), (port / "brport" / "isolated").read_text()


@contextmanager
def connection_of(guest: Guest) -> Iterator[Callable[[], bool]]:
    """Have a guest connect to this host; give what tells whether it still answers there."""
    with closing(socket.create_server((guest.gateway, 0))) as server:
        server.settimeout(_LIMIT_S)
        where = [guest.gateway, str(server.getsockname()[1])]
        command = ["nsenter", f"--target={guest.pid}", "--net", sys.executable, "-c", _ECHO, *where]
        with subprocess.Popen(command) as process:
            try:
                connection, _ = server.accept()
                with closing(connection):
                    connection.settimeout(_LIMIT_S)

                    def answers() -> bool:
                        said = secrets.token_bytes(8)
                        connection.sendall(said)
                        return connection.recv(64) == said

                    yield answers
            finally:
                process.kill()


def test_filters_that_are_gone_are_made_anew_while_connections_last(
    real_lxd: PrivateLxd, lxd: Lxd, guests: Guests, look: Callable[..., FiltersSeen]
) -> None:
    guest, other = guests.start(), guests.start()
    by_arp, by_ip = FORGERIES["the gateway's address by ARP"], FORGERIES["another guest's address"]
    whole = look()
    assert not whole.lacking
    before, interface = rules_of(chains_of(real_lxd, guest)), interface_of(guest)
    with connection_of(guest) as answers:
        assert answers()
        delete(chains_of(real_lxd, guest))
        assert passes(guest, other, by_arp)
        assert passes(guest, other, by_ip)
        first = chains_of(real_lxd, guest)[0][2]
        assert look(whole.spelled).lacking == {guest.name: f"the chain {first} is gone"}
        assert not filters_work.restore(lxd, guest.name).error
        assert look(whole.spelled).lacking == {}
        assert not passes(guest, other, by_arp)
        assert not passes(guest, other, by_ip)
        assert answers()
    assert rules_of(chains_of(real_lxd, guest)) == before
    assert interface_of(guest) == interface
    # Again, from the other spelling of the option.
    delete(chains_of(real_lxd, guest))
    assert not filters_work.restore(lxd, guest.name).error
    assert rules_of(chains_of(real_lxd, guest)) == before
    assert guests.look(guest.name, guest.bridge) == guest


def test_the_filters_of_another_installations_guests_are_left_alone(
    real_lxd: PrivateLxd, lxd: Lxd, guests: Guests, look: Callable[..., FiltersSeen]
) -> None:
    guest = guests.start()
    lxd.update_config(guest.name, {f"{marks.PREFIX}installation": "another"})
    delete(chains_of(real_lxd, guest))
    assert look().lacking == {}
    lxd.update_config(guest.name, {f"{marks.PREFIX}installation": INSTALLATION})
    assert set(look().lacking) == {guest.name}


@pytest.mark.parametrize("deed", ["a chain is emptied", "a rule is deleted", "a rule is added"])
def test_what_is_left_of_filters_is_compared_with_what_they_were(
    deed: str,
    real_lxd: PrivateLxd,
    lxd: Lxd,
    guests: Guests,
    look: Callable[..., FiltersSeen],
) -> None:
    guest = guests.start()
    whole = look()
    before = rules_of(chains_of(real_lxd, guest))
    chain = chains_of(real_lxd, guest)[0]
    if deed == "a chain is emptied":
        nft("flush", "chain", *chain)
        assert set(look().lacking) == {guest.name}, "that is seen without knowing what it was"
    elif deed == "a rule is deleted":
        listed = nft("--handle", "list", "chain", *chain).splitlines()
        (rule,) = [line for line in listed if "arp drop" in line]
        nft("delete", "rule", *chain, "handle", rule.rpartition(" ")[2])
    else:
        nft("insert", "rule", *chain, "accept")
    assert set(look(whole.spelled).lacking) == {guest.name}
    assert not filters_work.restore(lxd, guest.name).error
    assert look(whole.spelled).lacking == {}
    assert rules_of(chains_of(real_lxd, guest)) == before


def test_the_bridges_rules_are_made_anew_while_connections_last(
    real_lxd: PrivateLxd, lxd: Lxd, guests: Guests, look: Callable[..., FiltersSeen]
) -> None:
    guest = guests.start()
    whole = look()
    config, interface = lxd.network_config(real_lxd.network), interface_of(guest)
    before = rules_of(chains_of_bridge(real_lxd))
    with connection_of(guest) as answers:
        assert answers()
        delete(chains_of_bridge(real_lxd))
        named = {BRIDGE: f"the chain in.{real_lxd.network} is gone"}
        assert look(whole.spelled).lacking == named
        assert not filters_work.restore_bridge(lxd, real_lxd.network).error
        assert answers()
    assert look(whole.spelled).lacking == {}
    assert rules_of(chains_of_bridge(real_lxd)) == before
    assert lxd.network_config(real_lxd.network) == config
    assert interface_of(guest) == interface
    assert answer_to(guests, guest, guest.gateway) == "hello"
    assert guests.start().address, "the bridge's DHCP answers"


def test_a_restart_of_lxd_makes_the_bridges_rules_anew_and_not_the_guests(
    fragile: PrivateLxd, fragile_lxd: Lxd
) -> None:
    guest = guests_of(fragile, fragile_lxd).start()
    delete(chains_of_bridge(fragile))
    delete(chains_of(fragile, guest))
    fragile.daemon.terminate()
    fragile.daemon.start()
    found = filters_work.look(fragile_lxd, Nftables(), configured(fragile), {}, 1)
    assert (found.error, set(found.lacking)) == ("", {guest.name})


def test_what_a_start_that_fails_leaves_is_deleted_when_its_instance_is_gone(
    real_lxd: PrivateLxd,
    lxd: Lxd,
    guests: Guests,
    look: Callable[..., FiltersSeen],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other, config = guests.start(), configured(real_lxd)
    name = naming.new_runner_name(INSTALLATION)
    metadata = {f"{marks.PREFIX}installation": INSTALLATION}
    template = real_lxd.template(memory="64KiB")
    request = instance_request(template, name=name, user_data="", metadata=metadata)
    # LXD itself deletes an ephemeral one, some time after its start has failed.
    lxd.create({**request, "ephemeral": False}, limit_s=30)
    with pytest.raises(LxdError):
        lxd.start(name, limit_s=30)
    left = {f"{hook}.{real_lxd.project}_{name}.eth0" for hook in ("in", "fwd")}
    assert left <= chains_of_guests(), "LXD leaves them"
    for instances in (lxd.instances, list):
        with monkeypatch.context() as patch:
            patch.setattr(lxd, "instances", instances)
            swept = filters_work.sweep(lxd, Nftables(), config)
        assert swept == Swept(), "the instance is there, whatever LXD's list says"
    assert left <= chains_of_guests()
    eventually(lambda: look().left_over == ())
    lxd.delete(name, limit_s=30)
    eventually(lambda: set(look().left_over) == left)
    swept = filters_work.sweep(lxd, Nftables(), config)
    assert (set(swept.chains), swept.error) == (left, "")
    assert not left & chains_of_guests()
    eventually(lambda: look().left_over == ())
    assert {chain for *_, chain in chains_of(real_lxd, other)} <= chains_of_guests()


def test_a_guest_that_is_gone_needs_no_filters(lxd: Lxd) -> None:
    assert not filters_work.restore(lxd, "no-such-guest").error
    with pytest.raises(NotFound):
        lxd.renew_filters("no-such-guest")


def test_a_guest_that_is_to_have_none_is_refused(lxd: Lxd, guests: Guests) -> None:
    guest = guests.start(filtered=False)
    with pytest.raises(Refused, match=r"its device eth0 has no security\.mac_filtering"):
        lxd.renew_filters(guest.name)
    assert "has no security.mac_filtering" in filters_work.restore(lxd, guest.name).error
