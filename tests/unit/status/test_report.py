from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from supervisor.causes import Cause
from supervisor.config import parse
from supervisor.lifecycle import Job, Life, Stage
from supervisor.observation.last_failure import Failure
from supervisor.parts import Settings
from supervisor.runners.roster import Entry
from supervisor.status.document import Status
from supervisor.status.part_reports import firewall_report, policy_report, upgrades_report
from supervisor.status.report import runner_report, status_report, tree_lines
from supervisor.supervision import Handling, Kind, TreeNode

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
CONFIG = parse({"name": "fleet", "path": "acme", "token": "s", "virtual-machines": 3}, "x")

GITHUB = {"credential": "a token", "renewed": False, "expires_at": None}


def node(id_: str, state: str = "ready", path: str = "", **more: Any) -> TreeNode:
    made = TreeNode(
        id=id_, path=path or f"root/{id_}", kind=Kind.WORKER, actor="A", alive=True,
        state=state, since=NOW,
    )  # fmt: skip
    return replace(made, **more)


def root(*children: TreeNode) -> TreeNode:
    return node("root", "running", "root", kind=Kind.SUPERVISOR, children=children)


def entry(stage: Stage, name: str = "a", reason: str = "") -> Entry:
    return Entry(name, "g", Life(stage, NOW, reason, 7, Job(name="test")))


def report(tree: TreeNode | None, *entries: Entry, settings: Settings | None = None) -> Status:
    return status_report(tree, entries, settings or Settings(CONFIG), NOW)


def problems(tree: TreeNode | None, *entries: Entry) -> list[str]:
    return report(tree, *entries)["problems"]


def test_a_warning_of_the_storage_is_no_problem() -> None:
    tree = root(node("storage", details={"warnings": ("the pool enforces nothing",)}))
    assert report(tree)["warnings"] == ["the pool enforces nothing"]
    assert report(tree)["problems"] == []


def test_a_sound_fleet_has_no_problems() -> None:
    parts = {"policy": {"healthy": True}, "firewall": {"in_place": True}, "image": {"image": "1a"}}
    tree = root(
        node("tokens", details=GITHUB), node("fleet", "keeping"), node("events", "listening"),
        node("signals", "listening"), node("storage"), node("filters"), node("upgrades"),
        *(node(part, details={"checks": 1, **told}) for part, told in parts.items()),
    )  # fmt: skip
    entries = [entry(Stage.IDLE, "a"), entry(Stage.BUSY, "b"), entry(Stage.BOOTING, "c")]
    sound = {"in_place": True, "state": "ready", "reason": "", "cause": ""}
    assert report(tree, *entries) == {
        "health": "ok",
        "name": "fleet",
        "path": "acme",
        "wanted": 3,
        "present": 2,
        "draining_since": None,
        "stages": {"booting": 1, "busy": 1, "idle": 1},
        "fleet": {
            "state": "keeping",
            "reason": "",
            "cause": "",
            "since": "2030-01-01T00:00:00+00:00",
        },
        "short_since": None,
        "parts": {
            **dict.fromkeys(("firewall", "github", "image", "policy", "storage"), sound),
            "signals": {**sound, "state": "listening"},
        },
        "upgrades": {"state": "ready", "reason": "", "cause": ""},
        "last_failure": None,
        "github": {"url": "https://github.com", **GITHUB},
        "former_places": [],
        "problems": [],
        "causes": [],
        "remedies": [],
        "warnings": [],
    }


SHORT = {"short_since": (NOW - timedelta(minutes=12)).isoformat()}


def test_fewer_runners_than_wanted_for_longer_than_normal_are_a_problem() -> None:
    fleet = node("fleet", "keeping", reason="2 of 3 runners are there", details=SHORT)
    found = report(root(fleet), entry(Stage.IDLE))
    told = "fleet: fewer runners than wanted for 12 min: 2 of 3 runners are there"
    assert (found["problems"], found["health"]) == ([told], "degraded")
    assert report(root(fleet))["health"] == "failing"


def test_a_fleet_in_trouble_is_not_told_twice_to_be_short_of_runners() -> None:
    assert problems(root(node("fleet", "degraded", reason="x", details=SHORT))) == [
        "fleet: degraded: x"
    ]


def test_a_drained_fleet_is_not_short_of_runners() -> None:
    tree = root(node("fleet", "draining", details={"short_since": None}))
    found = status_report(tree, [], Settings(CONFIG), NOW, draining_since=NOW)
    assert (found["problems"], found["health"]) == ([], "ok")


