from __future__ import annotations

from concurrent.futures import wait
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from supervisor.gateways.lxd import EventStream, LifecycleEvent, Lxd, LxdEndpoint, LxdUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.private_lxd import PrivateLxd

    Build = Callable[..., dict[str, Any]]

_LIMIT_S = 30.0


def _until(stream: EventStream, action: str) -> list[LifecycleEvent]:
    found = []
    for event in stream:
        found.append(event)
        if event.action == action:
            return found
    raise AssertionError(found)


def test_a_guest_that_powers_off_is_heard_as_shutdown_and_then_deleted(
    lxd: Lxd, real_lxd: PrivateLxd, request_for: Build
) -> None:
    with lxd.events() as stream:
        lxd.create(request_for("one", user_data="poweroff -n -f\n"), limit_s=30)
        lxd.start("one", limit_s=30)
        heard = _until(stream, "instance-deleted")

    assert [event.action for event in heard] == [
        "instance-created",
        "instance-started",
        "instance-shutdown",
        "instance-deleted",
    ]
    assert {(event.name, event.project) for event in heard} == {("one", real_lxd.project)}
    assert all(abs(datetime.now(timezone.utc) - event.at) < timedelta(minutes=1) for event in heard)


def test_an_ephemeral_instance_stopped_by_force_is_told_deleted_and_stopped_in_either_order(
    lxd: Lxd, request_for: Build
) -> None:
    lxd.create(request_for("one"), limit_s=30)
    lxd.start("one", limit_s=30)

    with lxd.events() as stream:
        lxd.delete("one", limit_s=30)
        heard = {next(stream).action, next(stream).action}

    assert heard == {"instance-deleted", "instance-stopped"}


def test_a_change_of_configuration_is_heard_with_the_instances_name(
    lxd: Lxd, request_for: Build
) -> None:
    lxd.create(request_for("one"), limit_s=30)

    with lxd.events() as stream:
        lxd.update_config("one", {"user.supervisor.stage": "idle"})
        assert _until(stream, "instance-updated")[-1].name == "one"


def test_what_happens_in_other_projects_is_not_heard(
    lxd: Lxd, real_lxd: PrivateLxd, request_for: Build
) -> None:
    elsewhere = Lxd(LxdEndpoint(real_lxd.endpoint.socket, "default", 10))

    with lxd.events() as stream:
        elsewhere.ensure_profile("unheard")
        elsewhere.delete_profile("unheard")
        lxd.create(request_for("one"), limit_s=30)
        heard = _until(stream, "instance-created")

    assert [event.name for event in heard] == ["one"]


def test_closing_from_another_thread_ends_the_iteration(
    lxd: Lxd, in_thread: Callable[..., Any]
) -> None:
    stream = lxd.events()
    listening = in_thread(list, stream)

    stream.close()

    assert listening.result(_LIMIT_S) == []
    stream.close()
    assert list(stream) == []


def test_the_death_of_lxd_ends_the_stream_with_an_error_and_a_new_one_can_be_had(
    fragile: PrivateLxd, fragile_lxd: Lxd, in_thread: Callable[..., Any], fragile_request: Build
) -> None:
    listening = in_thread(list, fragile_lxd.events())

    fragile.daemon.kill()

    with pytest.raises(LxdUnavailable, match=r"event stream .* ended"):
        listening.result(_LIMIT_S)
    fragile.daemon.start()
    with fragile_lxd.events() as stream:
        fragile_lxd.create(fragile_request("one"), limit_s=30)
        assert _until(stream, "instance-created")[-1].name == "one"


def test_the_orderly_end_of_lxd_ends_the_stream_with_an_error(
    fragile: PrivateLxd, fragile_lxd: Lxd, in_thread: Callable[..., Any]
) -> None:
    listening = in_thread(list, fragile_lxd.events())

    fragile.daemon.terminate()

    with pytest.raises(LxdUnavailable, match=r"event stream .* ended"):
        listening.result(_LIMIT_S)


def test_a_lxd_that_falls_silent_is_noticed(
    fragile: PrivateLxd,
    fragile_lxd: Lxd,
    in_thread: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("supervisor.gateways.lxd._events._SILENCE_S", 0.5)
    stream = fragile_lxd.events()
    fragile.daemon.pause()

    with pytest.raises(LxdUnavailable, match="not even a sign of life"):
        in_thread(list, stream).result(_LIMIT_S)


def test_a_stream_lives_on_lxds_signs_of_life_alone(
    lxd: Lxd, in_thread: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.gateways.lxd._events._SILENCE_S", 15)
    stream = lxd.events()
    listening = in_thread(list, stream)

    assert wait([listening], timeout=16).not_done
    stream.close()

    assert listening.result(_LIMIT_S) == []
