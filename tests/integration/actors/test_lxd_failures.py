"""Every way in which LXD has failed: what the operator sees, and what the fleet does.

Each row is a fleet of its own, the daemon's whole tree, with three runners of which one runs a job.
The rows are played at the same time, as they wait most of theirs.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import pytest
from lxd_fleet import TOKEN, LxdFleet, hurried, lxd_fleet

from sandbox.lxd_emulator import (
    CallFault,
    EventFault,
    Fault,
    GuestFault,
    ListingFault,
    OperationFault,
)
from sandbox.lxd_emulator.state import ServerState
from supervisor.gateways.lxd import Lxd, LxdEndpoint
from supervisor.lifecycle import Stage
from supervisor.runners.marks import PREFIX

AT_ONCE = 8
LIST = "/1.0/instances"
ONE = "/1.0/instances/*"
STATE = "/1.0/instances/*/state"
EVENTS = "/1.0/events"

pytestmark = pytest.mark.timeout(240)


def nothing(_fleet: LxdFleet) -> None:
    """Do nothing."""


def a_job_ends(fleet: LxdFleet) -> None:
    """Use a runner up, so that it must be replaced."""
    fleet.queue(0.1)


def fewer_are_wanted(fleet: LxdFleet) -> None:
    fleet.want(2)


@dataclass(frozen=True)
class Row:
    """One way to fail.

    Attributes:
        name: of the test.
        faults: what is wrong.
        sees: a pattern that the operator reads of it; empty if there is nothing to be read.
        provoke: what happens meanwhile that LXD is needed for.
        act: what more goes wrong, once.
        meanwhile: what more goes wrong, all the time.
        mend: how it ends; all faults are over already.
        keeps: all that is wanted is done nevertheless, before it ends.
        restarts: the daemon is started anew meanwhile, so that it knows nothing of before.
        born_with: what is wrong with all guests from the beginning.
        lasts_s: for how long it is looked at.
        recovers_s: within so many seconds all is well again.
        more: instances that there may be besides those wanted.
        outdated: of the daemon's view, the busy one was made from other settings.
        most_calls: to LXD, within a second on average.
        lxd: settings.
    """

    name: str
    faults: tuple[Fault, ...] = ()
    sees: str = ""
    provoke: Callable[[LxdFleet], None] = a_job_ends
    act: Callable[[LxdFleet], None] = nothing
    meanwhile: Callable[[LxdFleet], None] = nothing
    mend: Callable[[LxdFleet], None] = nothing
    keeps: bool = False
    restarts: bool = False
    born_with: tuple[Fault, ...] = ()
    lasts_s: float = 2.5
    recovers_s: float = 20
    more: int = 0
    outdated: bool = False
    most_calls: float = 15
    lxd: tuple[tuple[str, Any], ...] = ()


def call(way: Any, method: str, path: str, **more: Any) -> CallFault:
    return CallFault(way=way, method=method, path=path, **{"times": None, **more})


def operation(way: Any, description: str, **more: Any) -> OperationFault:
    return OperationFault(way=way, description=description, **{"times": None, **more})


def event(way: Any, action: str = "*", **more: Any) -> EventFault:
    return EventFault(way=way, action=action, **{"times": None, **more})


def breaker(reason: str) -> str:
    """Make the pattern of what is told for as long as creations fail again and again."""
    return rf"fleet: degraded: .*; [3-9] runners in a row have failed to be created: .*({reason})"


def restart_lxd_while_it_creates(fleet: LxdFleet) -> None:
    a_job_ends(fleet)
    fleet.wait(lambda: fleet.stages()["creating"], "an instance is being created")
    fleet.lxd.want_nothing()
    fleet.lxd.restart()


def cut_the_stream(fleet: LxdFleet) -> None:
    fleet.lxd.close_event_streams()


def take_lxd_down(fleet: LxdFleet) -> None:
    fleet.lxd.go_down()


def bring_lxd_back(fleet: LxdFleet) -> None:
    fleet.lxd.come_up()


def hide_the_socket(fleet: LxdFleet) -> None:
    fleet.lxd.socket.rename(fleet.lxd.socket.with_suffix(".away"))
    fleet.lxd.close_event_streams()


def bring_the_socket_back(fleet: LxdFleet) -> None:
    fleet.lxd.socket.with_suffix(".away").rename(fleet.lxd.socket)


def put_away(kind: str) -> tuple[Callable[[LxdFleet], None], Callable[[LxdFleet], None]]:
    """Take all of a kind out of LXD, and put it back."""

    def take(fleet: LxdFleet) -> None:
        def change(state: ServerState) -> None:
            held = getattr(state, kind)
            taken[fleet.config["name"]] = dict(held)
            held.clear()

        fleet.change(change)

    def put(fleet: LxdFleet) -> None:
        fleet.change(lambda state: getattr(state, kind).update(taken[fleet.config["name"]]))

    taken: dict[str, dict[Any, Any]] = {}
    return take, put


def in_status(status: str) -> Callable[[LxdFleet], None]:
    """Show all instances in another status."""

    def change(state: ServerState) -> None:
        for instance in list(state.instances_of(None)):
            state.put(replace(instance, status=status))

    return lambda fleet: fleet.change(change)


def marks(**values: str) -> Callable[[LxdFleet], None]:
    """Have an operator change the marks of all instances; an empty one is removed."""
    keys = {f"{PREFIX}{key.replace('_', '-')}": value for key, value in values.items()}

    def change(fleet: LxdFleet) -> None:
        gateway = Lxd(LxdEndpoint(fleet.lxd.socket))
        for instance in gateway.instances():
            gateway.update_config(instance.name, keys)

    return change


def an_instance_vanishes_unheard(fleet: LxdFleet) -> None:
    """Delete an idle instance, with no event; a frozen list goes on showing it."""
    gateway = Lxd(LxdEndpoint(fleet.lxd.socket))
    gateway.instances()
    victim = fleet.idle()[0]
    fleet.lxd.want(EventFault(way="withhold", name=victim, times=3))
    gateway.delete(victim, limit_s=10)


NONSENSE = (
    '{"type": "sync", "metadata": null}',
    '{"type": "sync", "metadata": [7]}',
    '{"type": "sync", "metadata": {"config": 7, "environment": {}}}',
    '{"type": "async", "metadata": {"id": 7}}',
    "[]",
)
NO_ANSWER = "no answer within 1 s; LXD hangs or is overloaded"
away_aliases, back_aliases = put_away("aliases")
away_images, back_images = put_away("images")
away_networks, back_networks = put_away("networks")

ROWS = [
    # The list
    Row("list hangs", (call("hang", "GET", LIST),), f"could not list.*{NO_ANSWER}", keeps=True),
    Row(
        "list answers 500",
        (call("fail", "GET", LIST, text="database is locked"),),
        "could not list the instances: LXD says: database is locked",
        keeps=True,
    ),
    Row(
        "list answers 403",
        (call("fail", "GET", LIST, status=403, text="not authorized"),),
        "could not list the instances: LXD says: not authorized",
        keeps=True,
    ),
    Row(
        "list answers 401",
        (call("fail", "GET", LIST, status=401, text="not trusted"),),
        "could not list the instances: LXD says: not trusted",
        keeps=True,
    ),
    Row("list is empty", (ListingFault(way="hide", times=None),), keeps=True),
    Row("list is old", (ListingFault(way="freeze", times=None),), keeps=True),
    Row(
        "list is old and shows one that is gone",
        (ListingFault(way="freeze", times=None),),
        provoke=an_instance_vanishes_unheard,
    ),
    Row(
        "list is empty at the daemon's start",
        (ListingFault(way="hide", times=None),),
        restarts=True,
        keeps=True,
    ),
    Row(
        "list is garbage",
        (call("garble", "GET", LIST, status=200, text="<html>hello</html>"),),
        "could not list the instances: what answers at .* isn't LXD",
        keeps=True,
    ),
    Row(
        "list is of another kind",
        (call("garble", "GET", LIST, status=200, text='{"type": "sync", "metadata": [7]}'),),
        "LXD describes an instance in an unknown way",
        keeps=True,
    ),
    Row(
        "list is no list",
        (call("garble", "GET", LIST, status=200, text='{"type": "sync", "metadata": null}'),),
        "LXD describes .* in an unknown way",
        keeps=True,
    ),
    # Creation
    Row(
        "create answers 500",
        (call("fail", "POST", LIST, text="it is broken"),),
        breaker("could not create instance .*: LXD says: it is broken"),
    ),
    Row(
        "create answers 400",
        (call("fail", "POST", LIST, status=400, text="Unknown configuration key: zz"),),
        breaker("could not create .*: Unknown configuration key: zz"),
    ),
    Row(
        "no space left",
        (operation("fail", "Creating instance", text="write /rootfs: no space left on device"),),
        breaker("could not create .*: no space left on device"),
    ),
    Row(
        "quota",
        (operation("fail", "Creating instance", text="Reached maximum number of instances"),),
        breaker("could not create .*: Reached maximum number of instances"),
    ),
    Row("create hangs", (call("hang", "POST", LIST),), breaker(f"could not create .*{NO_ANSWER}")),
    Row(
        "create stalls",
        (operation("stall", "Creating instance"),),
        breaker(
            "could not create instance .* within 3 s; LXD goes on|took too long: waits for LXD"
        ),
        lasts_s=5,
    ),
    Row(
        "create's answer is lost",
        (call("lose", "POST", LIST),),
        breaker("could not create .*: the connection broke"),
        more=1,
    ),
    Row(
        "image is missing",
        (),
        breaker("could not create .*: Image not provided for instance creation"),
        act=away_images,
        mend=back_images,
    ),
    Row(
        "image's alias is missing",
        (),
        "image: failing: LXD has no image with the alias github-runner",
        act=away_aliases,
        mend=back_aliases,
    ),
    Row(
        "network is missing",
        (),
        breaker("could not create .*: .*Network not found"),
        act=away_networks,
        mend=back_networks,
    ),
    # Start
    Row(
        "start answers 500",
        (call("fail", "PUT", STATE, text="no cgroup"),),
        breaker("could not start .*: no cgroup"),
    ),
    Row("start hangs", (call("hang", "PUT", STATE),), breaker(f"could not start .*{NO_ANSWER}")),
    Row("start's answer is lost", (call("lose", "PUT", STATE),), "", more=1),
    Row(
        "start fails",
        (operation("fail", "Starting instance", text="Failed to run forkstart"),),
        breaker("could not start .*: Failed to run forkstart"),
    ),
    Row(
        "start stalls",
        (operation("stall", "Starting instance"),),
        breaker("could not start .* within 3 s|took too long: waits for LXD to start it"),
        lasts_s=5,
    ),
    Row(
        "start says it failed and the guest runs",
        (operation("pretend", "Starting instance", text="Failed to run forkstart"),),
        breaker("could not start .*: Failed to run forkstart"),
        more=1,
    ),
    Row(
        "nothing can be started nor deleted",
        (
            operation("fail", "Starting instance", text="no cgroup"),
            operation("fail", "Deleting instance", text="dataset is in use"),
        ),
        "removal failed: could not delete .*: dataset is in use",
        lasts_s=8,
        more=1,
        recovers_s=30,
    ),
    # Deletion
    Row(
        "delete fails",
        (operation("fail", "Stopping instance", text="device is busy"),),
        "removal failed: could not delete .*: device is busy",
        provoke=fewer_are_wanted,
        born_with=(GuestFault(way="never-ends", times=None),),
    ),
    Row(
        "delete hangs",
        (call("hang", "PUT", STATE),),
        f"removal failed: could not delete .*{NO_ANSWER}",
        provoke=fewer_are_wanted,
        born_with=(GuestFault(way="never-ends", times=None),),
    ),
    Row(
        "delete stalls",
        (operation("stall", "Stopping instance"),),
        "removal failed: could not delete .* within 2 s",
        provoke=fewer_are_wanted,
        born_with=(GuestFault(way="never-ends", times=None),),
    ),
    Row(
        "delete's answer is lost",
        (call("lose", "PUT", STATE),),
        "",
        provoke=fewer_are_wanted,
        born_with=(GuestFault(way="never-ends", times=None),),
        keeps=True,
    ),
    # Other calls
    Row("stage can't be recorded", (call("fail", "PATCH", ONE),), keeps=True),
    Row("recording hangs", (call("hang", "PATCH", ONE),), keeps=True),
    Row(
        "operations are forgotten",
        (call("fail", "GET", "/1.0/operations/*", status=404, text="Operation not found"),),
        breaker("LXD no longer knows the operation"),
        more=1,
    ),
    Row(
        "list is empty and looks answer 500",
        (ListingFault(way="hide", times=None), call("fail", "GET", ONE)),
        lasts_s=5,
        most_calls=7,  # of which nearly two look after images, each minute by the fleet's clock
    ),
    # Events
    Row(
        "events refused", (call("fail", "GET", EVENTS),), "events: reconnecting", act=cut_the_stream
    ),
    Row(
        "events hang", (call("hang", "GET", EVENTS),), f"events: .*{NO_ANSWER}", act=cut_the_stream
    ),
    Row("stream cut at once", (), "events: reconnecting", meanwhile=cut_the_stream, lasts_s=4),
    Row(
        "stream is silent",
        (event("mute"),),
        "events: reconnecting: .* nothing came for 2 s",
        act=cut_the_stream,
        keeps=True,
    ),
    Row("no event arrives", (event("withhold"),), keeps=True),
    Row("events out of order", (event("reorder"),), keeps=True),
    Row("events twice", (event("duplicate"),), keeps=True),
    Row("events late", (event("delay", seconds=1.5),), keeps=True),
    # LXD as a whole
    Row(
        "LXD restarts while it creates",
        (operation("stall", "Creating instance"),),
        "events: reconnecting",
        provoke=restart_lxd_while_it_creates,
    ),
    Row(
        "LXD is down",
        (),
        "nothing listens there; is LXD running|there is no such socket",
        act=take_lxd_down,
        mend=bring_lxd_back,
    ),
    Row(
        "socket is gone",
        (),
        "there is no such socket: install or start LXD",
        act=hide_the_socket,
        mend=bring_the_socket_back,
        more=1,  # a call may go through a connection that is open still
    ),
    Row("LXD hangs", (call("hang", "*", "*"),), NO_ANSWER, act=cut_the_stream),
    Row("LXD drops all calls", (call("drop", "*", "*"),), "connection broke", act=cut_the_stream),
    Row(
        "LXD answers garbage",
        (call("garble", "*", "*", status=200, text="\x00 no JSON"),),
        "isn't LXD|events: reconnecting",
        act=cut_the_stream,
    ),
    *(
        Row(
            f"LXD answers nonsense {number} at the daemon's start",
            (call("garble", "*", "*", status=200, text=text),),
            "in an unknown way|isn't LXD|LXD says",
            provoke=nothing,
            restarts=True,
        )
        for number, text in enumerate(NONSENSE, 1)
    ),
    Row(
        "LXD is slow",
        (call("hang", "*", "*", seconds=0.5),),
        "",
        keeps=True,
        lxd=(("timeout", "4s"),),
    ),
    # Instances
    Row("instances are frozen", act=in_status("Frozen"), mend=in_status("Running")),
    Row("instances are in error", act=in_status("Error"), mend=in_status("Running")),
    Row("marks are removed", act=marks(installation="", generation="", runner_id=""), keeps=True),
    Row(
        "marks are nonsense at the daemon's start",
        act=marks(generation="?", runner_id="x" * 99, stage="{", job="[", created_at="never"),
        restarts=True,
        more=2,  # both jobs end in runners of other settings
        outdated=True,
    ),
]


class Play:
    """One row, from beginning to end."""

    def __init__(self, row: Row, fleet: LxdFleet) -> None:
        self.row = row
        self.fleet = fleet
        self.long_job = 0
        self.busy = ""

    def run(self) -> None:
        row, fleet = self.row, self.fleet
        self.begin()
        fleet.lxd.want(*row.faults)
        self.act()
        began, calls = time.monotonic(), fleet.calls()
        row.provoke(fleet)
        fleet.wait(
            lambda: not row.sees or fleet.reads(row.sees), "it is told", meanwhile=self.watch
        )
        if row.keeps:
            fleet.wait(self.is_done, "all is done in spite of it", meanwhile=self.watch)
        fleet.watch(row.lasts_s, meanwhile=self.watch)
        rate = (fleet.calls() - calls) / (time.monotonic() - began)

        fleet.lxd.want_nothing()
        fleet.outdated = int(row.outdated)
        row.mend(fleet)
        fleet.wait(fleet.is_whole, "the fleet is whole again", row.recovers_s)
        fleet.wait(self.is_done, "no job was lost")
        assert self.is_at_work(), fleet.picture()
        assert fleet.entries()[self.busy].life.stage is Stage.BUSY
        assert fleet.most_instances <= 3 + row.more, fleet.picture()
        assert rate <= row.most_calls, fleet.picture()
        assert TOKEN not in "".join(fleet.told)

    def begin(self) -> None:
        """Bring the fleet up, with one runner that is busy for long."""
        fleet = self.fleet
        fleet.wait(fleet.is_whole, "the fleet is whole in the beginning")
        self.long_job = fleet.queue(600)
        fleet.wait(lambda: fleet.stages()["busy"] == 1, "a runner is busy")
        self.busy = fleet.github.job(self.long_job).runner_name or ""
        fleet.wait(fleet.is_whole, "nothing is wrong before")
        fleet.told.clear()

    def act(self) -> None:
        """Do what goes wrong at first, with the daemon running or in its absence."""
        if self.row.restarts:
            self.fleet.stop()
        self.row.act(self.fleet)
        if self.row.restarts:
            self.fleet.start()

    def watch(self, fleet: LxdFleet) -> None:
        """See to what must hold all the time."""
        self.row.meanwhile(fleet)
        assert self.is_at_work(), f"the busy runner was lost\n{fleet.picture()}"

    def is_at_work(self) -> bool:
        """Tell whether the busy runner's guest still runs its job."""
        return self.fleet.lxd.guests().get(f"default/{self.busy}") == "busy"

    def is_done(self) -> bool:
        """Tell whether all jobs but the long one are done, and all runners are there."""
        jobs = [job for job in self.fleet.github.jobs() if job.id != self.long_job]
        assert not any(job.requeues or job.conclusion == "failure" for job in jobs)
        return all(job.conclusion == "success" for job in jobs) and self.fleet.is_complete()


