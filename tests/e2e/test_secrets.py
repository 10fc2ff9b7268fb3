"""What is secret stays where it belongs."""

from __future__ import annotations

import base64
import re
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import Self

from supervisor.gateways.lxd import Lxd
from tests.e2e.conftest import TOKEN
from tests.e2e.world import run_cli, wait_until

if TYPE_CHECKING:
    from typing_extensions import Self

    from tests.e2e.world import World


class CommandLines:
    """Reads the command lines of all processes of this machine, again and again."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self.rounds = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._done.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):  # it has ended
                    self.seen.add(path.read_bytes())
            self.rounds += 1


def test_no_secret_is_logged_shown_in_arguments_or_readable_by_others(world: World) -> None:
    world.daemon.config["lxd"]["timeout"] = "2s"
    tokens: set[str] = set()
    with CommandLines() as lines:
        # Failures too, as their messages quote what went wrong.
        refused = world.fail(method="POST", path_pattern="*/generate-jitconfig", status=500)
        world.daemon.start()
        world.hits(refused, 2)
        world.github.faults.clear()
        world.wait_whole()
        tokens |= secrets_of(world)
        held = world.fail(method="POST", path_pattern="*/generate-jitconfig", delay_s=0.5)
        world.daemon.reload(virtual_machines=3)
        world.hits(held)
        with world.lxd_paused():
            wait_until(lambda: world.daemon.said("failed: could not create"), "LXD times out")
        world.github.faults.clear()
        world.wait_completed(*(world.queue() for _ in range(3)))
        wait_until(lambda: len(world.names()) == 3, "the fleet is back")
        tokens |= secrets_of(world)
        world.daemon.write("token: ghp_another\nname: [ghp_another]\n")
        world.daemon.send(signal.SIGHUP)
        wait_until(lambda: world.status()["problems"], "the file is refused")
        shown = [world.daemon.cli(name).stdout for name in ("tree", "status", "runners")]
        shown.append(run_cli("check-config", "--config", str(world.daemon.config_path)).stderr)
    assert lines.rounds > 10
    tokens |= {TOKEN, "ghp_another"}
    assert len(tokens) > 10
    for text in (world.daemon.log.read_text(), *shown, b"\n".join(lines.seen).decode("latin-1")):
        assert not [token for token in tokens if token in text]
    directory = world.daemon.config_path.parent
    assert world.daemon.socket.exists()
    for path in directory.rglob("*"):
        assert path.stat().st_mode & 0o007 == 0 or path == world.daemon.log, path


def secrets_of(world: World) -> set[str]:
    """Collect what the guests were given, whole and decoded."""
    found = {runner.token for runner in world.github.runners()}
    for instance in Lxd(world.lxd.endpoint).instances():
        if instance.name not in world.instances():
            continue
        script = instance.config["cloud-init.user-data"]
        jit = re.search(r"^JIT_CONFIG='?([^'\n]+)", script, re.MULTILINE)
        token = re.search(r"^SIGNAL_TOKEN='?([^'\n]+)", script, re.MULTILINE)
        assert jit
        assert token
        assert base64.b64decode(jit[1])
        found |= {jit[1], token[1]}
    return found
