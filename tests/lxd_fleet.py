"""The daemon's whole tree, with a LXD that can be made to fail, and what a test sees of both."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from application_archives import file, packed
from loguru import logger
from ports import free_port
from waiting import Wait
from werkzeug.routing import Rule

from sandbox.github import JobRequest, SandboxGitHub
from sandbox.github.releases import Release
from sandbox.lxd_emulator import Fault, GuestBehaviour, LxdEmulator, Timing
from sandbox.lxd_emulator.state import ServerState
from supervisor.config import parse
from supervisor.config.model import LimitsConfig
from supervisor.gateways.lxd import EventStream, Lxd, LxdEndpoint
from supervisor.lifecycle import AVAILABLE, Limits, Stage
from supervisor.messages.configuration import ConfigChanged
from supervisor.parts import Parts, make_parts, outside_of
from supervisor.runners.instances import USER_DATA
from supervisor.runners.roster import Entry
from supervisor.status.report import status_report
from supervisor.supervision import System, tree
from supervisor.tree import root_spec

TOKEN = "made-up-secret-token"
LIMIT_S = 60.0
_PAUSE_S = 0.05
PRESENT = AVAILABLE | {Stage.BUSY}
# Its address is the loopback's.
BRIDGE = "lxdbr0"


class CountingLxd(Lxd):
    """The gateway, with a count of all it asks LXD for, answered or not.

    Attributes:
        calls: how often, by verb and kind.
        scripts: what each instance was given to run when it was created.
    """

    def __init__(self, endpoint: LxdEndpoint) -> None:
        super().__init__(endpoint)
        self.calls: Counter[str] = Counter()
        self.scripts: dict[str, str] = {}

    def _send(self, aim: str, verb: str, path: Sequence[str], *rest: Any) -> Any:
        self.calls[f"{verb} {'/'.join(path[:1])}"] += 1
        return super()._send(aim, verb, path, *rest)

    def create(self, request: Mapping[str, Any], *, limit_s: float) -> None:
        self.scripts[request["name"]] = request["config"][USER_DATA]
        super().create(request, limit_s=limit_s)

    def events(self) -> EventStream:
        self.calls["events"] += 1
        return super().events()


@dataclass
class LxdFleet:
    """Three runners wanted, everything real but LXD's and GitHub's insides.

    Attributes:
        lxd: the emulated LXD.
        github: the sandbox GitHub.
        config: the configuration, as its file has it.
        told: all problems that the operator could have read so far.
        most_instances: the most there have been at once.
        outdated: how many are there besides those wanted, as they end a job under other settings.
    """

    lxd: LxdEmulator
    github: SandboxGitHub
    config: dict[str, Any]
    told: set[str] = field(default_factory=set)
    most_instances: int = 0
    outdated: int = 0

    def __post_init__(self) -> None:
        self.start()

    # Life

    def stop(self) -> None:
        """End the daemon's part; LXD and its guests stay."""
        self.system.stop(10)
        parts = self.parts
        for workers in (parts.creating, parts.tending, parts.listing, parts.upgrading):
            workers.close()

    def start(self) -> None:
        """Start the daemon's part, which knows nothing but what LXD and GitHub hold."""
        config = parse(self.config, "test")
        outside = outside_of(config)
        self.gateway = CountingLxd(outside.lxd.endpoint)
        self.parts: Parts = make_parts(config, replace(outside, lxd=self.gateway))
        self.system = System()
        self.system.run_root(root_spec(self.system, self.parts))

    # What happens to it

    def want(self, count: int) -> None:
        """Change the wanted number, as a reload does."""
        self.config["virtual-machines"] = count
        config = parse(self.config, "test")
        self.parts.settings.accept(config)
        for name in ("tokens", "fleet"):
            self.system.directory.tell(name, ConfigChanged(config))

    def queue(self, seconds: float) -> int:
        """Queue a job that takes so long."""
        request = JobRequest(script=f"sleep {seconds}", repository="acme/demo")
        return self.github.queue(request).id

    def release(self, version: str, sha256: str | None = None) -> Release:
        """Have GitHub offer another runner application, with what checksum it says."""
        name = f"actions-runner-linux-x64-{version}.tar.gz"
        tarball = self.parts.settings.config.state_directory.parent / name
        tarball.write_bytes(packed(file("./version", version.encode())))
        return self.github.release(tarball, sha256)

    def change(self, change: Callable[[ServerState], object]) -> None:
        """Change what LXD holds, behind everybody's back."""
        self.lxd._call(lambda server: change(server.context.state))

    # What is there

    def entries(self) -> dict[str, Entry]:
        """Return the runners, by name."""
        return {entry.name: entry for entry in self.parts.roster.all()}

    def stages(self) -> Counter[str]:
        """Count the runners at each stage."""
        return Counter(str(entry.life.stage) for entry in self.entries().values())

    def idle(self) -> list[str]:
        """Return the names of those that wait for a job."""
        return sorted(n for n, entry in self.entries().items() if entry.life.stage in AVAILABLE)

    def status(self) -> dict[str, Any]:
        """Return what the operator is told now."""
        now = self.system.clock.now()
        roster, settings = self.parts.roster, self.parts.settings
        return status_report(tree(self.system), roster.all(), settings, now)

    def problems(self) -> list[str]:
        """Return what the operator is told to be wrong now."""
        shown: list[str] = self.status()["problems"]
        return shown

    def calls(self) -> int:
        """Return how often LXD was asked for something."""
        return self.gateway.calls.total()

    def is_complete(self) -> bool:
        """Tell whether all runners are there, on each side, with nothing left over on any."""
        entries = self.entries()
        if len(entries) != self.config["virtual-machines"] + self.outdated:
            return False
        if any(entry.life.stage not in PRESENT for entry in entries.values()):
            return False
        if {r.name for r in self.github.runners() if r.online} != entries.keys():
            return False
        return {i.name: i.status for i in self.lxd.instances()} == dict.fromkeys(entries, "Running")

    def is_whole(self) -> bool:
        """Tell whether all is as it should be, and nothing is wrong in the operator's eyes."""
        return (
            self.is_complete()
            and len(self.github.runners()) == len(self.entries())
            and not self.problems()
        )

    # Watching it

    def look(self) -> None:
        """Note what is to be seen at this moment."""
        self.told.update(self.problems())
        self.most_instances = max(self.most_instances, len(self.lxd.instances()))

    def reads(self, pattern: str) -> bool:
        """Tell whether the operator could have read something."""
        return any(re.search(pattern, told) for told in self.told)

    def wait(
        self,
        holds: Callable[[], object],
        what: str,
        limit_s: float = LIMIT_S,
        meanwhile: Callable[[LxdFleet], object] = look,
    ) -> None:
        """Wait until something holds, and watch meanwhile."""

        def watched() -> object:
            meanwhile(self)
            self.look()
            return holds()

        wait = Wait(watched, what, limit_s=limit_s, picture=self.picture)
        while not wait.look():
            time.sleep(_PAUSE_S)  # always the same, as what is watched may last as briefly

    def watch(self, seconds: float, meanwhile: Callable[[LxdFleet], object] = look) -> None:
        """Watch for a while."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() >= end, "time passes", seconds + 5, meanwhile)

    def picture(self) -> str:
        """Describe all sides, for a failed test's message."""
        runners = {n: (str(e.life.stage), e.life.reason) for n, e in self.entries().items()}
        registered = {r.name: (r.online, r.busy) for r in self.github.runners()}
        instances = {i.name: (i.status, i.busy) for i in self.lxd.instances()}
        told = "\n  ".join(sorted(self.told))
        return (
            f"runners {runners}\nregistered {registered}\ninstances {instances}\n"
            f"guests {self.lxd.guests()}\njobs {self.github.jobs()}\nproblems {self.problems()}\n"
            f"calls {dict(self.gateway.calls)}\ntold so far:\n  {told}"
        )