def test_a_drained_fleet_without_runners_is_not_failing_while_github_is_down() -> None:
    tree = root(node("tokens", "failing", reason="GitHub is down"))
    settings = Settings(CONFIG)
    drained = status_report(tree, [], settings, NOW, draining_since=NOW)
    assert (status_report(tree, [], settings, NOW)["health"], drained["health"]) == (
        "failing", "degraded",
    )  # fmt: skip


def test_each_problem_has_a_cause_and_a_remedy_at_the_same_place() -> None:
    away = node("storage", "failing", reason="no", details={"cause": "lxd-unavailable"})
    failing = root(
        node("image", "failing", reason="no"), node("policy", "failing", reason="no"), away
    )
    late = replace(entry(Stage.FAILED), life=Life(Stage.FAILED, NOW, "no", cause=Cause.TIMED_OUT))
    settings = Settings(CONFIG)
    settings.refuse("vm-cpu: must be a number")
    found = report(failing, late, settings=settings)
    assert found["causes"] == ["", "", "lxd-unavailable", "timed-out", "configuration-refused"]
    assert len(found["remedies"]) == len(found["problems"]) == 5
    assert found["parts"]["storage"]["cause"] == "lxd-unavailable"
    assert "supervisor-cli image build" in found["remedies"][0]
    assert "supervisor-cli policy" in found["remedies"][1]
    assert "lxc list" in found["remedies"][2]
    assert "`supervisor-cli logs a`" in found["remedies"][3]
    assert "systemctl reload" in found["remedies"][4]


def test_a_fleet_that_nobody_looks_after_is_failing_though_its_runners_are_there() -> None:
    down = node("core", "waiting", alive=False, kind=Kind.SUPERVISOR)
    stuck = node("fleet", stuck=True, handling=Handling("Reconcile", NOW))
    for tree in (None, root(down), root(stuck)):
        assert report(tree, entry(Stage.BUSY))["health"] == "failing"


def test_a_fleet_that_is_being_started_again_is_degraded_while_its_runners_are_there() -> None:
    again = root(node("fleet", "waiting", alive=False, reason="RuntimeError: x"))
    assert report(again, entry(Stage.BUSY))["health"] == "degraded"


def test_the_runner_that_failed_last_is_told() -> None:
    failure = Failure("a", NOW, "no disk", "creating")
    found = status_report(root(), [], Settings(CONFIG), NOW, last_failure=failure)
    assert found["last_failure"] == {
        "runner": "a", "at": "2030-01-01T00:00:00+00:00", "reason": "no disk", "stage": "creating",
    }  # fmt: skip


@pytest.mark.parametrize("part", ["firewall", "github", "image", "policy", "signals", "storage"])
def test_a_part_that_nobody_looks_after_counts_as_not_in_place(part: str) -> None:
    told = report(None)["parts"][part]
    assert (told["in_place"], told["cause"]) == (False, "actor-down")


def test_what_is_still_at_a_former_place_is_told_with_why_it_can_not_be_asked() -> None:
    old, older = "https://github.com/acme/demo", "https://github.example.com/acme"
    details = {**GITHUB, "former_places": {old: "", older: "the token is wrong"}}
    entries = [
        replace(entry(Stage.BUSY, "a"), place=old),
        replace(entry(Stage.RETIRING, "b"), place=old),
        replace(entry(Stage.IDLE, "c"), place="https://github.com/acme"),
    ]
    told = report(root(node("tokens", details=details)), *entries)
    assert told["former_places"] == [
        {"place": "acme/demo", "stages": {"busy": 1, "retiring": 1}, "reason": ""},
        {"place": older, "stages": {}, "reason": "the token is wrong"},
    ]
    assert told["problems"] == [f"{older}: the token is wrong"]
    assert "former_places" not in told["github"]


@pytest.mark.parametrize(
    ("expires_at", "renewed", "told"),
    [
        ("2030-01-03T00:00:00+00:00", False, ["the a token expires in 2 days"]),
        ("2029-12-31T00:00:00+00:00", False, ["the a token has expired"]),
        ("2030-01-09T00:00:00+00:00", False, []),
        ("2030-01-01T00:30:00+00:00", True, []),
        (None, False, []),
    ],
)
def test_a_credential_that_ends_soon_is_a_problem_unless_it_is_renewed(
    expires_at: str | None, *, renewed: bool, told: list[str]
) -> None:
    details = {**GITHUB, "renewed": renewed, "expires_at": expires_at}
    assert [said.split(" (")[0] for said in problems(root(node("tokens", details=details)))] == told


