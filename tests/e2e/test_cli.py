"""The commands, against a daemon that lives, that is dead, and that is not ours."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
import requests

from sandbox.application import VERSION
from tests.e2e.daemon_process import run_cli
from tests.e2e.waits import wait_until
from tests.e2e.world import walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import MakeWorld
    from tests.e2e.world import World

NOBODY = 65534
FIXED = {
    "root", "tokens", "runners", "signals", "storage", "firewall", "policy", "fleet", "events",
    "filters", "upgrades", "image",
    "core", "control", "metrics", "journal",
}  # fmt: skip


@pytest.fixture(scope="module")
def running(make_world: MakeWorld) -> Iterator[World]:
    """One daemon for all: the commands change nothing."""
    with make_world() as world:
        world.start()
        yield world


def test_the_tree_in_a_pipe_is_plain_text_with_every_actor(running: World) -> None:
    shown = running.daemon.cli("tree")
    assert shown.returncode == 0
    assert "\x1b" not in shown.stdout
    for name in FIXED | running.names():
        assert any(name in line for line in shown.stdout.splitlines()), name


def test_the_tree_as_json_is_what_the_daemon_answers(running: World) -> None:
    shown = running.daemon.cli("tree", "--json")
    root = json.loads(shown.stdout)
    assert {node["id"] for node in walk(root)} == FIXED | running.names()
    assert all(node["alive"] for node in walk(root))


def test_the_status_says_how_many_there_are(running: World) -> None:
    shown = running.daemon.cli("status")
    assert shown.returncode == 0
    assert "2 of 2 runners are there" in shown.stdout
    answer = json.loads(running.daemon.cli("status", "--json").stdout)
    assert (answer["wanted"], answer["present"], answer["problems"]) == (2, 2, [])


def test_monitoring_is_told_in_a_word_that_all_is_well(running: World) -> None:
    assert running.daemon.ask("/v1/health") == {"state": "ok", "problems": []}


def test_the_fleet_is_shown_on_a_terminal_without_colours_until_it_is_left(running: World) -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "supervisor", "top", "--socket", str(running.daemon.socket)]
    environment = {**os.environ, "TERM": "vt100"}
    shown = bytearray()

    def shows(words: str) -> bool:
        if select.select([leader], [], [], 0)[0]:
            shown.extend(os.read(leader, 65536))
        return words.encode() in shown

    with subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=environment
    ) as top:
        try:
            wait_until(lambda: shows("2 of 2 runners are there"), "the fleet is shown")
            wait_until(lambda: all(shows(name) for name in running.names()), "its runners are")
            os.write(leader, b"q")
            # What it still writes must be read, or it waits for that.
            wait_until(lambda: shows("?1049l") and top.poll() is not None, "it is left")
        finally:
            top.kill()
            os.close(follower)
            os.close(leader)
    assert top.returncode == 0
    assert not re.search(rb"\x1b\[[0-9;]*[34]8;", shown)


def test_prometheus_is_told_the_same(running: World) -> None:
    port = running.daemon.config["metrics"]["port"]
    lines = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text.splitlines()
    assert "github_runner_supervisor_runners_wanted 2.0" in lines
    assert "github_runner_supervisor_problems 0.0" in lines
    for part in ("firewall", "github", "image", "policy", "signals", "storage"):
        assert f'github_runner_supervisor_part_in_place{{part="{part}"}} 1.0' in lines


def test_the_runners_are_listed_with_their_stages(running: World) -> None:
    shown = running.daemon.cli("runners")
    assert all(name in shown.stdout for name in running.names())
    listed = json.loads(running.daemon.cli("runners", "--json").stdout)
    assert {runner["name"] for runner in listed} == running.names()


def test_a_reconcile_can_be_ordered(running: World) -> None:
    listing = running.watch("GET", "*/actions/runners")
    assert running.daemon.cli("reconcile").returncode == 0
    running.hits(listing)
    running.github.faults.clear()


def test_what_is_kept_current_is_shown_and_looked_for_on_order(running: World) -> None:
    shown = running.daemon.cli("upgrades")
    assert (shown.returncode, shown.stdout.count(VERSION)) == (0, 2)
    looked = running.daemon.cli("upgrade", "--now", "--wait", "--timeout", "30")
    assert looked.returncode == 0
    assert looked.stdout.startswith(f"runner application: {VERSION} is the latest")


def test_a_crash_of_nobody_is_refused_in_one_line(running: World) -> None:
    refused = running.daemon.cli("crash", "nobody")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "nobody" in line


def test_a_user_who_may_not_ask_is_told_so(make_world: MakeWorld) -> None:
    with TemporaryDirectory() as directory:
        # Everybody may come as far as the socket itself.
        Path(directory).chmod(0o711)
        control = {"socket": f"{directory}/control.sock"}
        with make_world(virtual_machines=0, control=control) as world:
            world.daemon.start()
            refused = world.daemon.cli("status", user=NOBODY)
    assert refused.returncode == 4, refused.stderr
    (line,) = refused.stderr.splitlines()
    assert "access denied" in line


def test_nobody_runs_and_the_commands_say_so(tmp_path: Path) -> None:
    for name in ("tree", "status", "runners", "reconcile"):
        refused = run_cli(name, "--socket", str(tmp_path / "none.sock"))
        assert refused.returncode == 3
        (line,) = refused.stderr.splitlines()
        assert "no daemon is running" in line


def test_a_killed_daemon_counts_as_none(world: World) -> None:
    world.daemon.start()
    world.daemon.kill()
    assert world.daemon.socket.exists()
    assert world.daemon.cli("status").returncode == 3


def test_without_leave_to_debug_nobody_crashes(make_world: MakeWorld) -> None:
    with make_world(virtual_machines=0) as world:
        world.daemon.config["control"]["debug"] = False
        world.daemon.start()
        assert world.daemon.cli("crash", "fleet").returncode == 1
        wait_until(lambda: world.actor("fleet")["state"] == "keeping", "the fleet is up")
        assert world.actor("fleet")["restarts"] == 0