@dataclass(frozen=True)
class Played:
    """What came of the rows.

    Attributes:
        failures: of each row, as text; empty where all was as it should be.
        crashes: what crashed in any of them.
    """

    failures: Mapping[str, str]
    crashes: tuple[str, ...]


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Play the rows that were asked for, several at a time."""
    asked = {item.callspec.params["row"].name for item in request.session.items if _is_row(item)}
    rows = [row for row in ROWS if row.name in asked]

    directories = [tmp_path_factory.mktemp("row") for _ in rows]  # making them knows no threads

    def play(number: int, row: Row) -> str:
        try:
            with lxd_fleet(
                directories[number - 1], number, born_with=row.born_with, **dict(row.lxd)
            ) as fleet:
                Play(row, fleet).run()
        except BaseException as error:  # noqa: BLE001 - it is told by that row's test
            return "".join(traceback.format_exception(error))
        return ""

    with hurried() as crashes, ThreadPoolExecutor(AT_ONCE) as threads:
        outcomes = threads.map(play, range(1, len(rows) + 1), rows)
        failures = dict(zip((row.name for row in rows), outcomes, strict=True))
    return Played(failures, tuple(crashes))


def _is_row(item: pytest.Item) -> TypeGuard[pytest.Function]:
    return isinstance(item, pytest.Function) and item.originalname == ROW_TEST


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_failure_is_told_costs_no_job_and_mends_itself(row: Row, played: Played) -> None:
    if failure := played.failures[row.name]:
        pytest.fail(failure, pytrace=False)


def test_no_actor_crashes_whatever_lxd_does(played: Played) -> None:
    assert played.crashes == ()


ROW_TEST = test_a_failure_is_told_costs_no_job_and_mends_itself.__name__
