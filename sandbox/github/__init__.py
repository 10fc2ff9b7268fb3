"""A local GitHub for tests and demos: its REST API for self-hosted runners, jobs, and faults."""

from sandbox.github.app_jwt import App
from sandbox.github.calls import Call
from sandbox.github.faults import Fault, Faults
from sandbox.github.model import Job, JobRequest, Label, Runner, RunnerGroup, Scope
from sandbox.github.server import SandboxGitHub
from sandbox.github.settings import (
    Branch,
    Collaborator,
    Comment,
    Protection,
    PullRequest,
    Repository,
    Review,
    Reviews,
    Ruleset,
    pull_request_rule,
)

__all__ = [
    "App",
    "Branch",
    "Call",
    "Collaborator",
    "Comment",
    "Fault",
    "Faults",
    "Job",
    "JobRequest",
    "Label",
    "Protection",
    "PullRequest",
    "Repository",
    "Review",
    "Reviews",
    "Ruleset",
    "Runner",
    "RunnerGroup",
    "SandboxGitHub",
    "Scope",
    "pull_request_rule",
]
