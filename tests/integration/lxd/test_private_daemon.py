"""What the private LXD leaves behind: nothing, however it ends."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import eventually

from sandbox.lxd_daemon import LxdDaemon, LxdDaemonError, processes_of, remove_leftovers
from sandbox.private_lxd import private_lxd
from supervisor.gateways.lxd import Lxd, LxdEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.private_lxd import PrivateLxd

    Build = Callable[..., dict[str, Any]]


def _traces(made: PrivateLxd) -> dict[str, bool]:
    """Look at the machine for all that a LXD with a running guest has there."""
    chains = subprocess.run(
        ["nft", "list", "ruleset"], capture_output=True, text=True, check=True
    ).stdout
    directory = str(made.daemon.directory)
    return {
        "processes": bool(processes_of(made.daemon.directory)),
        "bridge": Path(f"/sys/class/net/{made.network}").exists(),
        "chains": f".{made.network} " in chains,
        "mounts": directory in Path("/proc/self/mountinfo").read_text(),
        "directory": made.daemon.directory.exists(),
    }


def test_leaving_a_private_lxd_removes_all_of_it_with_guests_running(
    request_for: Build, real_lxd: PrivateLxd
) -> None:
    with private_lxd() as made:
        lxd = Lxd(made.endpoint)
        request = request_for("one")
        request["devices"]["eth0"]["network"] = made.network
        lxd.create(request, limit_s=30)
        lxd.start("one", limit_s=30)
        assert all(_traces(made).values())

    assert not any(_traces(made).values())
    assert Lxd(real_lxd.endpoint).server().pid == real_lxd.daemon.pid
    assert all(_traces(real_lxd).values()), "another LXD is not touched"


_KILLED = """
import sys, time
from sandbox.private_lxd import private_lxd
with private_lxd() as made:
    print(made.daemon.directory, made.network, flush=True)
    time.sleep(600)
"""


def test_a_private_lxd_is_gone_when_its_owner_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _KILLED], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        directory, network = owner.stdout.readline().decode().split()
        assert processes_of(Path(directory))
        owner.send_signal(signal.SIGKILL)

    eventually(lambda: not Path(directory).exists())
    assert processes_of(Path(directory)) == []
    assert not Path(f"/sys/class/net/{network}").exists()


def test_the_leftovers_of_a_killed_daemon_are_removed_and_its_records_stay(
    fragile: PrivateLxd, fragile_lxd: Lxd, fragile_request: Build
) -> None:
    fragile_lxd.create(fragile_request("one"), limit_s=30)
    fragile_lxd.start("one", limit_s=30)
    fragile.daemon.kill()
    assert processes_of(fragile.daemon.directory), "the guest lives on"
    guard = f"github-runners.somebody.{fragile.network}"
    subprocess.run(["nft", "add", "table", "inet", guard], check=True)

    remove_leftovers(fragile.daemon.directory)

    tables = subprocess.run(
        ["nft", "list", "tables"], capture_output=True, text=True, check=True
    ).stdout
    assert guard not in tables

    traces = _traces(fragile)
    assert [what for what, is_there in traces.items() if is_there] == ["mounts", "directory"]
    fragile.daemon.start()
    assert fragile_lxd.instance("one").status == "Stopped"
    fragile_lxd.start("one", limit_s=30)


def test_of_the_filters_of_ports_only_the_killed_daemons_are_removed(
    fragile: PrivateLxd, fragile_lxd: Lxd, fragile_request: Build, lxd: Lxd, request_for: Build
) -> None:
    # LXD's chains are named after the instance: names that no other test run has.
    mine, others = (f"one-{secrets.token_hex(4)}" for _ in range(2))
    for gateway, request in ((fragile_lxd, fragile_request(mine)), (lxd, request_for(others))):
        gateway.create(request, limit_s=30)
        gateway.start(request["name"], limit_s=30)
    assert mine in _port_filters()

    fragile.daemon.kill()
    remove_leftovers(fragile.daemon.directory)

    assert mine not in _port_filters()
    assert others in _port_filters()
    fragile.daemon.start()


def _port_filters() -> str:
    listing = ["nft", "list", "table", "bridge", "lxd"]
    return subprocess.run(listing, capture_output=True, text=True, check=True).stdout


def test_a_process_that_only_has_the_directory_in_its_environment_is_left_alone(
    fragile: PrivateLxd,
) -> None:
    directory = fragile.daemon.directory
    environment = {**os.environ, "LXD_DIR": str(directory)}
    with subprocess.Popen(["sleep", "600"], env=environment) as bystander:
        try:
            assert bystander.pid not in processes_of(directory)
            assert fragile.daemon.pid == processes_of(directory)[0]
        finally:
            bystander.kill()


def test_a_daemon_that_cannot_start_says_why_in_time(tmp_path: Path) -> None:
    (tmp_path / "database").write_text("in the way")
    daemon = LxdDaemon(tmp_path)

    start = time.monotonic()
    with pytest.raises(LxdDaemonError, match="LXD isn't ready within 20 s"):
        daemon.start(limit_s=20)

    assert time.monotonic() - start < 10, "it does not wait for a daemon that has ended"
    assert daemon.pid is None


def test_a_machine_without_lxd_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(LxdDaemonError, match="no lxd in the PATH; on Debian: apt-get install lxd"):
        LxdDaemon(tmp_path / "lxd").start()


def test_shutting_down_stops_guests_and_a_later_start_knows_the_images(
    fragile: PrivateLxd, fragile_lxd: Lxd, fragile_request: Build
) -> None:
    request = {**fragile_request("one"), "ephemeral": False}
    fragile_lxd.create(request, limit_s=30)
    fragile_lxd.start("one", limit_s=30)

    fragile.daemon.shut_down(instances_limit_s=5)

    assert not Path(f"/sys/class/net/{fragile.network}").exists()
    eventually(lambda: processes_of(fragile.daemon.directory) == [])
    fragile.daemon.start()
    lxd = Lxd(LxdEndpoint(fragile.daemon.socket, fragile.project, 10))
    assert lxd.instance("one").status == "Stopped"
    assert lxd.image(fragile.image)
