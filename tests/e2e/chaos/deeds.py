"""The deeds: one small function each. What it returns stands in the diary."""

from __future__ import annotations

import signal
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sandbox.github import Fault, JobRequest
from sandbox.github.hub import utc_now
from sandbox.github.registrations import RunnerBusyError
from supervisor.cli.client import ControlError
from supervisor.gateways.lxd import Lxd, LxdError
from supervisor.runners import naming
from tests.e2e.chaos.scene import LXD_LIMIT_S, REPOSITORY
from tests.e2e.chaos.verdicts import about_deletion

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tests.e2e.chaos.scene import Scene

    Act = Callable[..., str | None]

LANES = ("daemon", "lxd", "guests", "github")
"""Each has a thread: what one LXD takes long for holds up no other."""

DEEDS: dict[str, tuple[str, Act]] = {}
"""The lane and the function, by name."""

_IN_VAIN = "in vain"
_DELETE_LIMIT_S = 30.0


def _in_lane(lane: str) -> Callable[[Act], Act]:
    def enter(act: Act) -> Act:
        DEEDS[act.__name__] = (lane, act)
        return act

    return enter


def _pick(luck: float, candidates: Collection[str]) -> str | None:
    return sorted(candidates)[int(luck * len(candidates))] if candidates else None


# The daemon


@_in_lane("daemon")
def crash_actor(scene: Scene, *, name: str) -> str | None:
    if not scene.daemon_is_up():
        return _IN_VAIN
    scene.world.daemon.crash(name)
    return None


@_in_lane("daemon")
def crash_runner(scene: Scene, *, luck: float) -> str | None:
    name = _pick(luck, scene.guests())
    if name is None or not scene.daemon_obeys():
        return _IN_VAIN
    scene.world.daemon.crash(name)
    return name


@_in_lane("daemon")
def kill_daemon(scene: Scene) -> str | None:
    scene.daemon_is_wanted = False
    scene.world.daemon.kill()
    return None


@_in_lane("daemon")
def stop_daemon(scene: Scene) -> str | None:
    if not scene.daemon_obeys():
        return _IN_VAIN
    scene.daemon_is_wanted = False
    return f"which took {scene.world.daemon.stop():.1f} s"


@_in_lane("daemon")
def start_daemon(scene: Scene) -> str | None:
    scene.launch()
    return None


@_in_lane("daemon")
def pause_daemon(scene: Scene) -> str | None:
    if not scene.daemon_obeys():
        return _IN_VAIN
    scene.daemon_is_paused = True
    scene.world.daemon.send(signal.SIGSTOP)
    return None


@_in_lane("daemon")
def resume_daemon(scene: Scene) -> str | None:
    if not scene.daemon_is_wanted:
        return _IN_VAIN
    scene.world.daemon.send(signal.SIGCONT)
    scene.daemon_is_paused = False
    return None


@_in_lane("daemon")
def configure(scene: Scene, **changes: Any) -> str | None:
    return scene.configure(**changes)


# The operator's orders


@_in_lane("daemon")
def order_reconcile(scene: Scene) -> str | None:
    if not scene.daemon_obeys():
        return _IN_VAIN
    scene.world.daemon.send(signal.SIGUSR1)
    return None


@_in_lane("daemon")
def order(scene: Scene, *, path: str) -> str | None:
    return scene.order(path)


@_in_lane("daemon")
def drain_fleet(scene: Scene) -> str | None:
    return scene.drain()


@_in_lane("daemon")
def resume_fleet(scene: Scene) -> str | None:
    return scene.resume()


@_in_lane("daemon")
def flush_by_force(scene: Scene) -> str | None:
    names = {*scene.guests(), *scene.world.registrations()}
    scene.victims.update(dict.fromkeys(names, "flushed"))
    return scene.order("/v1/flush?whom=force")


@_in_lane("daemon")
def delete_runner(scene: Scene, *, luck: float) -> str | None:
    """Have one deleted that is not at work, or be refused: both are tried, as luck will have it."""
    if not scene.daemon_listens():
        return _IN_VAIN
    control = scene.world.daemon.control
    try:
        before = scene.stages()
        name = _pick(luck, before)
        if name is None:
            return _IN_VAIN
        try:
            control.delete(f"/v1/runners/{name}")
        except ControlError as error:
            refusal = str(error)
        else:
            refusal = ""
        after = scene.stages().get(name)
    except ControlError as error:
        return f"{_IN_VAIN}: {error}"
    wrong = about_deletion(name, before[name], refusal, after)
    assert not wrong, wrong
    return f"{name}, {before[name]}: {refusal or 'accepted'}"


@_in_lane("daemon")
def delete_by_force(scene: Scene, *, luck: float) -> str | None:
    if not scene.daemon_listens():
        return _IN_VAIN
    try:
        name = _pick(luck, scene.stages())
        if name is None:
            return _IN_VAIN
        scene.victims[name] = "deleted by force"
        scene.world.daemon.control.delete(f"/v1/runners/{name}?force")
    except ControlError as error:
        return f"{_IN_VAIN}: {error}"
    return name


# LXD, and the way to it


