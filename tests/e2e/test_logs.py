"""What a failed guest had to say is there when it has gone, and holds no secret."""

from __future__ import annotations

import json
import signal
import stat
from typing import TYPE_CHECKING, Any

from supervisor.gateways.lxd import Lxd
from tests.e2e.waits import wait_until
from tests.e2e.world import World

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeWorld

# A guest whose root writes all that it was given wherever it can, and then fails.
_GIVEN = "cat /proc/[0-9]*/environ /var/lib/github-runner-guest/endpoint | tr '\\0' '\\n'"
BETRAYAL = f"""
{_GIVEN} >/dev/console
mkdir -p /opt/actions-runner/_diag
{_GIVEN} >/opt/actions-runner/_diag/all.log
. /var/lib/github-runner-guest/hook.sh
signal 'signal=failed
reason=on purpose'
"""


def kept(world: World) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = world.daemon.ask("/v1/logs")
    return listed


def test_a_guest_that_says_it_failed_leaves_its_logs(make_world: MakeWorld) -> None:
    with make_world(virtual_machines=0) as world:
        # An image without the application, and nowhere to fetch it from once the daemon has it.
        world.daemon.config["lxd"]["image"] = world.lxd.image
        world.daemon.start()
        # The daemon answers before it has an actor for them.
        wait_until(lambda: world.actor("upgrades")["state"] == "ready", "upgrades are looked for")
        assert world.daemon.cli("upgrade", "--now", "--wait", "--timeout", "30").returncode == 0
        world.fail(method="GET", path_pattern="*/releases/download/*", status=404)
        world.daemon.configure(virtual_machines=1)
        world.daemon.send(signal.SIGHUP)
        wait_until(lambda: kept(world), "logs are kept")
        listed = json.loads(world.daemon.cli("logs", "--json").stdout)
        name = listed[0]["runner"]
        assert "the application could not be fetched" in listed[0]["reason"]
        shown = world.daemon.cli("logs")
        assert shown.returncode == 0
        assert name in shown.stdout
        told = world.daemon.cli("logs", name)
        assert told.returncode == 0
        assert told.stdout.startswith(f"runner: {name}\n")
        assert "guest: failed: the application could not be fetched" in told.stdout


def test_a_guest_that_boots_too_long_leaves_its_logs(make_world: MakeWorld) -> None:
    with make_world(virtual_machines=1, limits={"booting": "3s"}) as world, world.dhcp_paused():
        world.daemon.start()
        wait_until(lambda: kept(world), "logs are kept")
        assert kept(world)[0]["reason"].startswith("took too long: waits for the guest's ready")


def test_logs_hold_nothing_that_the_guest_was_given(world: World) -> None:
    world.start()
    world.learn_signal_tokens()
    name = min(world.names())
    # Or its application would end, and the guest with it, before its logs are saved.
    registered = world.fail(method="DELETE", path_pattern="*/actions/runners/*", held=True)
    lxd = Lxd(world.lxd.endpoint)
    lxd.output_of(name, ("/bin/sh", "-c", BETRAYAL), most_bytes=1000, limit_s=10)
    wait_until(lambda: kept(world), "logs are kept")
    world.github.faults.remove(registered)
    text = world.daemon.cli("logs", name).stdout
    assert "reason: the guest says: on purpose" in text
    assert text.count("ACTIONS_RUNNER_INPUT_JITCONFIG=[withheld]") >= 2
    files = list((world.daemon.config_path.parent / "state" / "logs").iterdir())
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600]
    assert world.secrets.found_in([text, *(path.read_text() for path in files)]) == []
    missing = world.daemon.cli("logs", "nobody")
    assert (missing.returncode, missing.stdout, missing.stderr.count("\n")) == (1, "", 1)
