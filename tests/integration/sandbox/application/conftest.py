"""The unpacked tarball, run by real shells against the sandbox GitHub on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import requests

from sandbox.application import Application, build_application
from sandbox.github import JobRequest, SandboxGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHELLS = ("dash", "busybox")
LIMIT_S = 20


@dataclass
class Installation:
    """One unpacked application, and the shell and tools it finds."""

    root: Path
    github: SandboxGitHub
    environment: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def jitconfig(self, name: str = "one") -> str:
        answer = requests.post(
            f"{self.github.url}/orgs/acme/actions/runners/generate-jitconfig",
            json={"name": name, "runner_group_id": 1, "labels": ["self-hosted"]},
            headers={"Authorization": f"Bearer {self.github.token}"},
            timeout=5,
        )
        encoded: str = answer.json()["encoded_jit_config"]
        return encoded

    def token(self, kind: str) -> str:
        answer = requests.post(
            f"{self.github.url}/orgs/acme/actions/runners/{kind}-token",
            headers={"Authorization": f"Bearer {self.github.token}"},
            timeout=5,
        )
        token: str = answer.json()["token"]
        return token

    def start(
        self, *command: str, jitconfig: str | None = None, **variables: str
    ) -> subprocess.Popen[str]:
        environment = self.environment | variables
        if jitconfig is not None:
            environment["ACTIONS_RUNNER_INPUT_JITCONFIG"] = jitconfig
        process = subprocess.Popen(
            command or ("./run.sh",),
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, *command: str, jitconfig: str | None = None, **variables: str) -> tuple[int, str]:
        process = self.start(*command, jitconfig=jitconfig, **variables)
        output, _ = process.communicate(timeout=LIMIT_S)
        return process.returncode, output

    def run_job(self, script: str, **variables: str) -> str:
        """Queue one job, run a runner for it, return the job's conclusion."""
        job = self.github.queue(JobRequest(script, "acme/demo", event="schedule", name="greet"))
        code, output = self.run(jitconfig=self.jitconfig(), **variables)
        assert code == 0, output
        return self.github.job(job.id).conclusion or "none"

    @property
    def log(self) -> str:
        """The newest job's log."""
        return self.github.jobs()[-1].log


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory) -> Application:
    return build_application(tmp_path_factory.mktemp("application"))


@pytest.fixture(scope="session")
def busybox_tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with busybox's tools and nothing else, as in the tiny image."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.fail("busybox is not installed")
    tools = tmp_path_factory.mktemp("busybox")
    subprocess.run([busybox, "--install", "-s", str(tools)], check=True)
    if not (tools / "busybox").exists():  # Debian's static one leaves itself out
        (tools / "busybox").symlink_to(busybox)
    return tools


@pytest.fixture(params=SHELLS)
def installation(
    request: pytest.FixtureRequest, application: Application, tmp_path: Path
) -> Iterator[Installation]:
    root = tmp_path / "runner"
    root.mkdir()
    with tarfile.open(application.path) as archive:
        archive.extractall(root)  # noqa: S202  we packed it ourselves
    environment = {"PATH": os.environ["PATH"], "RUNNER_ALLOW_RUNASROOT": "1"}
    if request.param == "busybox":
        tools: Path = request.getfixturevalue("busybox_tools")
        environment["PATH"] = str(tools)
        for script in ("config.sh", "env.sh", "run.sh", "bin/Runner.Listener"):
            text = (root / script).read_text()
            (root / script).write_text(text.replace("#!/bin/sh", f"#!{tools}/busybox sh", 1))
    with SandboxGitHub(org="acme") as github:
        made = Installation(root, github, environment)
        try:
            yield made
        finally:
            for process in made.started:
                if process.poll() is None:
                    process.kill()
                    process.communicate(timeout=LIMIT_S)
