from __future__ import annotations

from typing import Any

import pytest

from supervisor.supervision import Directory, NameTaken
from supervisor.supervision.cell import cell_of

LIMIT_S = 10.0


def test_telling_nobody_says_so_and_does_not_raise() -> None:
    assert Directory().tell("nobody", "hello") is False


def test_telling_a_dead_actor_says_so_and_does_not_raise(stage: Any) -> None:
    ref = stage.alone()
    stage.system.directory.register("a", ref)
    ref.stop(timeout=LIMIT_S)
    assert stage.system.directory.tell("a", "hello") is False
    assert stage.system.directory.ref("a") is None
    assert not stage.system.directory.alive("a")


def test_a_child_is_known_by_its_id_or_by_its_given_name(stage: Any) -> None:
    stage.root("fleet", stage.spec("runner", name="runner-7"))
    assert stage.system.directory.names() == ("fleet", "root", "runner-7")
    assert cell_of(stage.ref("runner-7")).path == "root/runner"


def test_a_message_told_while_on_start_runs_is_not_lost(stage: Any) -> None:
    stage.at_start["a"] = lambda probe: probe.system.directory.tell("a", "early")
    stage.root("a")
    assert stage.ask("a", lambda probe: probe.got) == ["early"]


def test_a_late_unregister_of_an_old_incarnation_changes_nothing(stage: Any) -> None:
    stage.root("a")
    before = stage.ref("a")
    stage.crash("a")
    after = stage.reborn("a", before)
    stage.system.directory.unregister("a", before)
    assert stage.system.directory.ref("a") is after


def test_a_name_belongs_to_one_living_actor(stage: Any) -> None:
    stage.root("a")
    with pytest.raises(NameTaken, match="'a' belongs to root/a"):
        stage.system.directory.register("a", stage.alone())


def test_a_dead_actors_name_can_be_taken(stage: Any) -> None:
    directory = stage.system.directory
    first, second = stage.alone(), stage.alone()
    directory.register("a", first)
    first.stop(timeout=LIMIT_S)
    directory.register("a", second)
    assert directory.ref("a") is second
    assert directory.alive("a")
