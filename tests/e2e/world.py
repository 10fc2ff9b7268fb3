"""What a test of the whole story acts upon: a daemon, a GitHub, a LXD, and jobs held at a gate."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import yaml
from pylxd import Client
from pylxd.exceptions import LXDAPIException

from sandbox.github import Fault, Job, JobRequest
from supervisor import marks, naming
from supervisor.cli.client import ControlClient, ControlError
from supervisor.gateways.lxd import Lxd
from tests.e2e.secrecy import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sandbox.github import SandboxGitHub
    from sandbox.private_lxd import PrivateLxd

LIMIT_S = 60.0
"""How long to wait for something that takes seconds on an idle machine."""

CODE = Path(__file__).parents[2]
AVAILABLE = frozenset({"ready", "idle"})
PRESENT = AVAILABLE | {"busy"}


def wait_until(holds: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: it did not come to hold; the message says what was waited for.
    """
    deadline = time.monotonic() + limit_s
    pause_s = 0.02
    while not holds():
        assert time.monotonic() < deadline, f"waited {limit_s:g} s in vain: {what}"
        time.sleep(pause_s)
        # What is asked, LXD, GitHub and the daemon, has work to do: the longer the more seldom.
        pause_s = min(1.2 * pause_s, 0.1)


class Gate:
    """Holds jobs in the middle of their script until it is opened.

    A job connects and waits for the end of the connection. Until then the kernel keeps it. The job
    says nothing, nor that it has nothing to say: a connection that one side has ended is forgotten
    by what translates addresses after a minute, and the job would never hear of the other's end.
    """

    def __init__(self, address: str) -> None:
        self._socket = socket.create_server((address, 0), backlog=128)
        self._socket.settimeout(0)
        self.port = self._socket.getsockname()[1]
        self.script = (
            f"rm -f gate; mkfifo gate; nc {address} {self.port} <>gate || true;"
            " echo through the gate"
        )

    def open(self) -> None:
        """Let all jobs go on, those that come later too: they are refused."""
        if self._socket.fileno() < 0:
            return
        # An end is told until it is heard. A connection that nobody has accepted would be reset
        # instead, which is told once, and lost where a daemon just puts its firewall in place.
        with suppress(BlockingIOError):
            while True:
                self._socket.accept()[0].close()
        self._socket.close()


