"""One run of the sandbox: host, GitHub, daemon, jobs, a live view, and nothing left behind."""

import fcntl
import itertools
import os
import secrets
import shutil
import signal
import socket as socket_module
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox import guard
from sandbox.application import build_application
from sandbox.emulated import emulated
from sandbox.github import Job, JobRequest, SandboxGitHub
from sandbox.host import Host, HostError, prepare
from sandbox.progress import Progress
from sandbox.view import View
from supervisor.cli.client import ControlClient, ControlError
from supervisor.config import DEFAULT_SOCKET
from supervisor.gateways.lxd import Lxd, LxdEndpoint

ORGANISATION = "acme"
INSTALLATION = "sandbox"
_STEPS = (
    ("build", "echo compiling; sleep 1; echo done"),
    ("test", "echo testing; sleep 2; echo 3 passed"),
    ("lint", "echo linting; sleep 0.5; echo clean"),
)
_UP_LIMIT_S = 30.0
_EMPTY_LIMIT_S = 60.0
_STOP_LIMIT_S = 8.0
_JOBS_LIMIT_S_EACH = 60.0
_POLL_S = 0.25


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line.

    Attributes:
        runners: how many to keep.
        jobs: how many to queue; None for an endless trickle.
        exit_when_done: whether to stop by itself.
        emulator: whether to do without a real LXD.
    """

    runners: int
    jobs: int | None
    exit_when_done: bool
    emulator: bool


@dataclass
class Summary:
    """How a run went.

    Attributes:
        jobs: how many were queued.
        succeeded: of those.
        failed: of those.
        left_over: instances and registrations that the daemon did not remove.
        seconds: from the first job queued to the last one ended.
        daemon_exit_code: 0 if it stopped as it should.
        lxd: `lxd` for a real one, or `emulator`.
    """

    lxd: str
    jobs: int = 0
    succeeded: int = 0
    failed: int = 0
    left_over: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    daemon_exit_code: int | None = None

    @property
    def well(self) -> bool:
        """Whether everything went as it should."""
        all_succeeded = self.succeeded == self.jobs
        return all_succeeded and not any(self.left_over.values()) and self.daemon_exit_code == 0

    def in_words(self) -> str:
        """Sum up in a sentence."""
        left = sum(self.left_over.values())
        return (
            f"{self.succeeded} of {self.jobs} jobs succeeded in {self.seconds:.1f} s "
            f"({self.lxd}); {left} instances and registrations left over"
        )


class Demo:
    """One run.

    Args:
        options: what was asked for.
        progress: hears of each step.
    """

    def __init__(self, options: Options, progress: Progress) -> None:
        self._options = options
        self._progress = progress
        self._queued: list[Job] = []
        self._numbers = itertools.count(1)

    def run(self) -> Summary:
        """Do it all; whatever happens, nothing is left behind.

        Raises:
            HostError: something could not be set up.
            KeyboardInterrupt: it was cut off before the fleet was up.
        """
        with ExitStack() as cleanup:
            work = Path(tempfile.mkdtemp(prefix="github-runner-supervisor-"))
            cleanup.callback(shutil.rmtree, work, ignore_errors=True)
            application = build_application(work)
            host = prepare(
                self._progress,
                application=application.path,
                use_emulator=True if self._options.emulator else None,
            )
            if lack := guard.lack(host):
                self._progress.say(f"without a firewall, because {lack}")
            else:
                # Registered first, so done last: guests are held to the end of them.
                cleanup.callback(guard.remove, host.network)
            cleanup.callback(host.stop)
            if host.kind == "emulator":
                self._progress.say(f"on the LXD emulator, because {host.reason}")
                host = cleanup.enter_context(emulated(host, work))
            github = SandboxGitHub(
                host=host.bridge_address,
                org=ORGANISATION,
                token=secrets.token_hex(20),
                tarball=application.path,
            )
            with self._progress.step("starting the sandbox GitHub"):
                cleanup.enter_context(github)
            socket = cleanup.enter_context(_control_socket(work))
            daemon = _Daemon(work, host, github, socket, self._options.runners)
            cleanup.callback(daemon.kill)
            with self._progress.step("starting the daemon"):
                daemon.start()
            self._progress.say(f"  the daemon is process {daemon.pid}; its log is {daemon.log}")
            self._progress.say(f"  in another terminal: {daemon.command('tree')}")
            return self._watch(host, github, daemon)

    def _watch(self, host: Host, github: SandboxGitHub, daemon: "_Daemon") -> Summary:
        began = time.monotonic()
        ended_early = False
        self._queue(github, self._options.jobs or self._options.runners)
        with View(daemon.client, github) as view, _interruptible() as interrupted:
            while not interrupted() and not (self._options.exit_when_done and self._done(github)):
                if daemon.poll() is not None or self._too_late(began):
                    ended_early = True
                    break
                if self._options.jobs is None:
                    self._top_up(github)
                view.refresh()
                time.sleep(_POLL_S)
            stopped_by_hand = interrupted()
        seconds = time.monotonic() - began
        if ended_early:
            self._progress.say(daemon.end_of_log())
        # Cut off by hand, nobody waits for jobs: the daemon stops and the instances go with it.
        daemon.stop(empty_first=not stopped_by_hand and not ended_early)
        summary = self._sum_up(host, github, daemon, seconds)
        if stopped_by_hand:
            # The instances go with the host, the registrations with the sandbox GitHub.
            summary.left_over = {}
        return summary

    def _queue(self, github: SandboxGitHub, count: int) -> None:
        for _ in range(count):
            number = next(self._numbers)
            workflow, script = _STEPS[number % len(_STEPS)]
            request = JobRequest(
                script=script,
                repository=f"{ORGANISATION}/demo",
                workflow=workflow,
                name=f"{workflow}-{number}",
                labels=("self-hosted",),
            )
            self._queued.append(github.queue(request))

    def _top_up(self, github: SandboxGitHub) -> None:
        waiting = sum(1 for job in github.jobs() if job.status == "queued")
        if waiting < max(1, self._options.runners // 2):
            self._queue(github, 1)

    def _done(self, github: SandboxGitHub) -> bool:
        return all(job.status == "completed" for job in github.jobs())

    def _too_late(self, began: float) -> bool:
        if not self._options.exit_when_done:
            return False
        return time.monotonic() - began > _JOBS_LIMIT_S_EACH * max(1, len(self._queued))

    def _sum_up(
        self, host: Host, github: SandboxGitHub, daemon: "_Daemon", seconds: float
    ) -> Summary:
        jobs = [job for job in github.jobs() if job.status == "completed" or not self._endless]
        succeeded = sum(1 for job in jobs if job.conclusion == "success")
        return Summary(
            lxd=host.kind,
            jobs=len(jobs),
            succeeded=succeeded,
            failed=len(jobs) - succeeded,
            left_over={
                "instances": len(Lxd(LxdEndpoint(host.socket, host.project)).instances()),
                "registrations": len(github.runners()),
            },
            seconds=round(seconds, 1),
            daemon_exit_code=daemon.poll(),
        )

    @property
    def _endless(self) -> bool:
        return not self._options.exit_when_done


class _Daemon:
    """The daemon under test: a process of its own, as in production."""

    def __init__(
        self, work: Path, host: Host, github: SandboxGitHub, socket: Path, runners: int
    ) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._config_path = work / "config.yaml"
        self.log = work / "daemon.log"
        self.client = ControlClient(socket)
        signals_port, policy_port = _free_ports(host.bridge_address, 2)
        self._config: dict[str, Any] = {
            "name": INSTALLATION,
            "path": ORGANISATION,
            "github-url": github.url,
            "token": github.token,
            "virtual-machines": runners,
            "vm-cpu": 1,
            "vm-memory": "256MiB",
            "vm-disk": "1GiB",
            "reconcile-interval": "20s",
            **guard.settings(host, github.url),
            "lxd": {
                "socket": str(host.socket),
                "project": host.project,
                "pool": host.pool,
                "network": host.network,
                "profile": host.profile,
                "image": host.image,
                "instance-type": host.instance_type,
            },
            "signals": {"port": signals_port},
            "policy": {"port": policy_port},
            "control": {"socket": str(socket), "debug": True},
            "metrics": {"port": _free_ports("127.0.0.1", 1)[0]},
            "state-directory": str(work / "state"),
        }

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process is not None  # noqa: S101 - it is asked for after the start
        return self._process.pid

    def command(self, name: str) -> str:
        """Write the command line that asks this daemon something."""
        program = os.path.relpath(Path(sys.executable).with_name("supervisor-cli"))
        socket = self.client.socket
        return f"{program} {name}" + ("" if socket == DEFAULT_SOCKET else f" --socket {socket}")

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._write_config()
        config = str(self._config_path)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*_with_us(), sys.executable, "-m", "supervisor", "run", "--config", config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we tell it what to do
            )
        deadline = time.monotonic() + _UP_LIMIT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.client.get("/v1/version")
            except ControlError:
                time.sleep(0.05)
            else:
                return
        raise HostError(f"the daemon did not come up:\n{self.end_of_log()}")

    def poll(self) -> int | None:
        """Say how it ended; None while it runs."""
        return self._process.poll() if self._process else None

    def stop(self, *, empty_first: bool) -> None:
        """Stop it, as an operator would; first shrink the fleet to nothing, if asked to."""
        if self._process is None or self._process.poll() is not None:
            return
        if empty_first:
            self._config["virtual-machines"] = 0
            self._write_config()
            self._process.send_signal(signal.SIGHUP)
            self._wait_until_empty()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it whatever it does."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def end_of_log(self) -> str:
        """Quote the last lines it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def _wait_until_empty(self) -> None:
        deadline = time.monotonic() + _EMPTY_LIMIT_S
        while time.monotonic() < deadline and self.poll() is None:
            try:
                if not self.client.get("/v1/runners"):
                    return
            except ControlError:
                pass  # the control actor may be restarting
            time.sleep(_POLL_S)

    def _write_config(self) -> None:
        new = self._config_path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(yaml.safe_dump(self._config))
        new.replace(self._config_path)


