"""Guests that ask a policy before their job: the tiny image and a stock system on a real LXD."""

import json
from typing import Any

import pytest
from cloud_image import CURL
from policy_hook import LISTENER, PULL_REQUEST, SHA, TOKEN

Guests = Any
Inbox = Any
_LONG_S = 300
"""Far beyond what is waited for: what goes on for so long is ended by others."""
READY = {"signal": "ready"}
FINISHED = {"signal": "finished", "exit-code": "0"}
STARTED = {"signal": "job-started", "repository": "acme/web", "event": "pull_request"}
BODY = {
    "repository_name": "acme/web",
    "source_repository_name": "someone/web",
    "target_branch_name": "main",
    "source_branch_name": "fix",
    "commit_sha": SHA,
}
# An application that asks and then runs a job, whose log it tells.
RUN = """
. ./.env
cat >Runner.Listener <<'END'
{listener}END
chmod +x Runner.Listener
printf '%s' '{event}' >event.json
export GITHUB_EVENT_NAME=pull_request GITHUB_EVENT_PATH=$PWD/event.json
export GITHUB_REPOSITORY=acme/web GITHUB_REF=refs/pull/7/merge
{before}
./Runner.Listener bash -e "$ACTIONS_RUNNER_HOOK_JOB_STARTED" >hook.log 2>&1 && echo ran >>hook.log
PATH=/opt:/usr/bin:/bin curl -q -s --noproxy '*' --data-binary @hook.log {told}
exit 0
"""
# What a job or its workflow may try to change what is asked, and how.
HOSTILE = """
mkdir evil
printf '#!/bin/sh\\nprintf 204' >evil/curl
cp evil/curl evil/jq
chmod +x evil/*
printf 'output = "/dev/null"\\nwrite-out = "204"\\nurl = "http://127.0.0.1:9"\\n' >.curlrc
export PATH=$PWD/evil:$PATH CURL_HOME=$PWD HOME=$PWD XDG_CONFIG_HOME=$PWD
export http_proxy=http://127.0.0.1:9 HTTP_PROXY=http://127.0.0.1:9 ALL_PROXY=http://127.0.0.1:9
export POLICY_URL=http://127.0.0.1:9 GUEST_DIR=$PWD ASK_LIMIT_S=0 IFS=0 TMPDIR=/nowhere
export ENV=$PWD/evil/curl POSIXLY_CORRECT=1 LD_LIBRARY_PATH=$PWD
"""


@pytest.fixture
def policy(inbox: Inbox) -> dict[str, Any]:
    """Return what a guest with a policy is given; its host has a token for it."""
    inbox.admissions = [(200, TOKEN.encode())]
    inbox.secrets.append(TOKEN)
    return {"policy_url": f"{inbox.base}/policy"}


def script(inbox: Inbox, before: str = "") -> str:
    return RUN.format(
        listener=LISTENER,
        event=json.dumps(PULL_REQUEST),
        before=before,
        told=f"{inbox.base}/told",
    )


def test_a_job_that_the_policy_lets_run_runs(
    guests: Guests, inbox: Inbox, policy: dict[str, Any], policy_image: str
) -> None:
    said = guests.run(script(inbox), image=policy_image, **policy)
    assert said == [READY, STARTED, FINISHED]
    assert inbox.asked == [("/policy/pull_request/check-run", f"Bearer {TOKEN}", BODY)]
    (log,) = inbox.told
    assert log == "policy: this job may run: acme/web, checked for pull_request\nran\n"
    assert inbox.leaks == []


@pytest.mark.parametrize("before", ["", HOSTILE], ids=["plain", "hostile"])
def test_a_job_that_the_policy_refuses_ends_with_its_runner(
    guests: Guests, inbox: Inbox, policy: dict[str, Any], policy_image: str, before: str
) -> None:
    inbox.verdict = (403, b"main has no\nreviews")
    said = guests.run(script(inbox, before), image=policy_image, **policy)
    refused = {"signal": "job-refused", "reason": "main has no reviews"}
    assert said == [READY, STARTED, refused, FINISHED]
    assert len(inbox.asked) == 1
    (log,) = inbox.told
    assert log.startswith("policy: this job was refused: main has no reviews\npolicy: Have the ")
    assert "ran" not in log.splitlines()
    assert inbox.leaks == []


@pytest.mark.timeout(420)
@pytest.mark.parametrize("status", [204, 403])
def test_a_stock_system_asks_as_well(
    guests: Guests, inbox: Inbox, policy: dict[str, Any], cloud_image: str, status: int
) -> None:
    inbox.verdict = (status, b"" if status == 204 else b"main has no reviews")
    programs = {"/usr/local/bin/curl": f'#!/bin/sh\nexec {CURL} "$@"\n'}
    said = guests.run(script(inbox), image=cloud_image, programs=programs, limit_s=40, **policy)
    refused = {"signal": "job-refused", "reason": "main has no reviews"}
    assert said == [READY, STARTED, *([] if status == 204 else [refused]), FINISHED]
    assert inbox.asked == [("/policy/pull_request/check-run", f"Bearer {TOKEN}", BODY)]
    (log,) = inbox.told
    assert ("ran" in log.splitlines()) is (status == 204)
    assert inbox.leaks == []