@contextmanager
def lxd_fleet(
    directory: Path,
    number: int,
    *,
    born_with: Sequence[Fault] = (),
    sha256: str | None = None,
    **settings: Any,
) -> Iterator[LxdFleet]:
    """Run a fleet with short limits.

    Args:
        directory: an empty one.
        number: for its name; of those that run at the same time each has another one.
        born_with: what is wrong from the beginning.
        sha256: what GitHub says that the runner application has; None for what it has.
        settings: of the configuration's section `lxd`.
    """
    tarball = directory / "actions-runner-linux-x64-2.300.0.tar.gz"
    tarball.write_bytes(packed())
    with (
        SandboxGitHub(org="acme", token=TOKEN, tarball=tarball) as github,
        LxdEmulator(
            directory / "lxd",
            guest=GuestBehaviour(boot_s=0.1, poweroff_s=0.05),
            timing=Timing(ping_s=0.5),
            images={"github-runner": "container"},
            furnished=False,
        ) as lxd,
    ):
        github.release(tarball, sha256)
        lxd.want(*born_with)
        everywhere = Lxd(LxdEndpoint(lxd.socket))
        everywhere.ensure_pool("default")
        everywhere.ensure_network(BRIDGE, {"ipv4.address": "127.0.0.1/8"})
        config = _configuration(directory, github.url, lxd.socket, number, settings)
        fleet = LxdFleet(lxd, github, config)
        try:
            yield fleet
        finally:
            lxd.want_nothing()
            fleet.stop()


def _configuration(
    directory: Path, github: str, socket: Path, number: int, lxd: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "name": f"row-{number}",
        "path": "acme",
        "github-url": github,
        "token": TOKEN,
        "virtual-machines": 3,
        "reconcile-interval": "1s",
        "firewall": "external",
        "policy": {"mode": "off"},
        "limits": {
            "creating": "3s", "booting": "5s", "finished": "2s", "retiring": "3s",
        },
        "lxd": {
            "socket": str(socket),
            "image": "github-runner",
            "instance-type": "container",
            "timeout": "1s",
            **lxd,
        },
        "signals": {"port": free_port()},
        "control": {"socket": str(directory / "control.sock")},
        "metrics": {"port": free_port()},
        "state-directory": str(directory / "state"),
    }  # fmt: skip


@contextmanager
def hurried() -> Iterator[list[str]]:
    """Shorten what no configuration does, for all fleets of this process; give what crashed."""

    def limits(config: LimitsConfig) -> Limits:
        return replace(unhurried(config), removal_retry=timedelta(seconds=0.5))

    def bind_alone(rule: Rule, *arguments: Any, **options: Any) -> None:
        # CPython 3.11 confuses what threads compile at the same time (python/cpython#106905), and
        # here many web services are made at once.
        with alone:
            bind(rule, *arguments, **options)

    unhurried = LimitsConfig.limits
    bind, alone = Rule.bind, threading.Lock()
    crashes: list[str] = []
    sink = logger.add(
        lambda message: crashes.append(str(message)),
        filter=lambda record: record["exception"] is not None,
    )
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("platform.machine", lambda: "x86_64")
            patch.setattr(LimitsConfig, "limits", limits)
            patch.setattr("supervisor.actors.fleet._UPGRADES_FRESH_S", 0.5)
            patch.setattr("supervisor.actors.image._MINUTE", timedelta(seconds=2))
            patch.setattr(Rule, "bind", bind_alone)
            patch.setattr("supervisor.gateways.lxd._events._SILENCE_S", 2.0)
            yield crashes
    finally:
        logger.remove(sink)