def _with_us() -> tuple[str, ...]:
    """Have the daemon stopped when we end, even if we are killed; where the machine can do that."""
    return ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()


def _free_ports(address: str, count: int) -> list[int]:
    """Find so many ports, each another one."""
    with ExitStack() as held:
        servers = [
            held.enter_context(socket_module.create_server((address, 0))) for _ in range(count)
        ]
        return [server.getsockname()[1] for server in servers]


@contextmanager
def _control_socket(work: Path) -> Iterator[Path]:
    """Take the standard place if nobody has it, so that a plain `supervisor-cli tree` finds it."""
    directory = DEFAULT_SOCKET.parent
    lock = DEFAULT_SOCKET.with_suffix(".lock")
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        with lock.open("a") as probe:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # a daemon is there, or the place is not ours to take
        yield work / "control.sock"
        return
    try:
        yield DEFAULT_SOCKET
    finally:
        for path in (DEFAULT_SOCKET, lock):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # others' files may be in it
            directory.rmdir()


@contextmanager
def _interruptible() -> Iterator[Any]:
    """Turn the first Ctrl-C into an answer; a second one interrupts as usual."""
    seen = False

    def note(_number: int, _frame: object) -> None:
        nonlocal seen
        if seen:
            raise KeyboardInterrupt
        seen = True

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
