"""What is secret stays where it belongs."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from supervisor.runners.instances import USER_DATA
from tests.e2e.conftest import TOKEN
from tests.e2e.daemon_process import run_cli
from tests.e2e.secrecy import Processes
from tests.e2e.waits import wait_until
from tests.e2e.world import PRESENT

if TYPE_CHECKING:
    from tests.e2e.world import World

ANOTHER_TOKEN = "ghp_another"
ANSWERS = ("/v1/tree", "/v1/status", "/v1/runners", "/v1/version")


def test_no_secret_is_logged_shown_in_arguments_or_environments_or_left_behind(
    world: World,
) -> None:
    world.daemon.config["lxd"]["timeout"] = "2s"
    world.secrets.known.add(ANOTHER_TOKEN)
    with Processes() as processes:
        # Failures too, as their messages quote what went wrong.
        refused = world.fail(method="POST", path_pattern="*/generate-jitconfig", status=500)
        world.daemon.start()
        world.hits(refused, 2)
        shown = told(world)
        world.github.faults.clear()
        world.wait_whole()
        assert world.learn_signal_tokens() == 2
        wait_until(lambda: not holding_user_data(world), "LXD has nothing of what guests took")
        shown += told(world)
        held = world.fail(method="POST", path_pattern="*/generate-jitconfig", held=True)
        world.daemon.reload(virtual_machines=3)
        world.hits(held)
        with world.lxd_paused():
            world.github.faults.clear()
            wait_until(lambda: world.daemon.said("failed: could not create"), "LXD times out")
        shown += told(world)
        gate = world.gate()
        jobs = [world.queue(gate.script) for _ in range(3)]
        for job in jobs:
            world.wait_started(job)
        assert world.learn_signal_tokens() >= 3
        wait_until(lambda: not holding_user_data(world), "LXD has nothing of what busy ones took")
        # Its files are written after what it answers.
        wait_until(lambda: not world.secrets.found_in(kept_by_lxd(world)), "nor have its files")
        shown += told(world) + kept_by_lxd(world)
        gate.open()
        world.wait_completed(*jobs)
        wait_until(lambda: len(world.names()) == 3, "the fleet is back")
        world.daemon.write(f"token: {ANOTHER_TOKEN}\nname: [{ANOTHER_TOKEN}]\n")
        world.daemon.send(signal.SIGHUP)
        wait_until(lambda: world.status()["problems"], "the file is refused")
        shown += told(world)
        shown.append(run_cli("check-config", "--config", str(world.daemon.config_path)).stderr)
    assert processes.rounds > 10
    assert {TOKEN, ANOTHER_TOKEN} < world.secrets.known
    assert len(world.secrets.known) > 15
    assert world.secrets.found_in([*shown, *processes.arguments, *lxd_log(world)]) == []
    directory = world.daemon.config_path.parent
    assert world.daemon.socket.exists()
    world.daemon.send(signal.SIGSTOP)  # or files might go between two looks
    for path in directory.rglob("*"):
        assert path.stat().st_mode & 0o007 == 0 or path == world.daemon.log, path
    used = set()
    for secret in world.secrets.known:
        namespaces = processes.namespaces_with(secret)
        # Each guest's application has its own registration's, and nobody else has.
        assert processes.namespace not in namespaces, secret[:12]
        assert len(namespaces) <= (1 if secret in world.secrets.configurations else 0), secret[:12]
        used |= namespaces
    # Those held at the gate; others may have come and gone between two looks.
    assert len(used) >= 3


def told(world: World) -> list[str]:
    """Collect what people are told at this moment, by all means there are."""
    commands = [world.daemon.cli(name) for name in ("tree", "status", "runners")]
    processes = subprocess.run(
        ["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True
    )
    return [
        *(json.dumps(world.daemon.ask(path)) for path in ANSWERS),
        *(done.stdout + done.stderr for done in commands),
        processes.stdout,
    ]


def holding_user_data(world: World) -> list[str]:
    """Name the runners that are of use and whose instance still holds what they were given."""
    present = world.names(PRESENT)
    found = world.configurations()
    return [name for name in present if USER_DATA in found.get(name, {})]


def kept_by_lxd(world: World) -> list[str]:
    """Read what LXD keeps in files of each instance that is of use."""
    pools = world.lxd.daemon.directory / "storage-pools"
    files = [next(pools.glob(f"*/containers/*{name}/backup.yaml")) for name in world.names(PRESENT)]
    assert files
    return [path.read_text() for path in files]


def lxd_log(world: World) -> list[str]:
    """Read LXD's own logs."""
    directory = world.lxd.daemon.directory
    texts = [world.lxd.daemon.log.read_text(errors="replace")]
    for path in (directory / "logs").rglob("*"):
        with suppress(OSError):  # an instance's, which has gone
            if path.is_file():
                texts.append(path.read_text(errors="replace"))
    return texts
