from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from fake_lxd import FakeLxd

from supervisor import lifecycle
from supervisor.config import LogsConfig
from supervisor.gateways.log_store import LogStore
from supervisor.gateways.lxd import (
    AlreadyExists,
    LxdError,
    LxdUnavailable,
    NotFound,
    Output,
    Stopping,
    TimedOut,
)
from supervisor.lifecycle import Limits
from supervisor.messages.runner import Happened
from supervisor.web.proxies import Proxies, Proxy
from supervisor.work.instance import (
    Inspected,
    InstanceWork,
    LogsSaved,
    Looked,
    LookFailed,
    Recorded,
)

NAME = "fleet-aaaaaaaa"
REFUSALS = [LxdError("x"), AlreadyExists("x")]
SILENCES = [LxdUnavailable("x"), TimedOut("x")]


@pytest.fixture
def lxd() -> FakeLxd:
    return FakeLxd()


def work_on(lxd: Any, name: str) -> InstanceWork:
    return InstanceWork(lxd, name, Limits())


@pytest.fixture
def work(lxd: FakeLxd) -> InstanceWork:
    return work_on(lxd, NAME)


def test_an_instance_is_made_started_marked_and_removed(lxd: FakeLxd, work: InstanceWork) -> None:
    assert work.look() == Looked(None)
    made = work.create({"name": NAME, "config": {"user.supervisor.generation": "g"}})
    assert made == Happened(lifecycle.InstanceCreated())
    assert work.start() == Happened(lifecycle.InstanceStarted())
    assert work.record({"user.supervisor.stage": "ready"}) == Recorded()
    looked = work.look()
    assert isinstance(looked, Looked)
    assert looked.marks
    assert (looked.marks.seen.stage, looked.marks.generation) == ("ready", "g")
    assert work.remove() == Happened(lifecycle.InstanceGone())
    assert work.remove() == Happened(lifecycle.InstanceGone())
    assert lxd.there == {}


@pytest.mark.parametrize("error", [*REFUSALS, *SILENCES])
@pytest.mark.parametrize(
    ("call", "act", "outcome"),
    [
        ("delete", lambda w: w.remove(), Happened(lifecycle.RemovalFailed("x"))),
        ("instance", lambda w: w.look(), LookFailed("x")),
        ("update_config", lambda w: w.record({}), Recorded("x")),
    ],
)
def test_what_lxd_refuses_comes_back_as_what_happened(
    lxd: FakeLxd,
    work: InstanceWork,
    call: str,
    act: Callable[[InstanceWork], object],
    outcome: object,
    error: LxdError,
) -> None:
    lxd.fail(call, error)
    assert act(work) == outcome


@pytest.mark.parametrize("error", [*REFUSALS, *SILENCES])
def test_an_instance_that_can_not_be_made_comes_back_as_a_failure_with_its_cause(
    lxd: FakeLxd, work: InstanceWork, error: LxdError
) -> None:
    lxd.fail("create", error)
    assert work.create({"name": NAME}) == Happened(lifecycle.Failed("x", error.cause))


@pytest.mark.parametrize(
    ("error", "certain"), [(e, True) for e in REFUSALS] + [(e, False) for e in SILENCES]
)
def test_where_lxd_says_nothing_an_instance_may_have_been_started(
    lxd: FakeLxd, work: InstanceWork, error: LxdError, certain: bool
) -> None:
    lxd.fail("start", error)
    failed = lifecycle.StartFailed("x", certain=certain, cause=error.cause)
    assert work.start() == Happened(failed)


def test_marking_what_has_ended_meanwhile_is_no_error(lxd: FakeLxd, work: InstanceWork) -> None:
    lxd.fail("update_config", NotFound("gone"))
    assert work.record({}) == Recorded()


def test_what_stops_meanwhile_is_not_marked_and_that_is_told(
    lxd: FakeLxd, work: InstanceWork
) -> None:
    lxd.fail("update_config", Stopping("x"))
    assert work.record({}) == Recorded("x", stops=True)


