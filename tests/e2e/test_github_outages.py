"""GitHub fails in all the ways it can: runners stay, calls are few, the reason is shown."""

from __future__ import annotations

from itertools import pairwise
from operator import ge
from typing import TYPE_CHECKING

import pytest

from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from tests.e2e.world import World

API = "*/actions/runners*"
REGISTER = {"method": "POST", "path_pattern": "*/generate-jitconfig"}


@pytest.mark.parametrize(
    ("fault", "blamed"),
    [
        ({"status": 500}, "500"),
        ({"drop_connection": True}, "can't be reached"),
        ({"status": 403, "message": "Resource not accessible"}, "Self-hosted runners: write"),
    ],
)
def test_runners_stay_while_github_fails_and_the_fleet_recovers_by_itself(
    world: World, fault: dict[str, Any], blamed: str
) -> None:
    world.daemon.config["reconcile-interval"] = "2s"
    world.daemon.hurry("supervisor.github.gate._FIRST_DELAY_S", 0.2)
    world.start()
    before = world.names()
    failing = world.fail(path_pattern=API, **fault)
    # A job costs a runner, and its successor can't be registered.
    gate = world.gate()
    job = world.queue(gate.script)
    busy = world.wait_started(job)
    gate.open()
    world.wait_completed(job)
    wait_until(lambda: busy not in world.runners(), "its runner is gone")
    wait_until(lambda: blamed in " ".join(world.status()["problems"]), "the reason is shown")
    world.hits(failing, 4)
    assert world.names() == before - {busy}
    world.github.faults.clear()
    world.wait_whole()
    world.wait_sound()
    assert world.names() & before == before - {busy}


def test_a_failing_registration_is_tried_ever_more_seldom(world: World) -> None:
    world.fail(status=500, **REGISTER)
    world.daemon.hurry("supervisor.github.gate._FIRST_DELAY_S", 0.5)
    world.daemon.start()

    def tried_at() -> list[datetime]:
        calls = world.github.calls()
        # Each try asks twice, with a look between at whether the first has done it.
        return [call.at for call in calls if call.path.endswith("/generate-jitconfig")][::2]

    wait_until(lambda: len(tried_at()) >= 4, "it is tried for the fourth time")
    pauses_s = [(after - before).total_seconds() for before, after in pairwise(tried_at()[:4])]
    assert all(map(ge, pauses_s, (0.5, 1.0, 2.0))), pauses_s
    world.github.faults.clear()
    world.wait_whole()


def test_a_wrong_token_is_named_and_another_one_is_taken_from_its_file(world: World) -> None:
    token_file = world.daemon.config_path.with_name("token")
    token_file.touch(mode=0o600)
    token_file.write_text("ghp_wrong\n")
    right = world.daemon.config.pop("token")
    world.daemon.config["token-file"] = str(token_file)
    calls = world.watch("*", API)
    world.daemon.start()
    wait_until(
        lambda: "is wrong, expired or revoked" in " ".join(world.status()["problems"]),
        "the reason is shown",
    )
    assert world.github.faults.hits(calls) <= 10
    token_file.write_text(f"{right}\n")  # and nobody tells the daemon
    world.wait_whole()
    world.wait_sound()


def test_registrations_whose_answers_were_lost_leave_no_orphans(world: World) -> None:
    lost = world.fail(**REGISTER, drop_connection=True, after_processing=True, times=3)
    world.daemon.start()
    world.hits(lost, 3)
    world.wait_whole()
    assert set(world.registrations()) == world.names()


def test_a_github_that_is_slow_holds_up_neither_jobs_nor_answers(world: World) -> None:
    world.start()
    slow = world.fail(path_pattern=API, delay_s=3)
    first, second = world.queue(), world.queue()
    world.wait_completed(first, second)
    world.hits(slow)
    assert world.daemon.cli("status").returncode == 0
    assert world.daemon.cli("tree").returncode == 0
    world.github.faults.clear()
    world.wait_whole()