@_in_lane("lxd")
def kill_lxd(scene: Scene) -> str | None:
    scene.world.lxd.daemon.kill()
    return None


@_in_lane("lxd")
def start_lxd(scene: Scene) -> str | None:
    scene.start_lxd()
    return None


@_in_lane("lxd")
def restart_lxd(scene: Scene) -> str | None:
    lxd = scene.world.lxd.daemon
    lxd.resume()  # one that is paused does not hear that it shall end
    lxd.terminate(limit_s=LXD_LIMIT_S)
    scene.start_lxd()
    return None


@_in_lane("lxd")
def pause_lxd(scene: Scene) -> str | None:
    scene.world.lxd.daemon.pause()
    return None


@_in_lane("lxd")
def resume_lxd(scene: Scene) -> str | None:
    scene.world.lxd.daemon.resume()
    return None


@_in_lane("github")
def cut_event_stream(scene: Scene) -> str | None:
    scene.relay.cut(only_event_streams=True)
    return None


@_in_lane("github")
def cut_all_connections(scene: Scene) -> str | None:
    scene.relay.cut()
    return f"{scene.relay.open_ways()} of them"


@_in_lane("github")
def hold_connections(scene: Scene) -> str | None:
    scene.relay.hold()
    return None


@_in_lane("github")
def release_connections(scene: Scene) -> str | None:
    scene.relay.release()
    return None


# Guests


@_in_lane("guests")
def kill_guest(scene: Scene, *, luck: float) -> str | None:
    guests = scene.guests()
    name = _pick(luck, guests)
    if name is None:
        return _IN_VAIN
    scene.victims[name] = "killed"
    scene.world.kill_process(guests[name])
    return name


@_in_lane("guests")
def delete_instance(scene: Scene, *, luck: float) -> str | None:
    name = _pick(luck, scene.guests())
    if name is None:
        return _IN_VAIN
    scene.victims[name] = "deleted"
    try:
        Lxd(scene.world.lxd.endpoint).delete(name, limit_s=_DELETE_LIMIT_S)
    except LxdError as error:
        return f"{name}: {error}"
    return name


@_in_lane("guests")
def break_firewall(scene: Scene, *, luck: float) -> str | None:
    """Take its rules away, as another program does that believes all rules to be its own."""
    world = scene.world
    table = f"inet github-runners.{world.installation}.{world.lxd.network}"
    order = _pick(luck, (f"delete table {table}", f"flush table {table}"))
    done = subprocess.run(
        ["nft", str(order)], capture_output=True, text=True, check=False, timeout=30
    )
    return str(order) if done.returncode == 0 else _IN_VAIN


# GitHub


@_in_lane("github")
def queue_jobs(scene: Scene, *, count: int, seconds: int) -> str | None:
    github = scene.world.github
    numbers = []
    for _ in range(count):
        tag = f"tag-{len(scene.jobs) + 1}"
        request = JobRequest(script=scene.roll.script(tag, seconds), repository=REPOSITORY)
        number = github.queue(request).id
        scene.jobs[number] = tag
        numbers.append(str(number))
    return f"numbers {', '.join(numbers)}"


@_in_lane("github")
def delete_registration(scene: Scene, *, luck: float) -> str | None:
    github, installation = scene.world.github, scene.world.installation
    with github.hub.change() as state:
        ours = [r for r in state.runners() if naming.belongs_to(installation, r.name)]
        name = _pick(luck, [runner.name for runner in ours])
        if name is None:
            return _IN_VAIN
        try:
            state.delete_runner(next(r.id for r in ours if r.name == name))
        except RunnerBusyError:
            return f"{_IN_VAIN}: {name} is busy"
    github.hub.wake()
    return name


@_in_lane("github")
def break_github(
    scene: Scene, *, number: int, kind: str, method: str, path: str, seconds: float
) -> str | None:
    where = {"method": method, "path_pattern": path, "times": None}
    scene.faults[number] = scene.world.github.faults.add(_fault(kind, seconds, where))
    return None


@_in_lane("github")
def mend_github(scene: Scene, *, number: int) -> str | None:
    scene.world.github.faults.remove(scene.faults.pop(number))
    return None


def _fault(kind: str, seconds: float, where: dict[str, Any]) -> Fault:
    until_mended = timedelta(seconds=seconds)
    if kind == "primary limit":
        return Fault.rate_limited(utc_now(), until_mended, **where)
    if kind == "secondary limit":
        return Fault.secondary_rate_limited(round(seconds), **where)
    spoilt: dict[str, dict[str, Any]] = {
        "internal error": {"status": 500},
        "bad gateway": {"status": 502, "body": "<html>Bad Gateway</html>"},
        "unavailable": {"status": 503},
        "hangs": {"delay_s": 2 * seconds},
        "slow": {"delay_s": 0.7},
        "drops": {"drop_connection": True},
        "drops after the deed": {"drop_connection": True, "after_processing": True},
        "truncated": {"truncated": True},
        "too many requests": {"status": 429, "headers": {"retry-after": str(round(seconds))}},
        "bad credentials": {"status": 401, "message": "Bad credentials"},
    }
    return Fault(**{**where, **spoilt[kind]})
