from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from supervisor.cli import waiting
from supervisor.cli.client import ControlClient, ControlError, NotRunning
from supervisor.cli.waiting import (
    NotDone,
    until_built,
    until_checked,
    until_empty,
    until_gone,
    until_reconciled,
    until_upgraded,
)

WITHOUT_RUNNERS = "tree?runners=no"
"""Of a thousand runners the whole tree would be some 430 kB, four times a second."""


class Client(ControlClient):
    """A daemon's answers, one after another; the last one stays."""

    def __init__(self, **answers: list[Any]) -> None:
        self._answers = {path: iter(given) for path, given in answers.items()}
        self._last: dict[str, Any] = {}

    def get(self, path: str) -> Any:
        name = path.removeprefix("/v1/")
        self._last[name] = next(self._answers[name], self._last.get(name))
        if isinstance(self._last[name], Exception):
            raise self._last[name]
        return self._last[name]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.cli.waiting.time.sleep", lambda _seconds: None)


def runners(**stages: str) -> list[dict[str, str]]:
    return [{"name": name, "stage": stage} for name, stage in stages.items()]


def fleet(reconciles: int) -> dict[str, Any]:
    node = {"id": "fleet", "details": {"reconciles": reconciles}, "children": []}
    return {"id": "root", "children": [{"id": "core", "children": [node]}]}


def status(present: int, draining: str | None = None, *problems: str) -> dict[str, Any]:
    return {
        "present": present, "wanted": 2, "draining_since": draining, "problems": list(problems),
    }  # fmt: skip


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_it_waits_for_those_that_were_named_and_says_what_changes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = runners(a="busy", b="retiring", c="idle")
    client = Client(runners=[both, both, runners(a="busy", c="idle"), runners(c="idle", d="idle")])
    waiting.wait(until_gone(client, ["a", "b"]), limit_s=None)
    assert said(capsys) == ["2 of 2 are left: 1 busy, 1 retiring", "1 of 2 are left: 1 busy"]


def test_it_says_what_is_left_when_its_time_is_over() -> None:
    client = Client(runners=[runners(a="busy")])
    with pytest.raises(NotDone, match=r"not done within 0 s: 1 of 1 are left: 1 busy"):
        waiting.wait(until_gone(client, ["a"]), limit_s=0)


def test_a_daemon_that_is_restarted_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    client = Client(runners=[NotRunning("no daemon"), runners()])
    waiting.wait(until_gone(client, ["a"]), limit_s=None)
    assert said(capsys) == ["waits for the daemon: no daemon"]


def test_a_daemon_that_does_not_come_back_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def minutes() -> Iterator[float]:
        now = 0.0
        while True:
            yield now
            now += 20

    clock = minutes()
    monkeypatch.setattr(waiting.time, "monotonic", lambda: next(clock))
    client = Client(runners=[ControlError("gone")])
    with pytest.raises(ControlError, match="gone"):
        waiting.wait(until_gone(client, ["a"]), limit_s=None)


def test_a_drain_ends_when_nothing_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    client = Client(runners=[runners(a="busy"), []], status=[status(1, "2030-01-01T00:00:00Z")])
    waiting.wait(until_empty(client), limit_s=None)
    assert said(capsys) == ["1 are left: 1 busy"]


def test_a_drain_that_is_taken_back_is_not_waited_for() -> None:
    client = Client(
        runners=[runners(a="busy")], status=[status(1, "2030-01-01T00:00:00Z"), status(1)]
    )
    with pytest.raises(NotDone, match="taken back"):
        waiting.wait(until_empty(client), limit_s=None)


def test_a_reconcile_is_done_when_it_has_been_and_the_runners_are_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trees = [fleet(4), fleet(5)]
    client = Client(
        **{WITHOUT_RUNNERS: trees}, status=[status(1, None, "tokens: GitHub is down"), status(2)]
    )
    waiting.wait(until_reconciled(client, 5), limit_s=None)
    assert said(capsys) == [
        "compares what is with what is wanted",
        "1 of 2 runners are there; tokens: GitHub is down",
    ]


