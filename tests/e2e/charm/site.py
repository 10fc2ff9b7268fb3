"""Where runners are to be: a whole machine, a GitHub that it reaches, an image, and jobs."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.github import JobRequest
from supervisor.cli.client import ControlClient, ControlError
from supervisor.config import DEFAULT_SOCKET
from tests.e2e.gate import Gate
from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whole_machine import Machine

    from sandbox.github import Job, SandboxGitHub

TOKEN = "ghp_theTokenOfTheseTests"
ORGANISATION = "acme"
REPOSITORY = "acme/demo"
SERVICE = "github-runner-supervisor.service"
PROJECT = "github-runners"
IMAGE = "tiny"
_SOCKET = DEFAULT_SOCKET.relative_to("/")
_THERE = {"ready", "idle", "busy"}


@dataclass(frozen=True)
class Site:
    """What a fleet is looked at by, whoever has installed it."""

    machine: Machine
    github: SandboxGitHub
    image: Path

    def import_image(self) -> None:
        """Bring the image to LXD that runners are made of, as an operator does with their own."""
        self.machine.push(self.image, "/root/image.tar.gz")
        words = ("image", "import", "/root/image.tar.gz", f"--alias={IMAGE}")
        self.machine.run("lxc", *words, f"--project={PROJECT}")

    def delete_image(self) -> None:
        """Take it away again."""
        self.machine.run("lxc", "image", "delete", IMAGE, f"--project={PROJECT}")

    def cli(self, *arguments: str) -> str:
        """Run `supervisor-cli` as root, which must succeed."""
        return self.machine.run("supervisor-cli", *arguments)

    def runners(self) -> dict[str, str]:
        """Return the stages of the runners, by name; none while no daemon answers.

        It is asked from outside: commands inside take the processor from what is waited for.
        """
        shown: list[dict[str, Any]] = []
        with suppress(ControlError):
            shown = ControlClient(self.machine.root() / _SOCKET).get("/v1/runners")
        return {runner["name"]: runner["stage"] for runner in shown}

    def wait_whole(self, count: int) -> set[str]:
        """Wait for a number of runners, in the daemon's, LXD's and GitHub's eyes; name them."""

        def whole() -> set[str]:
            runners = self.runners()
            if len(runners) != count or not set(runners.values()) <= _THERE:
                return set()
            listed = {runner.name: runner.online for runner in self.github.runners()}
            is_whole = listed == dict.fromkeys(runners, True) and self.instances() == set(runners)
            return set(runners) if is_whole else set()

        try:
            return wait_until(whole, f"{count} runners are there")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.picture()}") from None

    def instances(self) -> set[str]:
        """Return the names of LXD's instances."""
        words = ("list", "--format=json", f"--project={PROJECT}")
        return {instance["name"] for instance in json.loads(self.machine.run("lxc", *words))}

    def queue(self, script: str = "echo hello") -> int:
        """Queue a job and return its number."""
        return self.github.queue(JobRequest(script=script, repository=REPOSITORY)).id

    def wait_succeeded(self, job_id: int) -> Job:
        """Wait for the end of a job, which must succeed at the first try."""
        self._wait(job_id, "completed")
        job = self.github.job(job_id)
        assert (job.conclusion, job.requeues) == ("success", 0), job.log
        return job

    @contextmanager
    def running_job(self) -> Iterator[str]:
        """Have a job run meanwhile, which must come through; gives its runner's name."""
        gate = Gate(self.machine.host)
        try:
            job_id = self.queue(gate.script)
            self._wait(job_id, "in_progress")
            name = self.github.job(job_id).runner_name or ""
            wait_until(lambda: self.runners().get(name) == "busy", "the daemon knows of the job")
            yield name
        finally:
            gate.open()
        assert self.wait_succeeded(job_id).runner_name == name

    def picture(self) -> str:
        """Describe all sides, for a failed test's message."""
        github = {runner.name: runner.online for runner in self.github.runners()}
        said = self.machine.attempt("sh", "-c", "supervisor-cli status; supervisor-cli tree")
        return (
            f"daemon: {self.runners()}\nLXD: {self.instances()}\nGitHub: {github}\n"
            f"{said.stdout}{said.stderr}\n{self.machine.journal('github-runner-supervisor*')}"
        )

    def _wait(self, job_id: int, status: str) -> None:
        try:
            wait_until(lambda: self.github.job(job_id).status == status, f"the job is {status}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.picture()}") from None