def test_an_image_that_can_not_ask_fails_at_boot(
    guests: Guests, inbox: Inbox, policy: dict[str, Any]
) -> None:
    said = guests.run("exit 0", **policy)
    assert said == [
        {"signal": "failed", "reason": "the policy is on, and bash is missing in the image"}
    ]
    assert inbox.asked == []


def test_a_host_that_can_not_admit_a_guest_yet_is_asked_again(
    guests: Guests, inbox: Inbox, policy: dict[str, Any], policy_image: str
) -> None:
    inbox.admissions = [(503, b"try again"), (503, b"try again"), (200, TOKEN.encode() + b"\n")]
    assert guests.run("exit 0", image=policy_image, **policy) == [READY, FINISHED]


@pytest.mark.parametrize(
    ("admission", "reason"),
    [
        ((200, b""), "the host's answer to ready is no token"),
        ((200, b'a"b'), "the host's answer to ready is no token"),
        ((204, b""), "the host has no policy any more, and this guest was told to ask one"),
    ],
)
def test_a_guest_without_a_token_takes_no_job(
    guests: Guests,
    inbox: Inbox,
    policy: dict[str, Any],
    policy_image: str,
    admission: tuple[int, bytes],
    reason: str,
) -> None:
    inbox.admissions = [admission]
    said = guests.run("exit 0", image=policy_image, **policy)
    assert said == [READY, {"signal": "failed", "reason": reason}]


def test_a_guest_that_was_told_of_no_policy_takes_no_job_of_a_host_that_has_one(
    guests: Guests, inbox: Inbox
) -> None:
    inbox.admissions = [(200, TOKEN.encode())]
    reason = "the host has a policy, which this guest was not told of"
    assert guests.run("exit 0") == [READY, {"signal": "failed", "reason": reason}]


# A report is tried three times by itself.
@pytest.mark.parametrize("refusals", [1, 4])
def test_a_guest_that_was_told_of_no_policy_asks_again_a_host_that_can_not_admit_it_yet(
    guests: Guests, inbox: Inbox, refusals: int
) -> None:
    inbox.admissions = [*[(503, b"try again")] * refusals, (204, b"")]
    assert guests.run("exit 0") == [READY, FINISHED]


def test_a_guest_that_was_told_of_no_policy_learns_late_that_its_host_has_one(
    guests: Guests, inbox: Inbox
) -> None:
    inbox.admissions = [*[(503, b"try again")] * 4, (200, TOKEN.encode())]
    reason = "the host has a policy, which this guest was not told of"
    assert guests.run("exit 0") == [READY, {"signal": "failed", "reason": reason}]


def test_a_guest_that_was_told_of_no_policy_takes_no_job_of_a_host_that_does_not_admit_it(
    guests: Guests, inbox: Inbox
) -> None:
    inbox.admissions = [(503, b"try again")] * 3
    reason = "the host has not admitted this guest within 2 s"
    said = guests.run("exit 0", admission_limit_s=2)
    assert said == [{"signal": "failed", "reason": reason}]


@pytest.mark.parametrize("words", ["asking", "asking passed asking"])
def test_an_application_that_goes_on_unasked_is_powered_off(
    guests: Guests, inbox: Inbox, policy: dict[str, Any], policy_image: str, words: str
) -> None:
    run = f"for word in {words}; do echo $word; done 1<>/var/lib/github-runner-guest/policy.pipe"
    is_ended = words == "asking"
    goes_on = f"{run}; sleep {_LONG_S if is_ended else 6}"
    said = guests.run(goes_on, image=policy_image, policy_limit_s=2, **policy)
    reason = "the job may not run, and the application has not ended"
    last = {"signal": "failed", "reason": reason} if is_ended else FINISHED
    assert said == [READY, last]


@pytest.mark.parametrize("passes", [False, True])
def test_a_job_that_has_begun_and_whose_hook_says_nothing_is_powered_off(
    guests: Guests, inbox: Inbox, policy: dict[str, Any], policy_image: str, passes: bool
) -> None:
    # As the application does it, before it runs a hook whose shell may not start.
    begin = "mkdir -p _diag; : >_diag/Worker_1.log; sleep 2; "
    passed = "echo passed 1<>/var/lib/github-runner-guest/policy.pipe; " if passes else ""
    goes_on = f"{begin}{passed}sleep {6 if passes else _LONG_S}"
    said = guests.run(goes_on, image=policy_image, begun_limit_s=3, **policy)
    reason = "the job may not run, and the application has not ended"
    assert said == [READY, FINISHED if passes else {"signal": "failed", "reason": reason}]


def test_a_guest_that_its_host_does_not_know_yet_asks_again(
    guests: Guests, inbox: Inbox, policy: dict[str, Any], policy_image: str
) -> None:
    inbox.admissions = [(401, b""), (401, b""), (200, TOKEN.encode())]
    assert guests.run("exit 0", image=policy_image, **policy) == [READY, FINISHED]


def test_a_guest_that_was_told_of_no_policy_waits_for_a_host_that_does_not_know_it_yet(
    guests: Guests, inbox: Inbox
) -> None:
    inbox.admissions = [(401, b""), (200, TOKEN.encode())]
    reason = "the host has a policy, which this guest was not told of"
    assert guests.run("exit 0") == [READY, {"signal": "failed", "reason": reason}]
