"""Orders on the control socket, and what those who are concerned are told."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_actors import Inbox
from fake_world import World
from flask.testing import FlaskClient
from waiting import LIMIT_S, eventually

from supervisor.control import make_app, orders
from supervisor.lifecycle import DeletionOrdered, Life, Stage
from supervisor.messages.firewall import CheckFirewall, CheckOrdered
from supervisor.messages.fleet import Drain, Reconcile, Resume
from supervisor.messages.image import BuildImage, BuildOrdered, BuildRefused
from supervisor.messages.runner import Happened
from supervisor.messages.upgrades import UpgradesOrdered
from supervisor.observation.feed import Kind
from supervisor.runners.roster import Entry
from supervisor.supervision import ChildSpec, System

MakeWorld = Callable[..., World]


class Fleet:
    """A fleet that keeps what it is told, as its runners do, and the client that orders."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.told: dict[str, list[object]] = {}
        self.client: FlaskClient = make_app(world.system, world.parts, debug=False).test_client()

    def run(self, *names: str, answer: object = None) -> Fleet:
        self.told = {name: [] for name in names}
        system = self.world.system
        self.world.run(
            *(
                ChildSpec(name, lambda got=got: Inbox.start(system, got, answer))
                for name, got in self.told.items()
            )
        )
        return self

    def has(self, name: str, stage: Stage) -> None:
        entry = Entry(name, "new", Life(stage, self.world.clock.now()))
        self.world.parts.roster.put(entry)


@pytest.fixture
def fleet(make_world: MakeWorld) -> Fleet:
    return Fleet(make_world())


def test_a_reconcile_says_when_it_will_be_done(fleet: Fleet) -> None:
    answer = fleet.run("fleet", answer=7).client.post("/v1/reconcile")
    assert (answer.status_code, answer.json) == (202, {"done_by": 7})
    assert fleet.told["fleet"] == [Reconcile("ordered on the control socket")]


def test_a_reconcile_that_nobody_hears_is_refused(fleet: Fleet) -> None:
    answer = fleet.run("another").client.post("/v1/reconcile")
    assert answer.status_code == 503
    assert answer.json == {"error": "the fleet is being restarted; try again"}


@pytest.mark.parametrize(
    ("whom", "told", "waited_for"),
    [
        ("", {"idle": False}, {"idle"}),
        ("?whom=all", {"idle": False, "boots": False}, {"idle", "boots", "busy"}),
        (
            "?whom=force",
            {"idle": True, "boots": True, "busy": True},
            {"idle", "boots", "busy"},
        ),
    ],
)
def test_a_flush_tells_those_whom_it_concerns(
    fleet: Fleet, whom: str, told: dict[str, bool], waited_for: set[str]
) -> None:
    fleet.run("idle", "boots", "busy")
    for name, stage in (("idle", Stage.IDLE), ("boots", Stage.BOOTING), ("busy", Stage.BUSY)):
        fleet.has(name, stage)
    answer = fleet.client.post(f"/v1/flush{whom}")
    assert answer.status_code == 202
    assert set((answer.json or {})["runners"]) == waited_for
    for name, force in told.items():
        order = Happened(DeletionOrdered("flushed by order", force=force, stands=True))
        eventually(lambda name=name, order=order: fleet.told[name] == [order])
    assert all(not got for name, got in fleet.told.items() if name not in told)
    meant = whom.removeprefix("?whom=") or "idle"
    (order,) = fleet.world.told
    assert order.reason == f"{meant}: {len(told)} of {len(waited_for)} runners at once"
    assert any(f"flush ordered, {order.reason}" in line for line in fleet.world.logged)


