"""What a test of the whole story acts upon: a daemon, a GitHub, a LXD, and jobs held at a gate."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pylxd import Client
from pylxd.exceptions import LXDAPIException

from sandbox.github import Fault, Job, JobRequest
from supervisor.cli.client import ControlError
from supervisor.gateways.lxd import Lxd
from supervisor.lifecycle import Stage
from supervisor.runners import marks, naming
from tests.e2e.gate import Gate
from tests.e2e.secrecy import Secrets
from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.github import SandboxGitHub
    from sandbox.private_lxd import PrivateLxd
    from tests.e2e.daemon_process import DaemonProcess

AVAILABLE = frozenset({"ready", "idle"})
PRESENT = AVAILABLE | {"busy"}


@dataclass
class World:
    """One test's installation, and all that can happen to it.

    Attributes:
        lxd: the LXD, which other tests use one after another.
        github: the sandbox GitHub, this test's own.
        daemon: the daemon, not started yet.
        crashes_are_meant: whether exceptions may stand in the daemon's log.
        secrets: what may stand nowhere, as far as it is known.
    """

    lxd: PrivateLxd
    github: SandboxGitHub
    daemon: DaemonProcess
    address: str
    crashes_are_meant: bool = False
    gates: list[Gate] = field(default_factory=list)
    secrets: Secrets = field(default_factory=Secrets)

    @property
    def installation(self) -> str:
        """The name that is the mark on all that the daemon makes."""
        name: str = self.daemon.config["name"]
        return name

    # What is there

    def runners(self) -> dict[str, dict[str, Any]]:
        """Return the runners as the daemon shows them, by name."""
        shown = self.daemon.ask("/v1/runners")
        by_name = {runner["name"]: runner for runner in shown}
        assert len(by_name) == len(shown), f"a name is there twice: {shown}"
        return by_name

    def names(self, stages: frozenset[str] = PRESENT) -> set[str]:
        """Return the names of the runners at some stages."""
        return {name for name, runner in self.runners().items() if runner["stage"] in stages}

    def instances(self) -> dict[str, str]:
        """Return the status of each instance of this installation, by name."""
        found = Lxd(self.lxd.endpoint).instances()
        return {i.name: i.status for i in found if marks.are_of(self.installation, i.config)}

    def registrations(self) -> dict[str, bool]:
        """Return whether they are online, for all of this installation's registrations."""
        listed = self.github.runners()
        ours = [r for r in listed if naming.belongs_to(self.installation, r.name)]
        by_name = {runner.name: runner.online for runner in ours}
        assert len(by_name) == len(ours), f"a name is registered twice: {ours}"
        return by_name

    def is_whole(self, count: int | None = None) -> bool:
        """Tell whether all three sides show the same runners, as many as wanted, all of use."""
        runners = self.runners()
        if len(runners) != (self.daemon.config["virtual-machines"] if count is None else count):
            return False
        if any(runner["stage"] not in PRESENT for runner in runners.values()):
            return False
        registered = self.registrations()
        if registered.keys() != runners.keys() or not all(registered.values()):
            return False
        return self.instances() == dict.fromkeys(runners, "Running")

    def is_empty(self) -> bool:
        """Tell whether there is nothing anywhere."""
        return not self.runners() and not self.registrations() and not self.instances()

    def actor(self, name: str) -> dict[str, Any]:
        """Return an actor's place in the tree, once it has one: it answers while it grows."""

        def found() -> list[dict[str, Any]]:
            return [node for node in walk(self.daemon.ask("/v1/tree")) if node["id"] == name]

        (node,) = wait_until(found, f"the tree has {name}")
        return node

    def status(self) -> dict[str, Any]:
        """Return the daemon's report."""
        answer: dict[str, Any] = self.daemon.ask("/v1/status")
        return answer

    # What happens to it

    def start(self) -> None:
        """Start the daemon and wait until the fleet is whole."""
        self.daemon.start()
        self.wait_whole()

    def bring_back(self) -> None:
        """Have the daemon run with the settings of the beginning, and wait until all is well."""
        daemon = self.daemon
        if daemon.exit_code() is not None or not daemon.log.exists():
            daemon.start()
        if self.status()["problems"] or daemon.config != daemon.first_config:
            daemon.config = deepcopy(daemon.first_config)
            daemon.reload()
            self.wait_sound()
        self.wait_whole()

    def restart_after_kill(self) -> None:
        """Kill the daemon and start another."""
        self.daemon.kill()
        self.daemon.start()

    def wait_whole(self, count: int | None = None) -> None:
        """Wait until all is as it should be."""
        wait_until(lambda: self.is_whole(count), "the fleet is whole", picture=self.picture)

    def wait_whole_again(self) -> None:
        """Wait until all is as it should be after a kill while runners were made.

        What GitHub has of the dead is found by two listings.
        """
        wanted = self.daemon.config["virtual-machines"]
        wait_until(lambda: len(self.names()) == wanted, "the fleet is back", picture=self.picture)
        self.reconcile()
        self.reconcile()
        self.wait_whole()

    def wait_sound(self) -> None:
        """Wait until nothing is wrong in the operator's eyes."""
        self._wait_for_problems(0)

    def only_problem(self) -> str:
        """Wait until one thing alone is wrong, and say what."""
        return self._wait_for_problems(1)[0]

    def _wait_for_problems(self, count: int) -> list[str]:
        shown: list[str] = []

        def are_so_many() -> bool:
            shown[:] = self.status()["problems"]
            return len(shown) == count

        def picture() -> str:
            return f"but {shown}\n{self.picture()}"

        wait_until(are_so_many, f"{count} problems are shown", picture=picture)
        return shown

    def wait_empty(self) -> None:
        """Wait until nothing is left."""
        wait_until(self.is_empty, "nothing is left", picture=self.picture)

    def reconcile(self) -> None:
        """Order a reconcile and return when one has been done since.

        The reconcile lists GitHub's side through a fault that only counts.
        """
        listing = self.watch("GET", "*/actions/runners")
        self.daemon.send(signal.SIGUSR1)
        wait_until(lambda: self.github.faults.hits(listing), "GitHub is asked for its list")
        self.github.faults.remove(listing)

    def watch(self, method: str, path_pattern: str) -> Fault:
        """Count certain calls to GitHub, by a delay that nobody notices."""
        return self.github.faults.add(
            Fault(method=method, path_pattern=path_pattern, delay_s=0.001, times=None)
        )

    def fail(self, **fault: Any) -> Fault:
        """Have GitHub misbehave, until further notice unless `times` is given."""
        return self.github.faults.add(Fault(**{"times": None, **fault}))

    def hits(self, fault: Fault, count: int = 1) -> None:
        """Wait until a fault has befallen so many calls."""
        wait_until(lambda: self.github.faults.hits(fault) >= count, f"{count} calls meet {fault}")

    def gate(self) -> Gate:
        """Make a gate; it is opened after the test at the latest."""
        gate = Gate(self.address)
        self.gates.append(gate)
        return gate

    def queue(self, script: str = "echo hello", **fields: Any) -> int:
        """Queue a job and return its number."""
        fields = {"repository": "acme/demo", **fields}
        return self.github.queue(JobRequest(script=script, **fields)).id

    def wait_started(self, job_id: int) -> str:
        """Wait until a job runs and the daemon knows it; return its runner's name."""

        def known() -> bool:
            job = self.github.job(job_id)
            runner = self.runners().get(job.runner_name or "")
            return job.status == "in_progress" and bool(runner) and runner["stage"] == "busy"  # type: ignore[index]

        wait_until(known, "the job is started")
        return self.github.job(job_id).runner_name or ""

    def wait_noted_busy(self, name: str) -> None:
        """Wait until LXD has noted that a runner has a job: the daemon knows it before.

        That note is all that the next daemon has of it.
        """

        def is_noted() -> bool:
            return self.configurations()[name].get(f"{marks.PREFIX}stage") == Stage.BUSY

        wait_until(is_noted, "LXD knows of its job")

    def wait_in_progress(self, job_id: int) -> str:
        """Wait until GitHub says that a job runs; return its runner's name."""
        wait_until(lambda: self.github.job(job_id).status == "in_progress", "the job runs")
        return self.github.job(job_id).runner_name or ""

    def wait_completed(self, *job_ids: int) -> list[Job]:
        """Wait until jobs have ended, all with success and at the first try."""
        jobs = [self.github.job(job_id) for job_id in job_ids]

        def over() -> bool:
            jobs[:] = [self.github.job(job_id) for job_id in job_ids]
            return all(job.status == "completed" for job in jobs)

        wait_until(over, "the jobs are completed")
        assert [(job.conclusion, job.requeues) for job in jobs] == [("success", 0)] * len(jobs)
        return jobs

    def kill_process(self, pid: int) -> None:
        """Kill a guest by its first process, without asking LXD to, which hears of it later."""
        os.kill(pid, signal.SIGKILL)

    def guest_pid(self, name: str) -> int:
        """Return the first process of a guest, as the host numbers it."""
        endpoint = f"http+unix://{quote(str(self.lxd.daemon.socket), safe='')}"
        client = Client(endpoint=endpoint, project=self.lxd.project)
        state = client.api.instances[name].state.get().json()
        pid: int = state["metadata"]["pid"]
        return pid

    # What is secret

    def learn_signal_tokens(self) -> int:
        """Learn the tokens of the guests that run, where they have them; return how many."""
        learnt = 0
        for name in self.instances():
            # It has ended, or has not come so far.
            with suppress(OSError, LXDAPIException):
                guest = Path(f"/proc/{self.guest_pid(name)}/root/var/lib/github-runner-guest")
                _, token = (guest / "endpoint").read_text().splitlines()
                self.secrets.known.add(token)
                learnt += 1
        return learnt

    def configurations(self) -> dict[str, Mapping[str, str]]:
        """Return LXD's configuration of each instance of this installation, by name."""
        found = Lxd(self.lxd.endpoint).instances()
        return {i.name: i.config for i in found if marks.are_of(self.installation, i.config)}

    def leaks(self) -> list[str]:
        """Find secrets in the daemon's log and in instances noted as ready or later."""
        self.learn_signal_tokens()
        taken = [
            json.dumps({"instance": name, **config})
            for name, config in self.configurations().items()
            if f"{marks.PREFIX}stage" in config
        ]
        log = self.daemon.log
        logged = log.read_text(errors="replace").splitlines() if log.exists() else []
        return self.secrets.found_in([*taken, *logged])

    @contextmanager
    def lxd_paused(self) -> Iterator[None]:
        """Have LXD hang meanwhile: it accepts connections, and answers none."""
        self.lxd.daemon.pause()
        try:
            yield
        finally:
            self.lxd.daemon.resume()

    @contextmanager
    def dhcp_paused(self) -> Iterator[None]:
        """Have guests wait for an address meanwhile: they are booting for so long."""
        text = (
            self.lxd.daemon.directory / "networks" / self.lxd.network / "dnsmasq.pid"
        ).read_text()
        found = re.search(r"(?m)^(?:pid:\s*)?(\d+)$", text)
        assert found, text
        pid = int(found[1])
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def picture(self) -> str:
        """Describe all sides, for a failed test's message."""
        try:
            shown: Mapping[str, Any] | str = {
                name: (runner["stage"], runner["reason"]) for name, runner in self.runners().items()
            }
        except ControlError as error:
            shown = str(error)
        return f"shown: {shown}\nLXD: {self.instances()}\nGitHub: {self.registrations()}"


def walk(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all nodes of a tree."""
    return [node, *(below for child in node["children"] for below in walk(child))]
