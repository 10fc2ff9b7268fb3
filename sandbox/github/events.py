"""The event that a job's workflow run came from, with the payload that GitHub sends with it.

Pure: a `JobRequest` says as much as its test cares for, `completed` adds the rest.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandbox.github.documents import timestamp
from sandbox.github.profiles import organization, repository, simple_user
from sandbox.github.pull_documents import pull_document
from sandbox.github.settings import commit_sha

if TYPE_CHECKING:
    from datetime import datetime

    from sandbox.github.model import JobRequest, Scope
    from sandbox.github.settings import PullRequest
    from sandbox.github.state import State

Payload = dict[str, Any]

PULL_EVENTS = ("pull_request", "pull_request_target")
_BRANCHES = "refs/heads/"


def completed(request: JobRequest, state: State, base: str, now: datetime) -> JobRequest:
    """Return a request with all that GitHub would tell the runner of its event.

    What the request says itself stays as it is.

    Args:
        request: what is to run.
        state: where the repository, and the pull request that it may name, are.
        base: the API's address, for the payload's addresses.
        now: the time.

    Raises:
        ValueError: it names a pull request that does not exist, or none for an event of one.
    """
    scope = state.directory.add_repository(request.repository)
    pull = _pull_of(request, state, scope)
    settings = state.repositories.of(scope.name)
    actor = request.actor or (pull.author if pull else "octocat")
    request = replace(request, actor=actor)
    ref = request.ref or _BRANCHES + settings.default_branch
    if pull is not None:
        told = _of_pull(request, pull)
    else:
        branch = settings.branch(ref.removeprefix(_BRANCHES))
        sha = branch.sha if branch else commit_sha(scope.name, ref)
        told = replace(request, ref=ref, sha=request.sha or sha)
    if told.payload is not None:
        return told
    return replace(told, payload=json.dumps(_payload(told, pull, state, scope, base, now)))


def _pull_of(request: JobRequest, state: State, scope: Scope) -> PullRequest | None:
    if request.pull is None:
        if request.event in PULL_EVENTS and request.payload is None:
            raise ValueError(f"event {request.event} needs a pull, the number of a pull request")
        return None
    pull = state.repositories.of(scope.name).pulls.get(request.pull)
    if pull is None:
        raise ValueError(f"{scope.name} has no pull request {request.pull}")
    return pull


def _of_pull(request: JobRequest, pull: PullRequest) -> JobRequest:
    # An event of the target runs what is in the base branch; the others run the trial merge.
    on_target = request.event == "pull_request_target"
    ref = _BRANCHES + pull.base_ref if on_target else f"refs/pull/{pull.number}/merge"
    return replace(
        request,
        ref=request.ref or ref,
        sha=request.sha or (pull.base_sha if on_target else pull.merge_sha),
        head_ref=request.head_ref or pull.head_ref,
        base_ref=request.base_ref or pull.base_ref,
    )


def _payload(
    request: JobRequest,
    pull: PullRequest | None,
    state: State,
    scope: Scope,
    base: str,
    now: datetime,
) -> Payload:
    profile = state.repositories.profile(scope)
    owner = state.directory.scope(profile.full_name.split("/", 1)[0])
    payload: Payload = {
        "repository": repository(profile, base),
        "sender": simple_user(request.actor, base),
    }
    if owner is not None:
        payload["organization"] = organization(owner, base)
    workflow = f".github/workflows/{request.workflow}.yaml"
    if pull is not None:
        payload |= {
            "action": "opened",
            "number": pull.number,
            "pull_request": pull_document(pull, state.repositories.pull_context(scope, pull, base)),
        }
    elif request.event == "push":
        payload |= _push(request, scope, base, now)
    elif request.event == "schedule":
        payload |= {"schedule": "0 3 * * *", "workflow": workflow}
    elif request.event == "workflow_dispatch":
        payload |= {"inputs": None, "ref": request.ref, "workflow": workflow}
    return payload


def _push(request: JobRequest, scope: Scope, base: str, now: datetime) -> Payload:
    before = commit_sha("before", request.sha)
    person = {"name": request.actor, "email": f"{request.actor}@users.noreply.example.invalid"}
    html = f"{base}/{scope.name}"
    commit = {
        "id": request.sha,
        "tree_id": request.sha,
        "distinct": True,
        "message": "Change something",
        "timestamp": timestamp(now),
        "url": f"{html}/commit/{request.sha}",
        "author": person | {"username": request.actor},
        "committer": person | {"username": request.actor},
        "added": [],
        "removed": [],
        "modified": ["README.md"],
    }
    return {
        "ref": request.ref,
        "before": before,
        "after": request.sha,
        "base_ref": None,
        "created": False,
        "deleted": False,
        "forced": False,
        "compare": f"{html}/compare/{before[:12]}...{request.sha[:12]}",
        "commits": [commit],
        "head_commit": commit,
        "pusher": person,
    }