def test_a_flush_says_who_has_not_heard_of_it_and_has_nobody_wait_for_them(fleet: Fleet) -> None:
    fleet.run("here")
    for name in ("here", "away"):
        fleet.has(name, Stage.IDLE)
    answer = fleet.client.post("/v1/flush")
    assert (answer.status_code, answer.json) == (202, {"runners": ["here"], "missed": ["away"]})
    assert [(told.subject, told.state, told.reason) for told in fleet.world.told] == [
        ("flush", "ordered", "idle: 2 of 2 runners at once"),
        ("flush", "refused", "not told, as their actors are being restarted: away"),
    ]


def test_a_flush_of_nobody_knows_whom_is_refused(fleet: Fleet) -> None:
    answer = fleet.client.post("/v1/flush?whom=everyone")
    assert answer.status_code == 400
    assert answer.json == {"error": "whom: must be one of idle, all, force"}


def test_a_runner_is_deleted_by_its_name(fleet: Fleet) -> None:
    fleet.run("one").has("one", Stage.IDLE)
    assert fleet.client.delete("/v1/runners/one").json == {"runners": ["one"]}
    order = DeletionOrdered("deleted by order", stands=True)
    eventually(lambda: fleet.told["one"] == [Happened(order)])


def test_a_busy_runner_is_deleted_by_force_only(fleet: Fleet) -> None:
    fleet.run("one").has("one", Stage.BUSY)
    refused = fleet.client.delete("/v1/runners/one")
    assert refused.status_code == 409
    assert "--force" in str(refused.json)
    assert fleet.told["one"] == []
    assert fleet.client.delete("/v1/runners/one?force").status_code == 202
    forced = Happened(DeletionOrdered("deleted by order", force=True, stands=True))
    eventually(lambda: fleet.told["one"] == [forced])


@pytest.mark.parametrize("name", ["nobody", "..", "%2e%2e%2fx", "a" * 300])
def test_nobody_is_deleted_by_a_name_that_no_runner_has(fleet: Fleet, name: str) -> None:
    answer = fleet.client.delete(f"/v1/runners/{name}")
    assert answer.status_code in {404, 405}
    assert "error" in (answer.json or {})


def test_a_runner_whose_actor_is_restarted_can_be_deleted_a_moment_later(fleet: Fleet) -> None:
    fleet.has("one", Stage.IDLE)
    answer = fleet.client.delete("/v1/runners/one")
    assert answer.status_code == 503
    assert answer.json == {"error": "one is being restarted; try again"}
    assert [one.state for one in fleet.world.told] == ["ordered", "refused"]


def test_a_drain_stands_until_it_is_taken_back(fleet: Fleet) -> None:
    fleet.run("fleet")
    assert fleet.client.post("/v1/drain").status_code == 202
    assert fleet.world.parts.drain.since == fleet.world.clock.now()
    assert (fleet.client.get("/v1/status").json or {})["draining_since"]
    assert fleet.client.post("/v1/resume").status_code == 202
    assert fleet.world.parts.drain.since is None
    eventually(lambda: fleet.told["fleet"] == [Drain(), Resume()])


def test_a_drain_is_ordered_also_while_the_fleet_is_restarted(fleet: Fleet) -> None:
    assert fleet.client.post("/v1/drain").status_code == 202
    assert fleet.world.parts.drain.since


def test_a_drain_that_can_not_be_noted_is_refused_and_changes_nothing(fleet: Fleet) -> None:
    fleet.run("fleet")
    fleet.world.state.parent.mkdir(parents=True, exist_ok=True)
    fleet.world.state.write_text("a file where the directory should be")
    refused = fleet.client.post("/v1/drain")
    assert refused.status_code == 500
    assert "nothing is changed" in str(refused.json)
    assert fleet.world.parts.drain.since is None
    assert fleet.told["fleet"] == []


def test_what_is_no_order_is_answered_in_json(fleet: Fleet) -> None:
    answer = fleet.client.post("/v1/nonsense")
    assert answer.status_code == 404
    assert answer.json == {"error": "the daemon refuses POST /v1/nonsense: not found"}