def test_a_fault_of_ours_is_not_hidden(lxd: FakeLxd, work: InstanceWork) -> None:
    lxd.fail("start", ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        work.start()


@pytest.mark.parametrize(
    ("logs", "begun"),
    [
        ((), False),
        (("Runner_20300101-000000-utc.log",), False),
        (("Runner_20300101-000000-utc.log", "Worker_20300101-000001-utc.log"), True),
    ],
)
def test_a_job_that_has_begun_has_left_a_log(logs: tuple[str, ...], *, begun: bool) -> None:
    lxd = FakeLxd()
    lxd.diagnostics["r1"] = logs
    assert work_on(lxd, "r1").inspect() == Inspected(begun)


def test_a_guest_that_lxd_can_not_look_into_tells_nothing() -> None:
    lxd = FakeLxd()
    lxd.fail("output_of", LxdUnavailable("no agent"))
    assert work_on(lxd, "r1").inspect() == Inspected(None)


@pytest.mark.parametrize(("data", "begun"), [(b"Worker_1\n", True), (b"Runner_1\n", None)])
def test_a_guest_that_answers_only_in_part_is_believed_as_far(
    data: bytes, *, begun: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lxd = FakeLxd()
    monkeypatch.setattr(lxd, "output_of", lambda *_, **__: Output(data, "(is cut off after 7 s)"))
    assert work_on(lxd, "r1").inspect() == Inspected(begun)


NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
CONFIG = LogsConfig()


def save(work: InstanceWork, store: LogStore, reason: str = "it failed") -> LogsSaved:
    return work.save_logs(store, CONFIG, reason=reason, at=NOW)


@pytest.fixture
def store(tmp_path: Path) -> LogStore:
    return LogStore(tmp_path / "logs")


def kept(store: LogStore) -> str:
    found = store.read(NAME)
    assert found is not None
    return found.text


def test_console_and_logs_of_a_running_guest_are_kept(
    lxd: FakeLxd, work: InstanceWork, store: LogStore
) -> None:
    lxd.put(NAME)
    lxd.consoles[NAME] = "boots\r\n"
    lxd.outputs[NAME] = Output(b"== journal ==\n\xff says\n", "is cut off after 7 s")
    assert save(work, store) == LogsSaved(kept=True)
    assert kept(store) == (
        f"runner: {NAME}\nsaved: 2030-01-01T00:00:00+00:00\nreason: it failed\n\n"
        "== console ==\nboots\n\n== guest ==\n== journal ==\n\ufffd says\n(is cut off after 7 s)\n"
    )


def test_a_stopped_guest_has_only_its_console(
    lxd: FakeLxd, work: InstanceWork, store: LogStore
) -> None:
    lxd.put(NAME, "Stopped")
    lxd.consoles[NAME] = "dies"
    save(work, store)
    assert kept(store).endswith("\n\n== console ==\ndies\n")
    assert lxd.count("output_of") == 0


def test_a_guest_that_never_was_and_one_that_shows_nothing_leave_no_file(
    lxd: FakeLxd, work: InstanceWork, store: LogStore
) -> None:
    assert save(work, store) == LogsSaved()
    lxd.put(NAME, "Stopped")
    assert save(work, store) == LogsSaved()
    assert store.listing() == []


@pytest.mark.parametrize("call", ["instance", "console_log", "output_of"])
@pytest.mark.parametrize("error", [*REFUSALS, *SILENCES])
def test_what_can_not_be_had_is_one_line_in_the_file(
    lxd: FakeLxd, work: InstanceWork, store: LogStore, call: str, error: LxdError
) -> None:
    lxd.put(NAME)
    lxd.fail(call, error)
    assert save(work, store) == LogsSaved(kept=True)
    assert "(x)" in kept(store).splitlines()


def test_who_takes_long_over_one_step_has_less_time_for_the_others(
    lxd: FakeLxd, work: InstanceWork, store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lxd.put(NAME)
    now, limits = [0.0], []
    monkeypatch.setattr("supervisor.work.instance.time.monotonic", lambda: now[0])

    def slow(_name: str, *, limit_s: float, **_: object) -> str:
        now[0] += 12
        return "boots"

    def note(_name: str, _command: object, *, limit_s: float, **_: object) -> Output:
        limits.append(limit_s)
        return Output(b"")

    monkeypatch.setattr(lxd, "console_log", slow)
    monkeypatch.setattr(lxd, "output_of", note)
    save(work, store)
    assert limits == [3]


def test_what_the_guest_was_given_is_withheld_wherever_it_stands(
    lxd: FakeLxd, work: InstanceWork, store: LogStore
) -> None:
    token = "t" * 43
    lxd.put(NAME, signal_sha256=sha256(token.encode()).hexdigest())
    lxd.update_config(NAME, {"cloud-init.user-data": "JIT_CONFIG=c2VjcmV0\n"})
    lxd.consoles[NAME] = f"c2VjcmV0 {token}"
    lxd.outputs[NAME] = Output(f"{token} c2VjcmV0".encode())
    save(work, store, f"said c2VjcmV0 {token}")
    assert "c2VjcmV0" not in kept(store)
    assert token not in kept(store)
    assert kept(store).count("[withheld]") == 6


def test_a_proxys_password_is_withheld_also_when_the_instance_holds_it_no_more(
    lxd: FakeLxd, work: InstanceWork, store: LogStore
) -> None:
    lxd.put(NAME)
    lxd.consoles[NAME] = "Proxy-Authorization: Basic dXNlcjpwQHNz, p@ss"
    secrets = Proxies(Proxy("http://user:p%40ss@h:1")).secrets()
    saved = work.save_logs(store, CONFIG, reason="p%40ss is wrong", at=NOW, secrets=secrets)
    assert saved == LogsSaved(kept=True)
    assert "ss" not in kept(store).replace("reason", "").partition("== console")[2]
    assert "reason: [withheld] is wrong" in kept(store)


def test_a_console_full_of_rubbish_leaves_room_for_the_guests_logs(
    lxd: FakeLxd, work: InstanceWork, store: LogStore
) -> None:
    lxd.put(NAME)
    lxd.consoles[NAME] = "\x00" * CONFIG.most_bytes
    lxd.outputs[NAME] = Output(b"\x01" * CONFIG.most_bytes + b"end")
    save(work, store)
    (found,) = store.listing()
    assert found.size <= CONFIG.most_bytes
    assert kept(store).count("\ufffd\n\n== guest ==\n\ufffd") == 1


def test_a_disk_that_takes_nothing_is_told_in_one_line(
    lxd: FakeLxd, work: InstanceWork, tmp_path: Path
) -> None:
    (tmp_path / "logs").write_text("in the way")
    lxd.put(NAME)
    lxd.consoles[NAME] = "boots"
    saved = save(work, LogStore(tmp_path / "logs"))
    assert "logs" in saved.error
    assert "\n" not in saved.error
