"""What guests reach, and that it stays so whatever others do to the kernel's rules."""

from __future__ import annotations

import socket
import subprocess
import threading
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from pylxd import Client

from supervisor.gateways.lxd import Lxd, LxdError
from tests.e2e.daemon_process import run_cli
from tests.e2e.internet import PORT, Internet, internet
from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import MakeWorld
    from tests.e2e.world import World

HEALED_S = 1.0
"""From the deed to the daemon's word that it is undone, both by this machine's clock."""
DENIED = "192.0.2.0/24, 2001:db8::/32"


def nft(*words: str) -> str:
    done = subprocess.run(["nft", *words], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def table(world: World) -> str:
    return f"github-runners.{world.installation}.{world.lxd.network}"


def has_table(world: World) -> bool:
    return f"table inet {table(world)}\n" in nft("list", "tables")


def rules(world: World) -> str:
    """List the rules, and what is denied; empty if there is no table."""
    if not has_table(world):
        return ""
    with suppress(subprocess.CalledProcessError):  # it has gone since, or its set
        chains = nft("--stateless", "--terse", "list", "table", "inet", table(world))
        denied = [nft("list", "set", "inet", table(world), f"denied{n}") for n in (4, 6)]
        return "\n".join([chains, *denied])
    return ""


def shown(world: World) -> dict[str, Any]:
    answer: dict[str, Any] = world.daemon.ask("/v1/firewall")
    return answer


def only_github(world: World) -> str:
    """Name the one place on this host that these jobs need, besides where guests report."""
    return world.github.url.removeprefix("http://")


@contextmanager
def greeter(address: str) -> Iterator[int]:
    """Greet who connects to a port of this host."""
    with socket.create_server((address, 0)) as server:

        def greet() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    with peer:
                        peer.sendall(b"hello\n")

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def greeted(address: str, port: int) -> bool:
    with socket.create_connection((address, port), timeout=5) as connection:
        return connection.recv(16).startswith(b"hello")


def address_of(world: World, name: str) -> str:
    endpoint = f"http+unix://{quote(str(world.lxd.daemon.socket), safe='')}"
    client = Client(endpoint=endpoint, project=world.lxd.project)
    network = client.api.instances[name].state.get().json()["metadata"]["network"]
    (found,) = [a["address"] for a in network["eth0"]["addresses"] if a["family"] == "inet"]
    return str(found)


def script_of(places: dict[str, tuple[str, int]]) -> str:
    """Write a job that says of each place whether somebody greets there."""
    lines = [
        f"if nc -w 3 {address} {port} </dev/null | grep -q hello; "
        f"then echo '{name}: reached'; else echo '{name}: not'; fi"
        for name, (address, port) in places.items()
    ]
    return "; ".join(lines)


def reached(log: str, places: dict[str, tuple[str, int]]) -> dict[str, bool]:
    found = {name: f"{name}: reached" in log for name in places}
    assert all(found[name] or f"{name}: not" in log for name in places), log
    return found


@pytest.fixture
def beyond() -> Iterator[Internet]:
    with internet() as made:
        yield made


@pytest.fixture
def guarded(make_world: MakeWorld) -> Iterator[World]:
    """Two runners, who reach on this host nothing but where they report, and GitHub."""
    with make_world(denylist=DENIED) as world:
        world.daemon.config["allowlist"] = only_github(world)
        yield world


def test_a_job_reaches_the_world_and_nothing_that_it_must_not(
    guarded: World, beyond: Internet
) -> None:
    world = guarded
    world.daemon.config["denylist"] = beyond.network(beyond.one)
    gate = world.gate()
    world.daemon.config["allowlist"] += f", {world.address}:{gate.port}"
    world.start()
    listen = "while true; do echo hello | nc -l -p 7777; done >/dev/null 2>&1 &"
    target = world.queue(f"{listen} {gate.script}")
    victim = world.wait_started(target)
    neighbour = address_of(world, victim)
    wait_until(lambda: _tried(neighbour, 7777), "this host reaches the other guest")
    with greeter(world.address) as port, greeter(beyond.near) as other_port:
        assert greeted(world.address, port)
        assert greeted(beyond.one, PORT)
        places = {
            "allowed host": (beyond.other, PORT),
            "denied host": (beyond.one, PORT),
            "port of the bridge": (world.address, port),
            "port of another address": (beyond.near, other_port),
            "other runner": (neighbour, 7777),
        }
        job = world.queue(script_of(places))
        (done,) = world.wait_completed(job)
    assert reached(done.log, places) == {
        "allowed host": True,
        "denied host": False,
        "port of the bridge": False,
        "port of another address": False,
        "other runner": False,
    }
    refused = world.daemon.cli("firewall", "--json")
    assert refused.returncode == 0
    # What goes to the other runner ends at the port of the bridge, by LXD's isolation.
    assert shown(world)["rejected"]["packets"] >= 3
    gate.open()
    world.wait_completed(target)
    world.wait_whole()


def _tried(address: str, port: int) -> bool:
    try:
        return greeted(address, port)
    except OSError:
        return False


def test_another_denylist_cuts_what_runs_at_once(guarded: World, beyond: Internet) -> None:
    world = guarded
    kept = world.gate()
    world.daemon.config["allowlist"] += f", {world.address}:{kept.port}"
    world.start()
    talk = "(while sleep 0.05; do echo still here; done) | nc {} {}; echo it has ended"
    cut = world.queue(talk.format(beyond.other, PORT))
    other = world.queue(kept.script)
    runner = world.wait_started(cut)
    world.wait_started(other)
    world.daemon.reload(denylist=beyond.network(beyond.other))
    wait_until(lambda: beyond.network(beyond.other) in rules(world), "it is denied")
    (done,) = world.wait_completed(cut)
    assert "it has ended" in done.log
    assert world.github.job(other).status == "in_progress"
    assert shown(world)["healed"] == 0
    # What was refused is that runner's, which is gone by now, or is about to go.
    world.daemon.cli("firewall")
    found = shown(world)
    of_runner = found["rejected_of"].get(runner, {"packets": 0})["packets"]
    assert of_runner + found["rejected_of_others"]["packets"] > 0
    kept.open()
    world.wait_completed(other)
    world.wait_whole()


DEEDS = {
    "the table is deleted": "delete table inet {}",
    "a chain is flushed": "flush chain inet {} guest",
    "an element is deleted": "delete element inet {} denied4 {{ 192.0.2.0/24 }}",
    "a rule is added": "insert rule inet {} guest accept",
    "it is put to sleep": "add table inet {} {{ flags dormant; }}",
}


def test_what_others_do_to_it_is_undone_within_a_second_while_jobs_run(guarded: World) -> None:
    world = guarded
    gate = world.gate()
    world.daemon.config["allowlist"] += f", {world.address}:{gate.port}"
    world.start()
    jobs = [world.queue(gate.script) for _ in range(2)]
    for job in jobs:
        world.wait_started(job)
    right = rules(world)
    assert right
    for count, (name, deed) in enumerate(DEEDS.items(), start=1):
        began = world.daemon.now()
        nft(*deed.format(table(world)).split())
        done = datetime.now(timezone.utc)
        wait_until(lambda n=count: shown(world)["healed"] == n, f"{name}: it is undone")
        assert (_told_of(world, "the firewall was changed, and is put back: ", began) - done) < (
            timedelta(seconds=HEALED_S)
        ), name
        assert rules(world) == right, name
    world.wait_sound()
    gate.open()
    world.wait_completed(*jobs)
    world.wait_whole()


def _told_of(world: World, text: str, since: int) -> datetime:
    """Say when the daemon has written a line that begins so."""
    (entry,) = [e for e in world.daemon.entries(since) if e["message"].startswith(text)]
    return datetime.fromisoformat(entry["time"])


def test_no_runner_starts_on_a_bridge_that_another_installation_guards(world: World) -> None:
    other = f"github-runners.other.{world.lxd.network}"
    nft(f"table inet {other} {{ chain c {{ }}; }}")
    try:
        world.daemon.start()
        wait_until(lambda: _says(world, "installation other guards"), "the refusal is shown")
        wait_until(
            lambda: world.status()["problems"] == [f"firewall: failing: {shown(world)['reason']}"],
            "nothing else is wrong",
        )
        assert f"nft delete table inet {other}" in shown(world)["reason"]
        world.reconcile()
        looked = world.daemon.cli("firewall")
        assert looked.returncode == 1
        assert looked.stdout.startswith("NOT in place: installation other guards")
        assert not has_table(world)
        assert world.is_empty()
        none = "none is created now: the firewall is not in place"
        wait_until(lambda: none in world.actor("fleet")["reason"], "the fleet says why it waits")
    finally:
        nft("delete", "table", "inet", other)
    assert world.daemon.cli("firewall").returncode == 0
    world.wait_whole()


def _says(world: World, words: str) -> bool:
    return any(words in problem for problem in world.status()["problems"])


def test_without_nft_no_runner_starts_until_it_is_there(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    world.daemon.start()
    wait_until(lambda: _says(world, "install nftables"), "it is said what is missing")
    assert world.is_empty()
    (tmp_path / "nft").symlink_to("/usr/sbin/nft")
    world.daemon.cli("firewall")
    monkeypatch.undo()
    world.wait_whole()


def test_a_denylist_that_nft_refuses_leaves_the_old_one_in_force(
    guarded: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = guarded
    program = tmp_path / "nft"
    works, fails = tmp_path / "works", tmp_path / "fails"
    works.symlink_to("/usr/sbin/nft")
    fails.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = -f ]; then echo "Error: Could not process rule: no room" >&2; exit 1; fi\n'
        'exec /usr/sbin/nft "$@"\n'
    )
    fails.chmod(0o755)
    program.symlink_to(works)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        world.daemon.start()
    world.wait_whole()
    before = world.names()
    right = rules(world)
    program.unlink()
    program.symlink_to(fails)
    world.daemon.reload(denylist="203.0.113.0/24", virtual_machines=3)
    wait_until(lambda: _says(world, "no room"), "the failure is shown")
    assert rules(world) == right
    assert world.names() == before
    program.unlink()
    program.symlink_to(works)
    world.wait_whole(3)
    assert "203.0.113.0/24" in rules(world)
    assert before < world.names()
    world.wait_sound()


def test_it_outlives_the_daemon_and_is_taken_over(guarded: World) -> None:
    world = guarded
    world.start()
    right = rules(world)
    world.daemon.kill()
    assert rules(world) == right
    world.daemon.start()
    wait_until(lambda: shown(world)["in_place"], "it is taken over")
    assert rules(world) == right
    assert shown(world)["healed"] == 0
    assert world.daemon.stop() < 5
    assert rules(world) == right


def test_it_is_removed_by_order_and_only_while_no_daemon_runs(guarded: World) -> None:
    world = guarded
    config = ("--config", str(world.daemon.config_path))
    world.start()
    refused = run_cli("remove-firewall", *config)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert "stop it first" in refused.stderr
    assert has_table(world)
    world.daemon.reload(virtual_machines=0)
    world.wait_empty()
    world.daemon.stop()
    removed = run_cli("remove-firewall", *config)
    assert (removed.returncode, removed.stdout) == (0, f"deleted nft table inet {table(world)}\n")
    assert not has_table(world)
    again = run_cli("remove-firewall", *config)
    assert again.stdout == f"there is no firewall of {world.installation}\n"


def test_a_firewall_that_others_keep_is_left_to_them(make_world: MakeWorld) -> None:
    with make_world(firewall="external", denylist=DENIED) as world:
        world.start()
        assert not has_table(world)
        assert any("firewall: external" in warning for warning in world.status()["warnings"])
        world.wait_sound()
        looked = world.daemon.cli("firewall")
        assert looked.returncode == 0
        assert looked.stdout.startswith("in place: firewall: external: it is left to others\n")


def test_a_crash_of_its_actor_leaves_the_rules_and_the_jobs(guarded: World) -> None:
    world = guarded
    world.crashes_are_meant = True
    gate = world.gate()
    world.daemon.config["allowlist"] += f", {world.address}:{gate.port}"
    world.start()
    job = world.queue(gate.script)
    world.wait_started(job)
    right = rules(world)
    world.daemon.crash("firewall")
    wait_until(lambda: world.actor("firewall")["restarts"] == 1, "it is started again")
    wait_until(lambda: shown(world)["in_place"], "it is in place")
    assert rules(world) == right
    gate.open()
    world.wait_completed(job)
    world.wait_whole()


def test_a_table_that_nfts_own_monitor_dies_of_harms_nothing(guarded: World) -> None:
    world = guarded
    world.start()
    theirs = f"theirs-{world.installation}"
    rule = "ct timeout t { protocol tcp; l3proto ip; policy = { close : 9 }; };"
    nft(f"table ip {theirs} {{ {rule} }}")
    nft("delete", "table", "ip", theirs)
    nft("delete", "table", "inet", table(world))
    wait_until(lambda: shown(world)["healed"] == 1, "it is put back")
    assert world.actor("firewall")["restarts"] == 0
    assert world.actor("fleet")["restarts"] == 0
    world.wait_whole()


def chains_of(world: World, *names: str) -> list[tuple[str, str, str]]:
    """Name the chains that LXD has for the bridge, and for guests."""
    of_bridge = [("inet", "lxd", f"{hook}.{world.lxd.network}") for hook in ("in", "out", "fwd")]
    owners = [f"{world.lxd.project}_{name}.eth0" for name in names]
    return [
        *of_bridge,
        *(("bridge", "lxd", f"{at}.{one}") for one in owners for at in ("in", "fwd")),
    ]


def lxds_rules(chains: list[tuple[str, str, str]]) -> list[str]:
    found = []
    for chain in chains:
        with suppress(subprocess.CalledProcessError):  # it is gone
            found.append(nft("list", "chain", *chain))
    return found


def delete(*chains: tuple[str, str, str]) -> None:
    for chain in chains:
        nft("flush", "chain", *chain)
        nft("delete", "chain", *chain)


def test_what_a_flush_takes_of_lxds_rules_is_put_back_too_while_jobs_run(guarded: World) -> None:
    world = guarded
    gate = world.gate()
    world.daemon.config["allowlist"] += f", {world.address}:{gate.port}"
    world.start()
    jobs = [world.queue(gate.script) for _ in range(2)]
    chains = chains_of(world, *(world.wait_started(job) for job in jobs))
    assert world.daemon.cli("firewall").returncode == 0
    right = lxds_rules(chains)
    assert len(right) == len(chains)
    delete(*chains)
    nft("delete", "table", "inet", table(world))  # that much the daemon hears of
    guests = chains[3:]
    wait_until(lambda: lxds_rules(guests) == right[3:], "guests are filtered")
    wait_until(lambda: lxds_rules(chains) == right, "the bridge's rules are back")
    wait_until(lambda: world.actor("filters")["details"]["restored"] == 3, "it is told")
    wait_until(lambda: world.actor("filters")["state"] == "ready", "all is well")
    looked = world.daemon.cli("firewall")
    assert (looked.returncode, looked.stdout.startswith("in place: ")) == (0, True)
    world.wait_sound()
    gate.open()
    world.wait_completed(*jobs)
    world.wait_whole()


def succeeds(lxd: Lxd, name: str, changes: dict[str, Any]) -> bool:
    """Change an instance, unless LXD is at work on it: it takes one change at a time."""
    try:
        lxd._call("spoil it", "patch", "instances", name, json=changes)
    except LxdError:
        return False
    return True


def test_guests_that_lxd_will_not_filter_are_named_and_replaced_when_they_have_no_job(
    guarded: World,
) -> None:
    world = guarded
    gate = world.gate()
    world.daemon.config["allowlist"] += f", {world.address}:{gate.port}"
    world.start()
    job = world.queue(gate.script)
    busy = world.wait_started(job)
    (idle,) = world.names() - {busy}
    lxd = Lxd(world.lxd.endpoint)
    for name in (busy, idle):
        # Without the option that the daemon changes, it has no way to have LXD filter again.
        device = {**lxd.instance(name).devices["eth0"]}
        del device["security.mac_filtering"]
        spoil = {"devices": {"eth0": device}}
        wait_until(partial(succeeds, lxd, name, spoil), "LXD has nothing else to do there")
        delete(*chains_of(world, name)[3:])
    looked = world.daemon.cli("firewall")
    assert looked.returncode == 1
    assert looked.stdout.startswith("NOT in place: without LXD's filters: ")
    assert f"without LXD's filters: {busy}\n" in looked.stdout
    assert any("filters: failing: " in problem for problem in world.status()["problems"])
    wait_until(lambda: idle not in world.names(), "the one without a job is replaced")
    wait_until(lambda: shown(world)["unfiltered"] == [busy], "the other is named still")
    assert world.github.job(job).status == "in_progress"
    gate.open()
    world.wait_completed(job)
    world.wait_whole()
    assert world.daemon.cli("firewall").returncode == 0