@pytest.mark.parametrize("state", ["failing", "degraded", "reconnecting"])
def test_an_actor_in_trouble_is_named_with_its_reason(state: str) -> None:
    assert problems(root(node("fleet", state, reason="no LXD"))) == [f"fleet: {state}: no LXD"]


@pytest.mark.parametrize("observer", ["metrics", "journal"])
def test_what_is_wrong_with_an_observer_is_warned_of_and_no_problem(observer: str) -> None:
    failing = node(observer, "failing", reason="x", details={"warnings": ("in its own words",)})
    silent = node(observer, "failing", reason="x")
    down = node(observer, "waiting", alive=False, reason="RuntimeError: x")
    stuck = replace(failing, stuck=True, handling=Handling("Listen", NOW))
    for one, warnings in (
        (failing, ["in its own words"]),
        (silent, [f"{observer}: failing: x"]),
        (down, [f"{observer}: is waiting: RuntimeError: x"]),
        (stuck, ["in its own words", f"{observer}: is stuck in Listen"]),
    ):
        found = report(root(one))
        assert (found["problems"], found["warnings"]) == ([], warnings)


def test_what_others_warn_of_stands_before_what_observers_warn_of() -> None:
    told = [node(actor, details={"warnings": (actor,)}) for actor in ("journal", "filters")]
    assert report(root(*told))["warnings"] == ["filters", "journal"]


def test_an_actor_that_is_down_is_named_with_its_reason() -> None:
    tree = root(node("events", "waiting", alive=False, reason="RuntimeError: x"))
    assert problems(tree) == ["events: is waiting: RuntimeError: x"]


def test_a_stuck_actor_is_named_with_what_it_is_in() -> None:
    stuck = node("fleet", stuck=True, handling=Handling("Reconcile", NOW))
    assert problems(root(stuck)) == ["fleet: is stuck in Reconcile"]


def test_a_failed_runner_is_a_problem_and_a_finished_one_is_not() -> None:
    found = problems(root(), entry(Stage.FAILED, "b", "no disk"), entry(Stage.FINISHED))
    assert found == ["b: no disk"]


def test_a_runners_own_stage_is_no_trouble_of_the_trees() -> None:
    runner = node("a", "booting", "root/runners/a")
    runners = node("runners", "running", kind=Kind.SUPERVISOR, children=(runner,))
    assert problems(root(runners)) == []


def test_a_refused_configuration_is_a_problem_until_one_is_accepted() -> None:
    settings = Settings(CONFIG)
    settings.refuse("vm-cpu: must be a number")
    found = report(root(), settings=settings)["problems"]
    assert found == ["configuration: the last change was refused: vm-cpu: must be a number"]
    settings.accept(CONFIG)
    assert report(root(), settings=settings)["problems"] == []


def test_no_tree_is_a_problem() -> None:
    assert problems(None) == ["the supervision tree is not up"]


def test_a_runner_is_described_with_its_job_and_without_its_token() -> None:
    described = runner_report(replace(entry(Stage.BUSY), signal_digest="d1g3st"))
    assert described["job"]["name"] == "test"
    assert described["since"] == "2030-01-01T00:00:00.000+00:00"
    assert "d1g3st" not in str(described)


def test_each_actor_of_the_tree_has_a_line_that_says_where_it_is() -> None:
    tree = root(node("fleet", "keeping", reason="3 of 3", restarts=2, mailbox=5))
    assert list(tree_lines(tree)) == [
        "root: running, since 2030-01-01T00:00:00+00:00",
        "root/fleet: keeping, since 2030-01-01T00:00:00+00:00, restarts=2, mailbox=5, 3 of 3",
    ]
    assert list(tree_lines(None)) == []


def test_a_policy_that_is_off_is_warned_of_and_no_problem() -> None:
    tree = root(node("policy", "ready", details={"warnings": ("policy.mode: off",)}))
    assert (report(tree)["warnings"], problems(tree)) == (["policy.mode: off"], [])


def test_a_policy_service_that_is_not_healthy_is_a_problem() -> None:
    tree = root(node("policy", "failing", reason="the policy service has ended with 1"))
    assert problems(tree) == ["policy: failing: the policy service has ended with 1"]


def test_a_policy_service_is_shown_as_its_actor_has_published_it() -> None:
    tree = root(node("policy", reason="it checks jobs", details={"healthy": True}))
    told = {"state": "ready", "reason": "it checks jobs", "cause": "", "healthy": True}
    assert policy_report(tree) == told


