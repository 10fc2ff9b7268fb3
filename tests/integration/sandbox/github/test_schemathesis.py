"""Generated requests, sensible and not, on the paths that the supervisor uses."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from sandbox.github import App, Protection, Reviews, Ruleset, SandboxGitHub

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "made-up-token"
ACCESS_TOKENS = "/app/installations/{installation_id}/access_tokens"
SCOPES = ("/orgs/{org}", "/repos/{owner}/{repo}", "/enterprises/{enterprise}")
RUNNERS = "/actions/runners"
ENDINGS = (
    "",
    "/{runner_id}",
    "/generate-jitconfig",
    "/registration-token",
    "/remove-token",
    "/downloads",
)
REPOSITORY = "/repos/{owner}/{repo}"
SETTINGS = tuple(
    REPOSITORY + ending
    for ending in (
        "",
        "/branches/{branch}",
        "/branches/{branch}/protection",
        "/rules/branches/{branch}",
        "/collaborators",
        "/collaborators/{username}",
        "/collaborators/{username}/permission",
        "/pulls",
        "/pulls/{pull_number}",
        "/pulls/{pull_number}/reviews",
        "/issues/{issue_number}/comments",
        "/commits/{commit_sha}/pulls",
    )
)
USED = (
    "/rate_limit",
    ACCESS_TOKENS,
    *(f"{scope}{RUNNERS}{ending}" for scope in SCOPES for ending in ENDINGS),
    "/orgs/{org}/actions/runner-groups",
    "/enterprises/{enterprise}/actions/runner-groups",
)
CHECKS = (
    "response_schema_conformance",
    "status_code_conformance",
    "not_a_server_error",
    "content_type_conformance",
)
# What is there, and what is not: made-up names alone would hardly ever meet anything.
KNOWN: dict[str, list[object]] = {
    "org": ["acme", "nobody"],
    "owner": ["acme"],
    "repo": ["demo", "nothing"],
    "enterprise": ["big", "nothing"],
    "runner-id": [*range(1, 61), 999],
    "installation-id": [42, 43],
    "branch": ["main", "nowhere"],
    "username": ["dora", "nobody"],
    "pull-number": [1, 7],
    "issue-number": [1, 7],
    "commit-sha": ["a" * 40],
}


def _cut(description: dict[str, Any], used: tuple[str, ...]) -> dict[str, Any]:
    """Return the description of the used paths, with names and numbers that exist."""
    cut = copy.deepcopy(description)
    cut["paths"] = {path: cut["paths"][path] for path in used}
    for name, values in KNOWN.items():
        schema = cut["components"]["parameters"][name]["schema"]
        schema["enum"] = values
    for path, operations in cut["paths"].items():
        if path in SETTINGS:
            # What the sandbox does not have: changing pull requests, comments and reviews.
            cut["paths"][path] = {"get": operations["get"]}
            continue
        if path.endswith("/runner-groups"):
            # Undocumented, like so many refusals: a group's name may be taken.
            operations["post"]["responses"]["409"] = operations["post"]["responses"]["422"]
        if path.endswith("/generate-jitconfig"):
            content = operations["post"]["requestBody"]["content"]["application/json"]
            content["schema"]["properties"]["runner_group_id"]["enum"] = [1, 2, 99]
    return cut


def _furnish(github: SandboxGitHub) -> None:
    """Set one of everything that a repository can have."""
    reviews = Reviews(bypass_users=("eve",), bypass_teams=("core",), bypass_apps=("bot",))
    github.protect("acme/demo", "main", Protection(reviews))
    github.add_ruleset("acme/demo", Ruleset())
    github.set_collaborator("acme/demo", "dora", "triage", "outside")
    github.open_pull("acme/demo", "mallory/demo:feature")
    github.add_comment("acme/demo", 1, "dora", "fine")
    github.add_review("acme/demo", 1, "dora")


def _operations(paths: tuple[str, ...]) -> set[tuple[str, str]]:
    used = set()
    for path in paths:
        posts = path.endswith(("-token", "-jitconfig", "/access_tokens"))
        used.add(("POST" if posts else "GET", path))
        if path.endswith("{runner_id}"):
            used.add(("DELETE", path))
    return used


def _answered_well(github: SandboxGitHub, paths: tuple[str, ...]) -> set[tuple[str, str]]:
    patterns = {path: re.sub(r"\{\w+\}", "[^/]+", path) for path in sorted(paths)}
    good = {
        (call.method, call.path)
        for call in github.calls()
        if call.status is not None and call.status < 300
    }
    return {
        (method, path)
        for method, asked in good
        for path, pattern in patterns.items()
        if re.fullmatch(pattern, asked)
        and not (path.endswith("{runner_id}") and asked.endswith("/downloads"))
    }


@pytest.mark.timeout(240)
@pytest.mark.parametrize("used", [USED, SETTINGS], ids=["runners", "settings"])
def test_generated_requests_get_answers_as_described(
    description: dict[str, Any],
    public_key: str,
    private_key: str,
    tmp_path: Path,
    used: tuple[str, ...],
) -> None:
    document = tmp_path / "used.json"
    document.write_text(json.dumps(_cut(description, used)))
    with SandboxGitHub(org="acme", token=TOKEN) as github:
        github.add_repository("acme/demo")
        enterprise = github.add_enterprise("big", ["acme"])
        for number in range(60):
            scope = ("acme", "acme/demo", enterprise)[number % 3]
            github.add_runner(scope, f"runner-{number}")
        github.add_group("acme", "hosted", hosted=True)
        _furnish(github)
        github.add_app(App(app_id=7, installation_id=42, public_key=public_key))
        now = github.hub.clock()
        claims = {"iss": "7", "iat": now, "exp": now + timedelta(minutes=10)}
        bearer = jwt.encode(claims, private_key, "RS256")
        settings = tmp_path / "schemathesis.toml"
        settings.write_text(
            f'headers = {{ Authorization = "Bearer {TOKEN}" }}\n'
            "[[operations]]\n"
            f'include-path = "{ACCESS_TOKENS}"\n'
            f'headers = {{ Authorization = "Bearer {bearer}" }}\n'
        )
        command = (sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run")
        options = ("--url", github.url, "--checks", ",".join(CHECKS), "--seed", "1")
        options += ("--phases", "examples,coverage,fuzzing", "--max-examples", "8")
        options += ("--generation-database", "none", "--no-color", "--continue-on-failure")
        done = subprocess.run(
            [*command, *options, str(document)],
            capture_output=True,
            text=True,
            timeout=220,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        unanswered = _operations(used) - _answered_well(github, used)
        assert not unanswered
