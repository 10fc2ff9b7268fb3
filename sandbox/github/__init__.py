"""A local GitHub for tests and demos: its REST API for self-hosted runners, jobs, and faults."""

from sandbox.github.app_jwt import App
from sandbox.github.calls import Call
from sandbox.github.faults import Fault, Faults
from sandbox.github.model import Job, JobRequest, Label, Runner, RunnerGroup, Scope
from sandbox.github.server import SandboxGitHub

__all__ = [
    "App",
    "Call",
    "Fault",
    "Faults",
    "Job",
    "JobRequest",
    "Label",
    "Runner",
    "RunnerGroup",
    "SandboxGitHub",
    "Scope",
]