def test_a_look_at_the_firewall_says_when_it_will_be_done(fleet: Fleet) -> None:
    ordered = CheckOrdered(done_by=3, incarnation="a")
    answer = fleet.run("firewall", answer=ordered).client.post("/v1/firewall")
    assert (answer.status_code, answer.json) == (202, {"done_by": 3, "incarnation": "a"})
    assert fleet.told["firewall"] == [CheckFirewall(with_runners=True)]


def test_a_look_at_a_firewall_that_nobody_keeps_is_refused(fleet: Fleet) -> None:
    answer = fleet.run("another").client.post("/v1/firewall")
    assert answer.status_code == 503
    assert answer.json == {"error": "the firewall is being restarted; try again"}
    shown = fleet.client.get("/v1/firewall").json
    assert (shown["in_place"], shown["state"]) == (False, "down")


def test_a_look_for_newer_versions_says_when_it_will_be_done(fleet: Fleet) -> None:
    ordered = UpgradesOrdered({"runner application": 3}, incarnation="a")
    answer = fleet.run("upgrades", answer=ordered).client.post("/v1/upgrades")
    told = {"done_by": {"runner application": 3}, "incarnation": "a"}
    assert (answer.status_code, answer.json) == (202, told)
    assert [message.fresh_s for message in fleet.told["upgrades"]] == [0.0]


def test_a_build_of_the_image_is_ordered_and_answered_with_when_it_is_done(fleet: Fleet) -> None:
    ordered = BuildOrdered(done_by=3, incarnation="a")
    answer = fleet.run("image", answer=ordered).client.post("/v1/image/build")
    assert (answer.status_code, answer.json) == (202, {"done_by": 3, "incarnation": "a"})
    assert fleet.told["image"] == [BuildImage("ordered on the control socket")]


def test_a_build_that_can_not_be_is_refused_with_the_reason(fleet: Fleet) -> None:
    answer = fleet.run("image", answer=BuildRefused("lxd.image names one")).client.post(
        "/v1/image/build"
    )
    assert (answer.status_code, answer.json) == (409, {"error": "lxd.image names one"})


def test_a_build_that_nobody_takes_is_refused(fleet: Fleet) -> None:
    answer = fleet.run("another").client.post("/v1/image/build")
    assert answer.status_code == 503
    shown = fleet.client.get("/v1/image").json
    assert (shown["image"], shown["images"], shown["state"]) == ("", [], "down")


def test_a_look_for_newer_versions_that_nobody_takes_is_refused(fleet: Fleet) -> None:
    answer = fleet.run("another").client.post("/v1/upgrades")
    assert answer.status_code == 503
    assert answer.json == {"error": "the actor of upgrades is being restarted; try again"}
    shown = fleet.client.get("/v1/upgrades").json
    assert (shown["subjects"], shown["state"]) == ([], "down")


class Held(Inbox):
    """An actor that is in something else for long."""

    def __init__(self, system: System, got: list[object], gate: threading.Event) -> None:
        super().__init__(system, got)
        self._gate = gate

    def on_receive(self, message: Any) -> Any:
        assert self._gate.wait(LIMIT_S)
        return super().on_receive(message)


@pytest.mark.parametrize(
    ("name", "path", "called", "told"),
    [
        ("fleet", "/v1/reconcile", "fleet", ["reconcile"]),
        ("firewall", "/v1/firewall", "firewall", []),
        ("upgrades", "/v1/upgrades", "actor of upgrades", ["upgrade"]),
        ("image", "/v1/image/build", "actor of the image", ["build"]),
    ],
)
def test_an_order_that_is_not_answered_in_time_is_given_and_told_nevertheless(
    fleet: Fleet,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    path: str,
    called: str,
    told: list[str],
) -> None:
    """Its actor carries it out when it comes to it: who repeats it has it done twice."""
    monkeypatch.setattr(orders, "_ANSWER_LIMIT_S", 0.05)
    got: list[object] = []
    gate = threading.Event()
    fleet.world.run(ChildSpec(name, lambda: Held.start(fleet.world.system, got, gate)))
    answer = fleet.client.post(path)
    gate.set()
    assert answer.status_code == 504
    assert (answer.json or {})["error"] == (
        f"ordered, and the {called} has not answered within 0.05 s: it is done when that comes to "
        "it, unless it is started anew before; `supervisor-cli tree` shows what it is in, and its "
        "restarts"
    )
    assert [one.subject for one in fleet.world.told] == told
    eventually(lambda: len(got) == 1)


