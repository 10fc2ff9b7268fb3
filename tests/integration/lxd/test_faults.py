"""A LXD that hangs, dies, restarts or forgets."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from waiting import eventually

from sandbox.lxd_daemon import processes_of
from supervisor.gateways.lxd import (
    Lxd,
    LxdEndpoint,
    LxdError,
    LxdUnavailable,
    NotFound,
    TimedOut,
)
from supervisor.gateways.lxd._connection import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.private_lxd import PrivateLxd

    Build = Callable[..., dict[str, Any]]

_SOON_S = 30.0
"""Long on a busy machine, and far from the minutes for which it would be waited otherwise."""

_CALLS: dict[str, Callable[[Lxd], object]] = {
    "instances": lambda lxd: lxd.instances(),
    "instance": lambda lxd: lxd.instance("one"),
    "create": lambda lxd: lxd.create({"name": "one", "source": {"type": "none"}}, limit_s=60),
    "start": lambda lxd: lxd.start("one", limit_s=60),
    "update_config": lambda lxd: lxd.update_config("one", {"user.a": "b"}),
    "delete": lambda lxd: lxd.delete("one", limit_s=60),
    "console_log": lambda lxd: lxd.console_log("one"),
    "events": lambda lxd: lxd.events(),
    "server": lambda lxd: lxd.server(),
    "bridge_address": lambda lxd: lxd.bridge_address("lo"),
    "resources": lambda lxd: lxd.resources("profiles"),
    "image": lambda lxd: lxd.image("tiny"),
}


@contextmanager
def _takes(least_s: float, most_s: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert least_s <= time.monotonic() - start <= most_s


def _long_operation(lxd: Lxd, name: str) -> Answer:
    """Start something in LXD that takes longer than any test: a program in a guest."""
    command = {"command": ["sleep", "600"], "wait-for-websocket": False, "environment": {}}
    return lxd._call("run a program", "post", "instances", name, "exec", json=command)


@dataclass(frozen=True)
class _Failure:
    error: LxdError
    after_s: float


def _failures(gateways: list[Lxd]) -> dict[str, _Failure]:
    """Make all calls at the same time, each through all of the gateways."""

    def fail(call: Callable[[Lxd], object], lxd: Lxd) -> _Failure:
        start = time.monotonic()
        with pytest.raises(LxdError) as caught:
            call(lxd)
        return _Failure(caught.value, time.monotonic() - start)

    with ThreadPoolExecutor(len(_CALLS) * len(gateways)) as threads:
        running = {
            f"{name} {number}": threads.submit(fail, call, lxd)
            for name, call in _CALLS.items()
            for number, lxd in enumerate(gateways)
        }
        return {name: failure.result() for name, failure in running.items()}


def test_whatever_is_called_a_lxd_that_hangs_is_noticed_in_time(
    fragile: PrivateLxd, hasty_lxd: Lxd
) -> None:
    fragile.daemon.pause()

    failures = _failures([hasty_lxd])

    for call, failure in failures.items():
        assert isinstance(failure.error, LxdUnavailable), call
        assert "no answer within 1 s; LXD hangs or is overloaded" in str(failure.error), call
        assert 0.9 <= failure.after_s <= _SOON_S, call


@pytest.mark.parametrize("call", ["instances", "delete", "events"])
def test_a_connected_client_notices_that_lxd_hangs(
    fragile: PrivateLxd, hasty_lxd: Lxd, call: str
) -> None:
    eventually(lambda: _is_connected(hasty_lxd))
    fragile.daemon.pause()

    with pytest.raises(LxdUnavailable, match="no answer within 1 s"), _takes(0.9, _SOON_S):
        _CALLS[call](hasty_lxd)


def _is_connected(lxd: Lxd) -> bool:
    with suppress(LxdUnavailable):
        return bool(lxd.server())
    return False


def test_whatever_is_called_a_lxd_that_is_down_is_noticed_and_works_when_it_is_back(
    fragile: PrivateLxd, fragile_lxd: Lxd
) -> None:
    fragile_lxd.server()
    fragile.daemon.kill()

    failures = _failures([fragile_lxd])
    for name, call in _CALLS.items():  # in this thread, which has a client
        with pytest.raises(LxdUnavailable, match="nothing listens there; is LXD running"):
            call(fragile_lxd)
        assert "nothing listens there" in str(failures[f"{name} 0"].error)

    fragile.daemon.start()
    assert fragile_lxd.server().containers


def test_a_missing_socket_is_told(tmp_path: Path) -> None:
    with pytest.raises(LxdUnavailable, match="there is no such socket: install or start LXD"):
        Lxd(LxdEndpoint(tmp_path / "none")).instances()


def test_access_denied_names_the_group(fragile: PrivateLxd, fragile_lxd: Lxd) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # another user: this process must stay root
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            Lxd(fragile.endpoint).instances()
        except LxdError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        assert "access is denied: run as root or add the user to LXD's group" in answer.read()


def test_a_lxd_that_hangs_during_an_operation_is_noticed_in_time(
    fragile: PrivateLxd, fragile_lxd: Lxd, hasty_lxd: Lxd, fragile_request: Build
) -> None:
    fragile_lxd.create(fragile_request("one"), limit_s=30)
    fragile_lxd.start("one", limit_s=30)
    answer = _long_operation(fragile_lxd, "one")
    fragile.daemon.pause()

    with pytest.raises(LxdUnavailable, match="no answer within"), _takes(0.9, _SOON_S):
        hasty_lxd._finish("run a program", answer, limit_s=600)


def test_an_operation_longer_than_a_call_may_take_is_waited_for_up_to_its_own_limit(
    fragile_lxd: Lxd, fragile_request: Build
) -> None:
    fragile_lxd.create(fragile_request("one"), limit_s=30)
    fragile_lxd.start("one", limit_s=30)
    answer = _long_operation(fragile_lxd, "one")

    lxd = Lxd(replace(fragile_lxd.endpoint, timeout_s=4))
    with pytest.raises(TimedOut, match="could not run a program within 6 s"), _takes(5.9, _SOON_S):
        lxd._finish("run a program", answer, limit_s=6)


def test_a_lxd_that_dies_during_an_operation_is_noticed(
    fragile: PrivateLxd, fragile_lxd: Lxd, fragile_request: Build
) -> None:
    fragile_lxd.create(fragile_request("one"), limit_s=30)
    fragile_lxd.start("one", limit_s=30)
    answer = _long_operation(fragile_lxd, "one")

    with ThreadPoolExecutor(1) as threads:
        wait = threads.submit(fragile_lxd._finish, "run a program", answer, limit_s=600)
        fragile.daemon.kill()
        with pytest.raises(LxdUnavailable, match="could not run a program"):
            wait.result(_SOON_S)


def test_an_operation_that_lxd_forgot_has_an_unknown_end_and_is_no_missing_instance(
    fragile_lxd: Lxd,
) -> None:
    with pytest.raises(LxdUnavailable, match="LXD no longer knows the operation"):
        fragile_lxd._finish("start it", Answer(None, str(uuid4())), limit_s=5)


def test_a_guest_that_died_with_lxd_is_not_started_again(
    fragile: PrivateLxd,
    fragile_lxd: Lxd,
    fragile_request: Build,
) -> None:
    fragile_lxd.create(fragile_request("one"), limit_s=30)
    fragile_lxd.start("one", limit_s=30)
    fragile.daemon.kill()
    # Its monitor first, which would tell LXD when it is back: as if the machine had crashed.
    guests = [pid for pid in processes_of(fragile.daemon.directory) if not _is_dhcp_server(pid)]
    for pid in sorted(guests):
        with suppress(ProcessLookupError):  # it went with its monitor
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not set(guests) & set(processes_of(fragile.daemon.directory)))

    fragile.daemon.start()

    assert fragile_lxd.instance("one").status == "Stopped"
    assert fragile_lxd.delete("one", limit_s=30) is True


def _is_dhcp_server(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "dnsmasq"
    except OSError:  # it has ended since it was found
        return False


def test_guests_outlive_a_killed_lxd_and_are_known_to_the_next(
    fragile: PrivateLxd, fragile_lxd: Lxd, fragile_request: Build
) -> None:
    fragile_lxd.create(fragile_request("one"), limit_s=30)
    fragile_lxd.start("one", limit_s=30)
    before = fragile_lxd.instance("one")
    fragile.daemon.kill()

    fragile.daemon.start()

    assert fragile_lxd.instance("one") == before


def test_a_project_that_is_not_there_is_told(
    fragile: PrivateLxd, fragile_lxd: Lxd, fragile_request: Build
) -> None:
    lxd = Lxd(LxdEndpoint(fragile.endpoint.socket, "none"))

    with pytest.raises(NotFound, match="Project not found"):
        lxd.create(fragile_request("one"), limit_s=30)
    with pytest.raises(LxdUnavailable):
        lxd.events()
