"""The script that asks whether a job may run: real bash, curl and jq, and a service of any kind."""

import copy
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from policy_hook import (
    PULL_REQUEST,
    SHA,
    TOKEN,
    Behaviour,
    Hook,
    PolicyService,
    answer,
    drip,
    hang,
    raw,
    reset,
)
from ports import free_port
from waiting import eventually

PASSES = answer("204 No Content")
PULL_BODY = {
    "repository_name": "acme/web",
    "source_repository_name": "someone/web",
    "target_branch_name": "main",
    "source_branch_name": "fix",
    "commit_sha": SHA,
}
Serve = Callable[..., PolicyService]

_SOON_S = 15.0
"""Long on a busy machine, and far from what it would take if it were waited to the end."""


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(behaviour: Behaviour = PASSES, port: int = 0) -> PolicyService:
            service = PolicyService(behaviour, port)
            stack.callback(service.close)
            return service

        yield start


@pytest.fixture
def hook(tmp_path: Path) -> Hook:
    return Hook(tmp_path)


def changed(*path: str, to: Any) -> dict[str, Any]:
    """Return the event of a pull request with one member changed, or left out."""
    event = copy.deepcopy(PULL_REQUEST)
    place = event
    for name in path[:-1]:
        place = place[name]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return event


# What is asked


@pytest.mark.parametrize(
    "name",
    ["pull_request", "pull_request_target", "pull_request_review", "anything"],
)
def test_whatever_has_a_pull_request_is_checked_as_one(hook: Hook, serve: Serve, name: str) -> None:
    service = serve()
    outcome = hook.run(service.url, GITHUB_EVENT_NAME=name)
    assert outcome.passed, outcome.log
    ((path, headers, body),) = service.asked
    assert (path, body) == ("/pull_request/check-run", PULL_BODY)
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["content-type"] == "application/json"
    assert service.leaks == []


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("push", "push"),
        ("schedule", "schedule"),
        ("workflow_dispatch", "workflow_dispatch"),
        ("repository_dispatch", "default"),
        ("workflow_run", "default"),
        ("../always-fail", "default"),
        ("$(id)`id`'\"\n", "default"),
    ],
)
def test_other_events_are_checked_by_their_kind(
    hook: Hook, serve: Serve, name: str, asked: str
) -> None:
    service = serve()
    hook.write({"repository": {"full_name": "Acme/Web"}, "ref": "refs/heads/main"})
    variables = {"GITHUB_EVENT_NAME": name, "GITHUB_REF": "refs/heads/main"}
    assert hook.run(service.url, **variables).passed
    ((path, _, body),) = service.asked
    assert (path, body) == (f"/{asked}/check-run", {"repository_name": "acme/web"})


def test_an_event_need_not_name_its_repository(hook: Hook, serve: Serve) -> None:
    service = serve()
    hook.write({"schedule": "0 0 * * *"})
    assert hook.run(service.url, GITHUB_EVENT_NAME="schedule", GITHUB_REF="refs/heads/main").passed


# What is answered


