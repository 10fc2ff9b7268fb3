"""Commands in real guests, which may do as they please."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from supervisor.gateways.lxd import (
    Lxd,
    LxdError,
    LxdUnavailable,
    NotFound,
    OperationFailed,
    Output,
    Refused,
    TimedOut,
)
from tests.integration.lxd.conftest import IDLE

if TYPE_CHECKING:
    from collections.abc import Callable

    Build = Callable[..., dict[str, Any]]

SHELL = ("/bin/sh", "-c")
_SOON_S = 30.0
"""Long on a busy machine, and far from the minutes for which it would be waited otherwise."""


@pytest.fixture
def guest(lxd: Lxd, request_for: Build) -> str:
    lxd.create(request_for("one"), limit_s=30)
    lxd.start("one", limit_s=30)
    return "one"


def run(lxd: Lxd, script: str, *, most_bytes: int = 1 << 20, limit_s: float = 10) -> Output:
    return lxd.output_of("one", (*SHELL, script), most_bytes=most_bytes, limit_s=limit_s)


@pytest.mark.usefixtures("guest")
def test_what_a_command_writes_comes_back_whole_and_its_errors_do_not(lxd: Lxd) -> None:
    assert run(lxd, "seq 30000; echo no >&2; exit 3") == Output(
        "".join(f"{number}\n" for number in range(1, 30001)).encode()
    )


@pytest.mark.usefixtures("guest")
def test_a_command_gets_its_arguments_and_no_input(lxd: Lxd) -> None:
    command = (*SHELL, 'echo "$1|$2"', "sh", "a b", "$(id)")
    assert lxd.output_of("one", command, most_bytes=99, limit_s=10) == Output(b"a b|$(id)\n")


@pytest.mark.usefixtures("guest")
def test_a_program_that_is_not_there_writes_nothing(lxd: Lxd) -> None:
    assert lxd.output_of("one", ("/none",), most_bytes=99, limit_s=10) == Output(b"")


@pytest.mark.parametrize("script", ["yes", "yes & yes", "yes >&2 & exec yes"])
def test_of_an_endless_output_no_more_is_read_than_wanted(
    lxd: Lxd, guest: str, script: str
) -> None:
    output = run(lxd, script, most_bytes=100_001)
    assert output == Output(b"y\n" * 50_000 + b"y", "is cut at 100001 bytes")
    assert lxd.delete(guest, limit_s=20) is True


@pytest.mark.parametrize(
    ("script", "wrote"),
    [
        ("echo a; exec sleep 600", b"a\n"),
        ("echo a; sleep 600 & exit 0", b"a\n"),
        ("yes >&2", b""),
        ("cat; sleep 600", b""),
    ],
)
def test_what_never_ends_is_left_after_the_limit_and_goes_with_its_instance(
    lxd: Lxd, guest: str, script: str, wrote: bytes
) -> None:
    began = time.monotonic()
    assert run(lxd, script, limit_s=1) == Output(wrote, "is cut off after 1 s")
    assert time.monotonic() - began < _SOON_S
    assert lxd.delete(guest, limit_s=20) is True


@pytest.mark.usefixtures("guest")
def test_drop_by_drop_takes_no_longer_than_the_limit(lxd: Lxd) -> None:
    began = time.monotonic()
    output = run(lxd, "while :; do echo x; sleep 0.1; done", limit_s=1)
    assert output.data.startswith(b"x\nx\n")
    assert output.cut == "is cut off after 1 s"
    assert time.monotonic() - began < _SOON_S


def test_a_guest_that_ends_meanwhile_ends_the_output(lxd: Lxd, guest: str) -> None:
    output = run(lxd, "echo a; sleep 0.2; poweroff -n -f; sleep 5")
    assert output.data == b"a\n"
    assert lxd.delete(guest, limit_s=20) in {True, False}


def test_what_is_stopped_or_not_there_runs_nothing(lxd: Lxd, request_for: Build) -> None:
    with pytest.raises(NotFound):
        run(lxd, "echo")
    lxd.create(request_for("one"), limit_s=30)
    with pytest.raises(Refused, match="not running"):
        run(lxd, "echo")


def test_a_lxd_that_hangs_is_noticed_within_the_limit(
    fragile_lxd: Lxd, hasty_lxd: Lxd, fragile: Any, fragile_request: Build
) -> None:
    fragile_lxd.create(fragile_request("one", IDLE), limit_s=30)
    fragile_lxd.start("one", limit_s=30)
    assert run(fragile_lxd, "echo hi").data == b"hi\n"
    fragile.daemon.pause()
    began = time.monotonic()
    with pytest.raises(LxdUnavailable):
        run(hasty_lxd, "echo hi", limit_s=60)
    assert time.monotonic() - began < _SOON_S


@pytest.mark.usefixtures("guest")
@pytest.mark.parametrize("code", [0, 3, 126, 127, 255])
def test_a_command_that_runs_to_its_end_says_how_it_ended(lxd: Lxd, code: int) -> None:
    lines: list[str] = []
    script = f"echo a; echo b >&2; cat; printf c; exit {code}"
    assert lxd.run("one", (*SHELL, script), take=lines.append, limit_s=10) == code
    assert lines == ["a", "b", "c"]


@pytest.mark.usefixtures("guest")
def test_each_line_is_there_as_soon_as_it_is_written(lxd: Lxd) -> None:
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        if line == "a":
            lxd.push_file("one", "/go-on", b"", mode=0o600, limit_s=10)

    # What is only there at the end would never let it come to that.
    script = "echo a; until [ -e /go-on ]; do sleep 0.1; done; echo b"
    assert lxd.run("one", (*SHELL, script), take=take, limit_s=30) == 0
    assert lines == ["a", "b"]


@pytest.mark.usefixtures("guest")
def test_a_line_without_end_takes_no_memory_without_end(lxd: Lxd) -> None:
    lines: list[str] = []
    script = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo b"
    assert lxd.run("one", (*SHELL, script), take=lines.append, limit_s=30) == 0
    assert len(lines[0]) < 200_000
    assert lines[1:] == ["b"]


@pytest.mark.usefixtures("guest")
@pytest.mark.parametrize(
    ("script", "most_bytes"), [("yes", 100_000), ("yes", 2**26), ("yes ''", 2**26)]
)
def test_a_command_that_never_stops_to_write_is_left_alone(
    lxd: Lxd, monkeypatch: pytest.MonkeyPatch, script: str, most_bytes: int
) -> None:
    monkeypatch.setattr("supervisor.gateways.lxd._commands._MOST_LINES", 200_000)
    lines: list[str] = []
    with pytest.raises(OperationFailed, match=f"it writes over {most_bytes} bytes or 200000 lines"):
        lxd.run("one", (*SHELL, script), take=lines.append, limit_s=60, most_bytes=most_bytes)
    assert len(lines) < 400_000
    assert sum(map(len, lines)) < 2 * most_bytes


@pytest.mark.usefixtures("guest")
def test_a_command_that_goes_on_beyond_its_limit_is_not_waited_for(lxd: Lxd) -> None:
    lines: list[str] = []
    began = time.monotonic()
    with pytest.raises(TimedOut, match="to its end within 1 s"):
        lxd.run("one", (*SHELL, "echo a; sleep 60"), take=lines.append, limit_s=1)
    assert time.monotonic() - began < _SOON_S
    assert lines == ["a"]


@pytest.mark.usefixtures("guest")
def test_a_command_whose_guest_ends_has_no_good_end(lxd: Lxd) -> None:
    script = "echo a; sleep 0.2; poweroff -n -f; sleep 5"
    try:
        code = lxd.run("one", (*SHELL, script), take=lambda _: None, limit_s=20)
    except LxdError:
        return
    assert code != 0