@pytest.mark.parametrize(
    "tree",
    [
        None,
        root(),
        root(node("policy", "down", alive=False, details={"healthy": True})),
        root(node("policy", "running")),
    ],
)
def test_a_policy_service_that_nobody_looks_after_counts_as_unhealthy(
    tree: TreeNode | None,
) -> None:
    assert policy_report(tree)["healthy"] is False


def test_the_standing_of_what_is_kept_current_is_what_its_actor_says() -> None:
    told = {"subjects": ("one",), "warnings": (), "incarnation": "a"}
    shown = upgrades_report(
        root(node("upgrades", reason="2.300.0", details=told)), (), CONFIG, None
    )
    no_reboot = {"reboot": {"when": "no", "reason": "no reboot is needed", "kernel": ""}}
    assert shown == {"state": "ready", "reason": "2.300.0", "cause": "", **told, **no_reboot}


def test_nothing_is_known_of_upgrades_that_nobody_looks_after() -> None:
    down = root(node("upgrades", "down", alive=False, details={"subjects": ("one",)}))
    assert upgrades_report(down, (), CONFIG, None)["subjects"] == ()


def test_that_an_older_version_is_in_use_is_a_warning() -> None:
    warning = "runner application 2.300.0 stays in use: the disk is full"
    tree = root(node("upgrades", details={"warnings": (warning,)}))
    assert report(tree)["warnings"] == [warning]
    assert problems(tree) == []


def test_an_upgrade_under_way_is_no_problem() -> None:
    assert problems(root(node("upgrades", "upgrading"))) == []


def test_that_no_version_can_be_used_is_a_problem() -> None:
    tree = root(node("upgrades", "failing", reason="none can be used"))
    assert problems(tree) == ["upgrades: failing: none can be used"]


def test_warnings_of_storage_and_firewall_stand_together() -> None:
    tree = root(
        node("storage", details={"warnings": ("the pool enforces nothing",)}),
        node("firewall", details={"warnings": ("firewall: external",)}),
    )
    assert report(tree)["warnings"] == ["the pool enforces nothing", "firewall: external"]


def test_a_firewall_that_is_not_in_place_is_a_problem() -> None:
    tree = root(node("firewall", "failing", reason="there is no program nft; install nftables"))
    told = ["firewall: failing: there is no program nft; install nftables"]
    assert problems(tree) == told


OWN = node(
    "firewall", reason="it guards lxdbr0",
    details={"in_place": True, "checks": 4, "warnings": ("a name is unknown",)},
)  # fmt: skip


def test_a_firewall_is_shown_as_its_actors_have_published_it() -> None:
    lxds = node("filters", details={"checks": 4, "unfiltered": [], "warnings": ("xtables",)})
    assert firewall_report(root(OWN, lxds)) == {
        "state": "ready", "reason": "it guards lxdbr0", "cause": "", "in_place": True, "checks": 4,
        "incarnation": "", "unfiltered": [], "warnings": ("a name is unknown", "xtables"),
    }  # fmt: skip


def test_a_look_at_the_firewall_is_done_when_lxds_filters_have_been_looked_at_too() -> None:
    lxds = node("filters", details={"checks": 3})
    assert firewall_report(root(OWN, lxds))["checks"] == 3


@pytest.mark.parametrize(
    ("lxds", "reason"),
    [
        (node("filters", "failing", reason="without: fleet-a"), "without: fleet-a"),
        (node("filters", "waiting", reason="not looked yet"), "not looked yet"),
        (node("filters", "down", alive=False), "is being started again"),
    ],
)
def test_a_firewall_is_not_in_place_while_lxds_filters_are_not(lxds: TreeNode, reason: str) -> None:
    shown = firewall_report(root(OWN, lxds))
    assert not shown["in_place"]
    assert reason in shown["reason"]


def test_guests_without_filters_are_a_problem() -> None:
    tree = root(OWN, node("filters", "failing", reason="without LXD's filters: fleet-a"))
    assert problems(tree) == ["filters: failing: without LXD's filters: fleet-a"]


def test_why_the_own_rules_are_not_in_place_comes_first() -> None:
    own = node("firewall", "failing", reason="no nft", details={"in_place": False})
    shown = firewall_report(root(own, node("filters", "failing", reason="without: fleet-a")))
    assert (shown["state"], shown["reason"]) == ("failing", "no nft")


@pytest.mark.parametrize(
    "tree",
    [
        None,
        root(),
        root(node("firewall", "down", alive=False)),
        root(node("firewall", "running")),
    ],
)
def test_a_firewall_that_nobody_looks_after_counts_as_not_in_place(tree: TreeNode | None) -> None:
    assert firewall_report(tree)["in_place"] is False