@pytest.mark.parametrize(
    ("behaviour", "shown"),
    [
        (answer("403 Forbidden", b"main has no reviews"), "main has no reviews"),
        (answer("403 Forbidden"), "gives no reason"),
        (answer("401 Unauthorized", b"Unauthorized Access"), "does not know this runner's token"),
        (answer("400 Bad Request", b'{"validation_error": {}}'), "has answered 400"),
        (answer("415 Unsupported Media Type"), "has answered 415"),
        (answer("500 Internal Server Error", b"GitHub is down"), "has answered 500: GitHub is do"),
        (answer("502 Bad Gateway"), "has answered 502"),
        (answer("503 Service Unavailable"), "has answered 503"),
        (answer("200 OK", b"204"), "has answered 200"),
        (answer("201 Created"), "has answered 201"),
        (answer("302 Found", b"", "Location: http://127.0.0.1:9/204"), "has answered 302"),
        (raw(b"HTTP/1.1 100 Continue\r\n\r\n"), "has broken off"),
        (raw(b"HTTP/1.1 999 What\r\n\r\n"), "has answered 999"),
        (raw(b"\x00\xff204 204 204\r\n\r\n"), "has broken off"),
        (raw(b"HTTP/1.1 20"), "has broken off"),
        (raw(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 99\r\n\r\nno"), "has broken off"),
        (raw(b""), "has broken off"),
        (reset, "has broken off"),
    ],
    ids=range(18),
)
def test_nothing_but_a_204_lets_a_job_run(
    hook: Hook, serve: Serve, behaviour: Behaviour, shown: str
) -> None:
    service = serve(behaviour)
    outcome = hook.run(service.url)
    assert not outcome.passed
    assert shown in outcome.log
    assert shown in outcome.signals
    assert outcome.signals.startswith("signal=job-refused\nreason=")
    assert len(service.asked) == 1
    assert TOKEN not in outcome.log


@pytest.mark.parametrize("behaviour", [hang, drip])
def test_a_service_that_hangs_holds_a_job_up_for_the_limit(
    hook: Hook, serve: Serve, behaviour: Behaviour
) -> None:
    hook.ask_limit_s = 2
    service = serve(behaviour)
    began = time.monotonic()
    outcome = hook.run(service.url)
    assert not outcome.passed
    assert "has not answered within 2 s" in outcome.log
    assert time.monotonic() - began < _SOON_S
    assert len(service.asked) == 1


def test_a_service_that_is_not_there_is_asked_again_until_the_limit(hook: Hook) -> None:
    hook.ask_limit_s = 3
    began = time.monotonic()
    outcome = hook.run("http://127.0.0.1:9")
    assert not outcome.passed
    assert "can't be reached" in outcome.log
    assert time.monotonic() - began < _SOON_S


def test_a_service_that_is_being_restarted_is_asked_again(hook: Hook, serve: Serve) -> None:
    port = free_port()
    late = threading.Timer(1.5, serve, (PASSES, port))
    late.start()
    assert hook.run(f"http://127.0.0.1:{port}").passed
    late.join()


@pytest.mark.parametrize(
    "reason",
    [
        b"\n::set-env name=A::b\r\n::add-path::/tmp\n",
        b"a ##[add-path]/tmp b",
        b"\x00\x1b[31m\x07\xff",
        b"$(touch made) `touch made` ';touch made;'",
        b"x" * 20_000,
        b"x" * 10_000_000,
    ],
    ids=range(6),
)
def test_a_reason_is_one_short_line_and_no_command(hook: Hook, serve: Serve, reason: bytes) -> None:
    outcome = hook.run(serve(answer("403 Forbidden", reason)).url)
    assert not outcome.passed
    lines = outcome.log.splitlines()
    assert all(line.startswith(("policy: ", "::error title=")) for line in lines), lines
    assert len(lines) == 3
    assert "##[" not in outcome.log
    assert len(outcome.log) < 4000
    assert not (hook.directory / "made").exists()
    assert len(outcome.signals.splitlines()) == 2


# What stands in the event


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"null",
        b"[]",
        b'"pull_request"',
        b"{",
        b"{}{}",
        b"{} trailing",
        b"\x00" + json.dumps(PULL_REQUEST).encode(),
        json.dumps(PULL_REQUEST).encode() + b"\x00",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b"{}",
        {"pull_request": None},
        {"pull_request": "x"},
        {"pull_request": {}},
        {"pull_request": []},
        {"repository": "acme/web", "pull_request": PULL_REQUEST["pull_request"]},
        changed("repository", "full_name", to="other/web"),
        changed("pull_request", "base", "repo", "full_name", to="other/web"),
        changed("pull_request", "base", to=["main"]),
        changed("pull_request", "base", "ref", to=None),
        changed("pull_request", "base", "ref", to=["main"]),
        changed("pull_request", "base", "ref", to="a\nb"),
        changed("pull_request", "head", to=None),
        changed("pull_request", "head", "repo", to=None),
        changed("pull_request", "head", "repo", to=7),
        changed("pull_request", "head", "ref", to=""),
        changed("pull_request", "head", "ref", to="x" * 5000),
        changed("pull_request", "head", "sha", to=True),
        changed("pull_request", "head", "sha", to={"$(id)": "`id`"}),
    ],
    ids=range(31),
)
def test_an_event_that_is_not_one_is_refused_and_nobody_asked(
    hook: Hook, serve: Serve, event: object
) -> None:
    service = serve()
    hook.write(event)
    outcome = hook.run(service.url)
    assert not outcome.passed
    assert service.asked == []
    assert "Nothing was asked" in outcome.log


def test_a_job_of_a_pull_request_whose_event_has_none_is_refused(hook: Hook, serve: Serve) -> None:
    service = serve()
    hook.write({"repository": {"full_name": "acme/web"}})
    outcome = hook.run(service.url, GITHUB_EVENT_NAME="deployment")
    assert not outcome.passed
    assert service.asked == []


