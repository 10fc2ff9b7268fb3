"""Whatever happens inside a check, nothing but its verdict becomes a pass."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from threading import BoundedSemaphore, Event, Thread
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_world import REPOSITORY

from supervisor.github.credential import PersonalToken
from supervisor.github.errors import (
    Forbidden,
    GitHubError,
    NotFound,
    RateLimited,
    Rejected,
    Unavailable,
)
from supervisor.policy_service import judge as judging
from supervisor.policy_service.asking import GitHub
from supervisor.policy_service.checks import Failed, Passed
from supervisor.policy_service.decisions import DecisionLog
from supervisor.policy_service.judge import Judge, Refused, within
from supervisor.policy_service.questions import BranchQuestion
from supervisor.policy_service.settings import Settings
from supervisor.policy_service.state import State
from supervisor.web.proxies import Proxies

QUESTION = BranchQuestion(repository_name=REPOSITORY)
ERRORS = [
    *(GitHubError, NotFound, Forbidden, Rejected, RateLimited, Unavailable),
    *(ValueError, TypeError, KeyError, RuntimeError, OSError, TimeoutError, MemoryError),
    *(RecursionError, UnicodeError, ZeroDivisionError, AssertionError, StopIteration),
]


def judge_at(path: Path, scope: str | None = None) -> Judge:
    settings = Settings(
        api_url="http://127.0.0.1:9",
        credential=PersonalToken("t"),
        proxies=Proxies(),
        charm_token="c",
        token_secrets=(b"s" * 32,),
        state_directory=path / "state",
        policy=None,
        decisions=path / "decisions.jsonl",
    )
    state = State(settings.state_directory)
    state.prepare(None)
    log = DecisionLog(settings.decisions)
    return Judge(GitHub(settings), state, log, check_s=2.0, scope=scope)


def decide(path: Path, outcome: Any, monkeypatch: pytest.MonkeyPatch) -> Passed | Refused:
    """Judge a job whose inspection ends as told."""

    def inspect(*_: Any) -> Any:
        if isinstance(outcome, type):
            raise outcome("a reason")
        yield from ()
        return outcome

    monkeypatch.setattr(judging, "inspect", inspect)
    return judge_at(path).judge("runner", "push", "push", QUESTION)


@pytest.mark.parametrize("scope", ["other", "acme/other", "acme/dem", "demo", "acm", None])
def test_nobody_else_s_job_may_run(
    scope: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inspect(*_: Any) -> Any:
        yield from ()
        return Passed()

    monkeypatch.setattr(judging, "inspect", inspect)
    answer = judge_at(tmp_path, scope).judge("runner", "push", "push", QUESTION)
    if scope is None:
        assert answer == Passed()
        return
    refused = Refused(HTTPStatus.FORBIDDEN, f"these runners serve {scope}, and no other's jobs")
    assert answer == refused
    (line,) = (tmp_path / "decisions.jsonl").read_text().splitlines()
    assert json.loads(line)["verdict"] == "fail"
    for own in ("acme", "ACME/Demo"):
        assert judge_at(tmp_path, own).judge("runner", "push", "push", QUESTION) == Passed()


@pytest.mark.parametrize("error", ERRORS)
def test_no_error_becomes_a_pass(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = decide(tmp_path, error, monkeypatch)
    assert isinstance(answer, Refused)
    assert answer.status == (403 if error is NotFound else 500)
    assert answer.reason


@given(st.none() | st.booleans() | st.integers() | st.text() | st.just(Passed))
def test_nothing_but_a_verdict_becomes_a_pass(outcome: Any) -> None:
    assert isinstance(judge_outcome(outcome), Refused)


def judge_outcome(outcome: Any) -> Passed | Refused:
    judge = Judge.__new__(Judge)
    judge._slots = BoundedSemaphore(1)
    return judge._answer(lambda: outcome, 2.0)


def test_a_verdict_is_handed_on_and_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert decide(tmp_path, Passed(), monkeypatch) == Passed()
    assert decide(tmp_path, Failed("why"), monkeypatch) == Refused(HTTPStatus.FORBIDDEN, "why")
    lines = (tmp_path / "decisions.jsonl").read_text().splitlines()
    found = [(json.loads(line)["verdict"], json.loads(line)["reason"]) for line in lines]
    assert found == [("pass", ""), ("fail", "why")]


@given(st.text())
def test_a_reason_is_one_printable_line_whatever_names_it_holds(text: str) -> None:
    answer = judge_outcome(Failed(f"{text}\n::stop-commands::{text}" * 99))
    assert isinstance(answer, Refused)
    assert answer.reason.isprintable()
    assert len(answer.reason) <= 2000


def test_a_job_is_not_allowed_where_that_can_t_be_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "decisions.jsonl").mkdir()
    answer = decide(tmp_path, Passed(), monkeypatch)
    assert isinstance(answer, Refused)
    assert answer.status == 500
    assert answer.reason == "the decision can't be logged: Is a directory"


def test_a_policy_that_can_t_be_read_lets_nothing_pass(tmp_path: Path) -> None:
    judge = judge_at(tmp_path)
    (tmp_path / "state" / "policy.json").write_text("nonsense")
    answer = judge.judge("runner", "push", "push", QUESTION)
    assert isinstance(answer, Refused)
    assert answer.status == 500


def test_a_check_that_hangs_ends_in_time_and_keeps_its_slot_until_it_is_done() -> None:
    slots, end, done = BoundedSemaphore(1), Event(), Event()

    def hang() -> None:
        end.wait(30)
        done.set()

    began = monotonic()
    for _ in range(2):  # the second one finds no slot
        with pytest.raises(TimeoutError):
            within(0.1, hang, slots)
    assert monotonic() - began < 5
    end.set()
    assert done.wait(5)
    assert within(5, lambda: "next", slots) == "next"


def test_a_check_whose_thread_can_t_start_gives_its_slot_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slots = BoundedSemaphore(1)
    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", no_more_threads)
        with pytest.raises(RuntimeError):
            within(5, lambda: "nothing", slots)
    assert within(5, lambda: "next", slots) == "next"


def no_more_threads(_: Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_it_knows_that_no_job_can_be_let_run_for_a_reason_of_its_own(tmp_path: Path) -> None:
    judge = judge_at(tmp_path)
    assert judge.unable() == ""
    policy = tmp_path / "state" / "policy.json"
    policy.write_text("{")
    assert judge.unable().startswith("the policy document can't be used: ")
    policy.unlink()
    assert judge.unable() == "the policy document can't be read: No such file or directory"
    policy.write_text("null")
    (tmp_path / "decisions.jsonl").unlink()
    (tmp_path / "decisions.jsonl").mkdir()
    log = tmp_path / "decisions.jsonl"
    assert judge.unable() == f"the decision can't be logged: {log}: Is a directory"
    (tmp_path / "state" / "used-tokens").rmdir()
    assert judge.unable().startswith("used tokens can't be noted: ")