def test_a_fleet_that_was_restarted_meanwhile_has_reconciled_when_it_has_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    client = Client(**{WITHOUT_RUNNERS: [fleet(4), fleet(0), fleet(1)]}, status=[status(2)])
    waiting.wait(until_reconciled(client, 5), limit_s=None)
    assert said(capsys) == ["compares what is with what is wanted"]


def test_a_look_at_the_firewall_is_waited_for() -> None:
    shown = [{"checks": count, "incarnation": "a"} for count in (0, 6, 7, 8)]
    left = until_checked(Client(firewall=shown), {"done_by": 8, "incarnation": "a"})
    assert [left() for _ in shown] == ["looks at the firewall"] * 3 + [""]


def test_the_first_look_of_a_firewalls_actor_that_was_restarted_is_enough() -> None:
    shown = [{"checks": 7, "incarnation": "a"}, {"checks": 0, "incarnation": ""}]
    shown += [{"checks": count, "incarnation": "b"} for count in (0, 1)]
    left = until_checked(Client(firewall=shown), {"done_by": 8, "incarnation": "a"})
    assert [left() for _ in shown] == ["looks at the firewall"] * 3 + [""]


def upgrades(incarnation: str, *looks: int, progress: str = "") -> dict[str, Any]:
    names = ("runner application", "policy package")
    subjects = [
        {"what": what, "looks": count, "progress": progress}
        for what, count in zip(names, looks, strict=False)
    ]
    return {"incarnation": incarnation, "subjects": subjects}


def test_each_look_for_something_newer_is_waited_for() -> None:
    shown = [upgrades("a", 4, 1, progress="12 MiB"), upgrades("a", 5, 1), upgrades("a", 5, 2)]
    order = {"done_by": {"runner application": 5, "policy package": 2}, "incarnation": "a"}
    left = until_upgraded(Client(upgrades=shown), order)
    assert [left() for _ in shown] == [
        (
            "runner application: looks for a newer one: 12 MiB; "
            "policy package: looks for a newer one: 12 MiB"
        ),
        "policy package: looks for a newer one",
        "",
    ]


def test_the_first_looks_of_an_actor_of_upgrades_that_was_restarted_are_enough() -> None:
    shown = [upgrades("a", 4), upgrades(""), upgrades("b", 0), upgrades("b", 1)]
    order = {"done_by": {"runner application": 5}, "incarnation": "a"}
    left = until_upgraded(Client(upgrades=shown), order)
    looks = "runner application: looks for a newer one"
    assert [left() for _ in shown] == [looks, "waits for the actor of upgrades", looks, ""]


def image(incarnation: str, orders: int, **more: str) -> dict[str, Any]:
    given = {"state": "ready", "reason": "", "building": "", "lacks": "", **more}
    return {"incarnation": incarnation, "orders": orders, **given}


ORDER = {"done_by": 3, "incarnation": "a"}


def test_a_build_is_waited_for_step_by_step() -> None:
    shown = [
        image("a", 2),
        image("a", 2, lacks="guests can't report yet"),
        image("a", 2, building="another is being built: install packages"),
        image("", 0, state="down", reason="its actor is being started again"),
        image("a", 3),
    ]
    left = until_built(Client(image=shown), ORDER)  # type: ignore[arg-type]
    assert [left() for _ in shown] == [
        "waits for what is under way",
        "guests can't report yet",
        "another is being built: install packages",
        "its actor is being started again",
        "",
    ]


def test_a_build_whose_order_was_lost_is_not_waited_for() -> None:
    left = until_built(Client(image=[image("b", 0)]), ORDER)  # type: ignore[arg-type]
    with pytest.raises(NotDone, match="the order was lost"):
        left()