def test_values_reach_the_service_as_they_are(hook: Hook, serve: Serve) -> None:
    service = serve(answer("403 Forbidden", b"no"))
    ref = "a\"b'c$(touch made)`touch made`\\n ä☠ -d @/etc/passwd"
    hook.write(changed("pull_request", "head", "ref", to=ref))
    assert not hook.run(service.url).passed
    assert service.asked[0][2]["source_branch_name"] == ref
    assert not (hook.directory / "made").exists()


def test_an_event_of_megabytes_is_read_and_a_larger_one_refused(hook: Hook, serve: Serve) -> None:
    service = serve()
    hook.write({**PULL_REQUEST, "padding": "x" * 20_000_000})
    assert hook.run(service.url).passed
    hook.write(b" " * 26_214_400 + json.dumps(PULL_REQUEST).encode())
    outcome = hook.run(service.url)
    assert not outcome.passed
    assert "larger than" in outcome.log
    assert len(service.asked) == 1


def test_only_a_plain_file_is_read(hook: Hook, serve: Serve) -> None:
    service = serve()
    fifo, link = hook.directory / "fifo", hook.directory / "link"
    os.mkfifo(fifo)
    link.symlink_to(hook.event)
    for path in (fifo, link, hook.directory, "/dev/zero", hook.directory / "none", "", "-", "\n"):
        outcome = hook.run(service.url, GITHUB_EVENT_PATH=str(path))
        assert not outcome.passed
        assert "the event is not in a file" in outcome.log
    assert service.asked == []


@pytest.mark.parametrize("repository", ["", "acme", "acme/web/x", "a b/c", "acme/web\n", "$(id)/x"])
def test_a_repository_that_is_none_is_refused(hook: Hook, serve: Serve, repository: str) -> None:
    service = serve()
    assert not hook.run(service.url, GITHUB_REPOSITORY=repository).passed
    assert service.asked == []


strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        "acme/web",
        "someone/web",
        "main",
        SHA,
        "$(touch made)",
        "`touch made`",
        '";touch made;"',
        "\n",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=6,
)
sides = st.fixed_dictionaries(
    {}, optional={"ref": strings, "sha": strings, "repo": values | st.just({"full_name": "a/b"})}
)
events = st.fixed_dictionaries(
    {},
    optional={
        "repository": values | st.just({"full_name": "acme/web"}),
        "pull_request": values
        | st.fixed_dictionaries(
            {"base": st.just(PULL_REQUEST["pull_request"]["base"]) | sides, "head": sides}
        ),
    },
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(event=events | values | st.binary(max_size=200), name=strings, is_pull=st.booleans())
def test_whatever_an_event_holds_the_service_is_asked_of_what_it_says_or_not_at_all(
    tmp_path: Path, event: object, name: str, is_pull: bool
) -> None:
    hook = Hook(tmp_path)
    hook.write(event)
    service = PolicyService(PASSES)
    try:
        outcome = hook.run(
            service.url,
            GITHUB_EVENT_NAME=name.replace("\0", ""),
            GITHUB_REF="refs/pull/1/merge" if is_pull else "refs/heads/main",
        )
    finally:
        service.close()
    assert not (tmp_path / "made").exists()
    assert outcome.passed is (len(service.asked) == 1)
    for path, _, body in service.asked:
        assert body["repository_name"] == "acme/web"
        assert path.endswith("/check-run")
        assert isinstance(event, dict)
        pull = event.get("pull_request")
        assert isinstance(pull, dict) is (path == "/pull_request/check-run")
        assert isinstance(pull, dict) or not is_pull
        if isinstance(pull, dict):
            assert body == {
                "repository_name": "acme/web",
                "source_repository_name": pull["head"]["repo"]["full_name"],
                "target_branch_name": pull["base"]["ref"],
                "source_branch_name": pull["head"]["ref"],
                "commit_sha": pull["head"]["sha"],
            }


# What the machine lacks, and what else may happen to the script


@pytest.mark.parametrize("token", ["", "a b", 'a"\nurl = "http://127.0.0.1:9', "$(id)"])
def test_a_runner_without_a_token_is_refused(hook: Hook, serve: Serve, token: str) -> None:
    service = serve()
    hook.token = token
    assert not hook.run(service.url).passed
    assert service.asked == []


@pytest.mark.parametrize("missing", ["curl", "jq", "timeout", "mktemp"])
def test_what_is_missing_is_named(hook: Hook, serve: Serve, missing: str) -> None:
    service = serve()
    programs = hook.directory / "programs"
    programs.mkdir()
    for name in ("curl", "head", "jq", "mktemp", "rm", "sed", "sleep", "timeout", "tr", "wc"):
        found = shutil.which(name)
        assert found is not None
        if name != missing:
            (programs / name).symlink_to(found)
    hook.path = str(programs)
    outcome = hook.run(service.url)
    assert not outcome.passed
    assert f"{missing} is missing" in outcome.log
    assert service.asked == []


def test_settings_of_curl_and_jq_have_no_say(hook: Hook, serve: Serve) -> None:
    service = serve(answer("403 Forbidden", b"no"))
    (hook.directory / ".curlrc").write_text('write-out = "204"\noutput = "/dev/null"\nfail\n')
    (hook.directory / ".jq").write_text('def error(m): "fine";')
    here = str(hook.directory)
    outcome = hook.run(
        service.url, HOME=here, CURL_HOME=here, XDG_CONFIG_HOME=here, JQ_COLORS="1",
        http_proxy="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9", LC_ALL="tr_TR.UTF-8",
    )  # fmt: skip
    assert not outcome.passed
    assert len(service.asked) == 1
    assert "policy: this job was refused: no\n" in outcome.log


def script_of(hook: Hook) -> int:
    listing = subprocess.run(
        ["pgrep", "-fx", f"{shutil.which('bash')} -p {hook.directory}/policy.sh"],
        capture_output=True,
        text=True,
        check=True,
    )
    return min(map(int, listing.stdout.split()))


def test_a_job_that_is_cancelled_meanwhile_is_refused(hook: Hook, serve: Serve) -> None:
    def cancel(sock: socket.socket) -> None:
        os.kill(script_of(hook), 15)
        cancelled.append(time.monotonic())
        hang(sock)

    cancelled: list[float] = []
    outcome = hook.run(serve(cancel).url)
    assert time.monotonic() - cancelled[0] < _SOON_S
    assert not outcome.passed
    assert "was cancelled" in outcome.log


def test_a_job_that_is_cancelled_while_nobody_is_there_to_ask_is_refused(hook: Hook) -> None:
    # The pauses between two attempts grow to 8 seconds.
    cancelled: list[float] = []

    def cancel() -> None:
        os.kill(script_of(hook), 15)
        cancelled.append(time.monotonic())

    late = threading.Timer(8, cancel)
    late.start()
    outcome = hook.run("http://127.0.0.1:9")
    late.join()
    assert time.monotonic() - cancelled[0] < _SOON_S
    assert not outcome.passed
    assert "was cancelled" in outcome.log


TOOLS = ("curl", "head", "jq", "mktemp", "rm", "sed", "sleep", "timeout", "tr", "wc")


@pytest.mark.parametrize("slow", ["head", "jq"])
def test_a_job_that_is_cancelled_while_its_event_is_read_is_refused_at_once(
    hook: Hook, serve: Serve, slow: str
) -> None:
    service = serve()
    programs = hook.directory / "programs"
    programs.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    reading = hook.directory / "reading"
    (programs / slow).unlink()
    # Only the first: a refusal needs head itself.
    (programs / slow).write_text(
        f'#!/bin/sh\nset -- {reading} {shutil.which(slow)} "$@"\n'
        '[ -e "$1" ] || { : >"$1"; exec /bin/sleep 30; }\nshift\nexec "$@"\n'
    )
    (programs / slow).chmod(0o755)
    hook.path = str(programs)
    cancelled: list[float] = []

    def cancel() -> None:
        eventually(reading.exists)
        os.kill(script_of(hook), 15)
        cancelled.append(time.monotonic())

    cancelling = threading.Thread(target=cancel, daemon=True)
    cancelling.start()
    outcome = hook.run(service.url)
    cancelling.join(_SOON_S)
    assert time.monotonic() - cancelled[0] < _SOON_S
    assert not outcome.passed
    assert "was cancelled" in outcome.log
    assert service.asked == []


def test_a_script_that_nobody_watches_lets_no_job_run(hook: Hook, serve: Serve) -> None:
    service = serve()
    hook.watched = False
    outcome = hook.run(service.url)
    assert (outcome.code, outcome.stopped) == (1, True)
    assert service.asked == []
