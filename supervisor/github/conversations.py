"""What is asked of GitHub for self-hosted runners: one conversation for each purpose.

Endpoints: https://docs.github.com/en/rest/actions/self-hosted-runners and
https://docs.github.com/en/rest/actions/self-hosted-runner-groups.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from supervisor.github.budget import PAGE
from supervisor.github.errors import (
    Forbidden,
    NameTaken,
    NotFound,
    Refused,
    Unavailable,
    reading,
)
from supervisor.github.exchange import Cache, Request, Talk
from supervisor.github.scope import Scope
from supervisor.planning import Registration
from supervisor.upgrades.application import Application

DEFAULT_GROUP = "default"
_DEFAULT_GROUP_ID = 1
_NAMES_SHOWN = 10
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&()*+,;=%\[\]-]{1,2000}")
_FILENAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
_NAME = re.compile(r"(?s).{1,1000}")
_LONGEST_CONFIGURATION = 65_536
_BEYOND = 2**63


@dataclass(frozen=True)
class Registered:
    """A runner is registered for one job.

    Attributes:
        runner_id: GitHub's number.
        encoded: its just-in-time configuration: a secret, given out once.
    """

    runner_id: int
    encoded: str = field(repr=False)


def register(scope: Scope, name: str, labels: tuple[str, ...], group_id: int) -> Talk[Registered]:
    """Make a just-in-time configuration.

    When it is unknown whether GitHub has registered the runner (no answer, or a failure that may
    have come after the deed), the name is looked up. A registration found is deleted: its
    configuration was in the answer, and went with it. Then it is asked for once more.

    Raises:
        NameTaken: a runner of that name is in use.
        GitHubError: anything else.
    """
    request = Request(
        "POST",
        f"{_runners(scope)}/generate-jitconfig",
        f"register {name}",
        {"name": name, "runner_group_id": group_id, "labels": list(labels)},
    )
    try:
        return (yield from _generate(request))
    except (Unavailable, NameTaken):
        yield from _clear_away(scope, name)
    except (Forbidden, NotFound) as error:
        if group_id == _DEFAULT_GROUP_ID:
            raise
        raise type(error)(
            f"{error}; or runners may not join their runner group",
            answer=f"{error.answer}; or runners may not join their runner group",
        ) from error
    try:
        return (yield from _generate(request))
    except Unavailable:
        yield from _clear_away(scope, name)
        raise


def delete(scope: Scope, runner_id: int, name: str) -> Talk[None]:
    """Delete a registration; one that is not there is as good as deleted.

    Raises:
        RunnerBusy: it runs a job.
        GitHubError: anything else.
    """
    try:
        yield Request("DELETE", f"{_runners(scope)}/{runner_id}", f"delete runner {name}")
    except NotFound:
        # Also said to a credential that may no longer see anything, and then a runner that is at
        # work would be taken for gone. Whoever may list sees that it is not there.
        found = yield from _find(scope, name)
        if found and found.id == runner_id:
            raise


def registrations(scope: Scope, cache: Cache) -> Talk[tuple[Registration, ...]]:
    """List all runners of the scope, ours or not.

    A page that is unchanged since the last time costs no call.

    Raises:
        GitHubError: the list can't be had whole.
    """
    aim = "list the runners"
    found: dict[int, Registration] = {}
    paths: set[str] = set()
    start = f"{_runners(scope)}?per_page={PAGE}&page="
    while True:
        path = f"{start}{len(paths) + 1}"
        paths.add(path)
        answer = yield from cache.fetch(Request("GET", path, aim))
        with reading(aim):
            listed = [_registration(runner) for runner in answer.data["runners"]]
            total = _number(answer.data["total_count"], least=0)
        is_news = any(one.id not in found for one in listed)
        found.update((registration.id, registration) for registration in listed)
        # A page without news: runners went or came while the pages were turned.
        if not is_news or len(paths) * PAGE >= total:
            cache.keep_only(start, paths)
            return tuple(found.values())


def application(scope: Scope, cache: Cache, architecture: str) -> Talk[Application]:
    """Find the runner application for an architecture, in GitHub's words: `x64`, `arm64`.

    Raises:
        GitHubError: there is none, or GitHub gives no checksum to verify it by.
    """
    aim = "list runner applications"
    answer = yield from cache.fetch(Request("GET", f"{_runners(scope)}/downloads", aim))
    with reading(aim):
        fitting = [
            Application(
                _text(offer["download_url"], _ADDRESS),
                str(offer.get("sha256_checksum") or ""),
                _text(offer["filename"], _FILENAME),
            )
            for offer in answer.data
            if (offer["os"], offer["architecture"]) == ("linux", architecture)
        ]
    if not fitting:
        raise Refused(f"GitHub offers no runner application for linux on {architecture}")
    if not _SHA256.fullmatch(fitting[0].sha256):
        raise Refused(f"GitHub gives no SHA-256 for {fitting[0].filename}: it can't be verified")
    return fitting[0]


def find_group(scope: Scope, cache: Cache, group: str) -> Talk[int]:
    """Find a runner group's number; names differ by more than their case.

    Raises:
        GitHubError: there is none of that name, or they can't be listed.
    """
    if group.casefold() == DEFAULT_GROUP:
        return _DEFAULT_GROUP_ID
    aim = f'find the runner group "{group}"'
    names: list[str] = []
    page, total = 1, 1
    while (page - 1) * PAGE < total:
        path = f"{scope.api_path}/actions/runner-groups?per_page={PAGE}&page={page}"
        answer = yield from cache.fetch(Request("GET", path, aim))
        with reading(aim):
            listed = {str(one["name"]): int(one["id"]) for one in answer.data["runner_groups"]}
            total = int(answer.data["total_count"])
        for name, number in listed.items():
            if name.casefold() == group.casefold():
                return number
        names += listed
        page = page + 1 if listed else total + 1
    raise NotFound(f'there is no runner group "{group}" in {scope}; there are: {_some(names)}')


def _generate(request: Request) -> Talk[Registered]:
    answer = yield request
    with reading(request.aim):
        encoded = answer.data["encoded_jit_config"]
        if not isinstance(encoded, str) or not 0 < len(encoded) <= _LONGEST_CONFIGURATION:
            raise ValueError("not a just-in-time configuration")
        base64.b64decode(encoded, validate=True)
        return Registered(_number(answer.data["runner"]["id"]), encoded)


def _clear_away(scope: Scope, name: str) -> Talk[None]:
    """Delete the registration of a name, unless a runner uses it.

    Raises:
        NameTaken: one does.
    """
    found = yield from _find(scope, name)
    if found is None:
        return
    if found.online or found.busy:
        raise NameTaken(f"could not register {name}: a runner of that name is at work")
    yield from delete(scope, found.id, name)


def _find(scope: Scope, name: str) -> Talk[Registration | None]:
    aim = f"look {name} up"
    path = f"{_runners(scope)}?per_page={PAGE}&name={quote(name, safe='')}"
    answer = yield Request("GET", path, aim)
    with reading(aim):
        listed = [_registration(runner) for runner in answer.data["runners"]]
    return next((one for one in listed if one.name == name), None)


def _runners(scope: Scope) -> str:
    return f"{scope.api_path}/actions/runners"


def _registration(runner: Mapping[str, Any]) -> Registration:
    if not isinstance(runner["busy"], bool) or runner["status"] not in {"online", "offline"}:
        raise ValueError("neither at work nor not")
    return Registration(
        id=_number(runner["id"]),
        name=_text(runner["name"], _NAME),
        online=runner["status"] == "online",
        busy=runner["busy"],
        ephemeral=runner.get("ephemeral") is not False,
    )


def _number(value: Any, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < _BEYOND:
        raise ValueError("not a number of GitHub's")
    return value


def _text(value: Any, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ValueError("not as GitHub writes it")
    return value


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    return f"{shown} and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else shown