class DaemonProcess:
    """The daemon as a real process, with its configuration and its log, of each stage."""

    module = "supervisor"

    def __init__(self, directory: Path, config: dict[str, Any]) -> None:
        self.config = {"log-level": "DEBUG", **config}
        self.first_config = deepcopy(self.config)
        self.config_path = directory / "config.yaml"
        self.socket = Path(config["control"]["socket"])
        self.log = directory / "daemon.log"
        self.control = ControlClient(self.socket)
        self._process: subprocess.Popen[bytes] | None = None
        self._constants: dict[str, float | timedelta] = {}

    @property
    def pid(self) -> int:
        """The number of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    def hurry(self, constant: str, value: float | timedelta) -> None:
        """Shorten a time that no configuration sets, such as `supervisor.github.gate._X_S`."""
        self._constants[constant] = value

    def start(self) -> None:
        """Start it and return when it answers."""
        self.launch()
        self.ask("/v1/version")

    def launch(self) -> None:
        """Start it."""
        self.configure()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._program(), "run", "--config", str(self.config_path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=CODE,
                start_new_session=True,
            )

    def _program(self) -> list[str]:
        if not self._constants:
            return [sys.executable, "-m", self.module]
        lines = ["import datetime, pkgutil", "from supervisor.cli import main"]
        for constant, value in self._constants.items():
            module, _, name = constant.rpartition(".")
            lines.append(f"module = pkgutil.resolve_name({module!r})")
            lines.append(f"assert hasattr(module, {name!r})")
            lines.append(f"module.{name} = {value!r}")
        return [sys.executable, "-c", "\n".join([*lines, "main()"])]

    def configure(self, **changes: Any) -> None:
        """Write the configuration, with changes (names with underscores)."""
        self.config.update({name.replace("_", "-"): value for name, value in changes.items()})
        self.write(yaml.safe_dump(self.config))

    def write(self, text: str) -> None:
        """Write whatever into the configuration's file."""
        self.config_path.touch(mode=0o600)
        self.config_path.write_text(text)

    def reload(self, **changes: Any) -> None:
        """Change the configuration and have it read again."""
        self.configure(**changes)
        self.send(signal.SIGHUP)

    def answers(self) -> bool:
        """Tell whether it answers."""
        try:
            self.control.get("/v1/version")
        except ControlError:
            return False
        return True

    def ask(self, path: str) -> Any:
        """Ask it, again while the actor that answers is being restarted."""
        answers: list[Any] = []

        def answered() -> bool:
            assert self.exit_code() is None, f"the daemon has ended with {self.exit_code()}"
            try:
                answers.append(self.control.get(path))
            except ControlError:
                return False
            return True

        wait_until(answered, f"the daemon answers {path}")
        return answers[-1]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a power failure would; it may have ended already."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def ended(self, limit_s: float = LIMIT_S) -> int:
        """Wait for its end and return its exit code."""
        assert self._process is not None
        return self._process.wait(limit_s)

    def exit_code(self) -> int | None:
        """Say how it ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Stop it in order; it must end with 0. Returns how many seconds that took."""
        began = time.monotonic()
        self.send(number)
        assert self.ended() == 0
        return time.monotonic() - began

    def cli(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command against it."""
        return run_cli(*arguments, "--socket", str(self.socket), **options)

    def crash(self, actor: str) -> None:
        """Make an actor crash; the one that answers may go with it before it has answered."""
        with suppress(ControlError):
            self.control.post(f"/v1/debug/crash/{actor}")

    def entries(self, since: int = 0) -> list[dict[str, Any]]:
        """Return what it has logged from a place in the log on (see `now`)."""
        with self.log.open("rb") as log:
            log.seek(since)
            lines = log.read().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def now(self) -> int:
        """Return the place in the log where the next line will stand."""
        return self.log.stat().st_size

    def said(self, text: str, since: int = 0) -> list[str]:
        """Return the runners (or empty names) in whose lines `text` stands at the beginning."""
        entries = self.entries(since)
        return [entry["runner"] for entry in entries if entry["message"].startswith(text)]

    def end_of_log(self, lines: int = 60) -> str:
        """Quote the last lines it wrote, from its configuration's directory."""
        if not self.log.exists():
            return "(it has not been started)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


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

        wait_until(found, f"the tree has {name}")
        (node,) = found()
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
        try:
            wait_until(lambda: self.is_whole(count), "the fleet is whole")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.picture()}") from None

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

        try:
            wait_until(are_so_many, f"{count} problems are shown")
        except AssertionError as error:
            raise AssertionError(f"{error}, but {shown}\n{self.picture()}") from None
        return shown

    def wait_empty(self) -> None:
        """Wait until nothing is left."""
        try:
            wait_until(self.is_empty, "nothing is left")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.picture()}") from None

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
        """Kill a guest by its first process, without asking LXD to."""
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


def run_cli(
    *arguments: str, user: int | None = None, limit_s: float = LIMIT_S
) -> subprocess.CompletedProcess[str]:
    """Run `supervisor-cli`, as another user if one is given."""
    program = ["-m", "supervisor"]
    if user is not None:
        # Only once it is loaded: that user need not be able to read the interpreter's files.
        become = f"os.setgroups([]); os.setgid({user}); os.setuid({user})"
        program = ["-c", f"import os; from supervisor.cli import main; {become}; main()"]
    return subprocess.run(
        [sys.executable, *program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=CODE,
        timeout=limit_s,
    )