ORDERS: tuple[tuple[str, str, str, object, str], ...] = (
    ("reconcile", "POST", "/v1/reconcile", 7, ""),
    ("flush", "POST", "/v1/flush", None, "idle: 1 of 1 runners at once"),
    ("delete", "DELETE", "/v1/runners/one?force", None, "one, by force"),
    ("drain", "POST", "/v1/drain", 7, ""),
    ("resume", "POST", "/v1/resume", 7, ""),
    ("upgrade", "POST", "/v1/upgrades", UpgradesOrdered({}, incarnation="a"), ""),
    ("build", "POST", "/v1/image/build", BuildOrdered(done_by=3, incarnation="a"), ""),
)
"""Each order, by what it is ordered, what the actor answers, and what is told of it."""


@pytest.mark.parametrize(("order", "method", "path", "answer", "reason"), ORDERS)
def test_what_is_ordered_is_told_to_those_who_watch(
    fleet: Fleet, order: str, method: str, path: str, answer: object, reason: str
) -> None:
    fleet.run("fleet", "firewall", "upgrades", "image", "one", answer=answer)
    fleet.has("one", Stage.IDLE)
    assert fleet.client.open(path, method=method).status_code == 202
    assert [(one.kind, one.subject, one.state, one.reason) for one in fleet.world.told] == [
        (Kind.ORDER, order, "ordered", reason)
    ]


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/flush"), ("DELETE", "/v1/runners/one")])
def test_an_order_is_told_before_runners_hear_of_it(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    """Else what one tells that is quick would stand before it."""
    fleet.has("one", Stage.IDLE)
    told_by_then: list[str] = []

    def hear(_name: str, _message: object) -> bool:
        told_by_then.extend(one.state for one in fleet.world.told)
        return True

    monkeypatch.setattr(fleet.world.system.directory, "tell", hear)
    assert fleet.client.open(path, method=method).status_code == 202
    assert told_by_then == ["ordered"]


def test_of_a_flush_it_is_told_how_many_go_at_once_of_those_that_are_waited_for(
    fleet: Fleet,
) -> None:
    fleet.run("idle", "busy")
    for name, stage in (("idle", Stage.IDLE), ("busy", Stage.BUSY)):
        fleet.has(name, stage)
    fleet.client.post("/v1/flush?whom=all")
    (told,) = fleet.world.told
    assert told.reason == "all: 1 of 2 runners at once"
    assert told.details["runners"] == ["idle"]
    assert "flush ordered, all: 1 of 2 runners at once\n" in fleet.world.logged


def test_the_journals_page_names_each_order() -> None:
    page = (Path(__file__).parents[3] / "docs" / "journal.md").read_text(encoding="utf-8")
    (subjects,) = re.findall(r"^\| `order` \| ([^|]*) \|", page, re.MULTILINE)
    by_signal = "reload"
    assert set(re.findall("`([a-z]+)`", subjects)) == {by_signal, *(order[0] for order in ORDERS)}


def test_a_look_at_the_firewall_changes_nothing_and_is_not_told(fleet: Fleet) -> None:
    fleet.run("firewall", answer=CheckOrdered(done_by=3, incarnation="a"))
    assert fleet.client.post("/v1/firewall").status_code == 202
    assert fleet.world.told == []


def test_an_order_that_is_refused_is_not_told(fleet: Fleet) -> None:
    fleet.client.delete("/v1/runners/nobody")
    fleet.client.post("/v1/reconcile")
    assert fleet.world.told == []
