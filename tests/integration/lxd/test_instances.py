from __future__ import annotations

import contextlib
import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import eventually

from supervisor.gateways.lxd import (
    AlreadyExists,
    Lxd,
    LxdEndpoint,
    LxdError,
    NotFound,
    OperationFailed,
    Refused,
    TimedOut,
)
from supervisor.runners import marks

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.private_lxd import PrivateLxd

    Build = Callable[..., dict[str, Any]]


def test_a_created_instance_is_stopped_and_carries_its_configuration(
    lxd: Lxd, request_for: Build
) -> None:
    request = request_for("one", installation="here", stage="idle")

    lxd.create(request, limit_s=30)

    found = lxd.instance("one")
    assert (found.name, found.status, found.type, found.ephemeral) == (
        "one",
        "Stopped",
        "container",
        True,
    )
    assert request["config"].items() <= found.config.items()
    assert abs(datetime.now(timezone.utc) - found.created_at) < timedelta(minutes=1)


def test_whether_an_instance_was_ever_started_can_be_seen(lxd: Lxd, request_for: Build) -> None:
    lxd.create(request_for("one"), limit_s=30)
    assert not marks.read("Stopped", lxd.instance("one").config).seen.started

    lxd.start("one", limit_s=30)

    assert marks.read("Running", lxd.instance("one").config).seen.started


def test_that_lxd_has_seen_an_instance_stop_can_be_seen(lxd: Lxd, request_for: Build) -> None:
    """One that is no ephemeral, which LXD keeps."""
    request = {**request_for("one", user_data="poweroff -n -f\n"), "ephemeral": False}
    lxd.create(request, limit_s=30)

    lxd.start("one", limit_s=30)

    eventually(lambda: lxd.instance("one").status == "Stopped")
    eventually(lambda: marks.read("Stopped", lxd.instance("one").config).seen.stop_noticed)


def test_one_listing_shows_all_instances_in_full(lxd: Lxd, request_for: Build) -> None:
    for name in ("one", "two"):
        lxd.create(request_for(name, installation=name), limit_s=30)

    found = {instance.name: instance for instance in lxd.instances()}

    assert found.keys() == {"one", "two"}
    assert found["two"] == lxd.instance("two")
    assert found["two"].config["user.supervisor.installation"] == "two"


def test_an_instance_is_data_that_outlives_what_it_describes(lxd: Lxd, request_for: Build) -> None:
    lxd.create(request_for("one"), limit_s=30)
    found = lxd.instance("one")
    lxd.delete("one", limit_s=30)

    assert found.status == "Stopped"
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.status = "Running"  # type: ignore[misc]


def test_a_started_instance_runs_and_starting_it_again_changes_nothing(
    lxd: Lxd, request_for: Build
) -> None:
    lxd.create(request_for("one"), limit_s=30)

    lxd.start("one", limit_s=30)
    lxd.start("one", limit_s=30)

    assert lxd.instance("one").status == "Running"


def test_a_taken_name_is_told_although_lxd_answers_with_success(
    lxd: Lxd, request_for: Build
) -> None:
    lxd.create(request_for("one"), limit_s=30)

    with pytest.raises(AlreadyExists, match="could not create instance one: LXD says"):
        lxd.create(request_for("one"), limit_s=30)


def test_of_many_who_create_one_name_one_succeeds_and_all_others_hear_it(
    lxd: Lxd, request_for: Build
) -> None:
    def create(_number: int) -> str:
        try:
            lxd.create(request_for("one"), limit_s=30)
        except LxdError as error:
            return type(error).__name__
        return "created"

    with ThreadPoolExecutor(6) as threads:
        results = sorted(threads.map(create, range(6)))

    assert results == ["AlreadyExists"] * 5 + ["created"]


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"source": {"type": "image", "alias": "none"}}, NotFound, "alias not found"),
        ({"profiles": ["none"]}, NotFound, "none"),
        ({"name": "not_a_name"}, Refused, "[Ii]nvalid instance name"),
        ({"config": {"bogus": "1"}}, Refused, "Unknown configuration key: bogus"),
        ({"config": {"limits.memory": "lots"}}, Refused, "Invalid value: lots"),
        ({"type": "virtual-machine"}, Refused, "virtual-machine"),
    ],
)
def test_a_bad_request_leaves_nothing_and_says_what_is_wrong(
    lxd: Lxd, request_for: Build, change: dict[str, Any], kind: type[LxdError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        lxd.create({**request_for("one"), **change}, limit_s=30)

    assert lxd.instances() == []


def test_a_refusal_that_repeats_the_user_data_does_not_show_it(
    lxd: Lxd, request_for: Build
) -> None:
    secret = "AABBCCDD-just-in-time"
    request = request_for("one", user_data=secret)
    request["config"]["limits.memory"] = secret

    with pytest.raises(Refused) as caught:
        lxd.create(request, limit_s=30)

    assert "Invalid value: [withheld]" in str(caught.value)
    assert secret not in f"{caught.value!r} {caught.value.__cause__!s}"


def test_a_limit_that_has_passed_is_told_and_lxd_goes_on(lxd: Lxd, request_for: Build) -> None:
    with pytest.raises(TimedOut, match=r"LXD goes on with it \(lxc operation show [0-9a-f-]{36}\)"):
        lxd.create(request_for("one"), limit_s=0)

    eventually(lxd.instances)


def test_changed_keys_are_set_and_the_others_stay(lxd: Lxd, request_for: Build) -> None:
    lxd.create(request_for("one", installation="here"), limit_s=30)
    lxd.start("one", limit_s=30)
    before = dict(lxd.instance("one").config)

    lxd.update_config("one", {"user.supervisor.stage": "busy", "user.supervisor.job": '{"a": 1}'})

    expected = {**before, "user.supervisor.stage": "busy", "user.supervisor.job": '{"a": 1}'}
    assert lxd.instance("one").config == expected


def test_the_user_data_can_be_taken_from_a_running_instance_that_does_not_notice(
    lxd: Lxd, request_for: Build
) -> None:
    lxd.create(request_for("one", installation="here"), limit_s=30)
    lxd.start("one", limit_s=30)
    before = lxd.instance("one")
    assert before.config["cloud-init.user-data"]
    first_process = _state(lxd, "one")["pid"]

    for _ in range(2):  # a second time it is gone already
        lxd.update_config("one", {"user.supervisor.stage": "ready", "cloud-init.user-data": ""})

    after = lxd.instance("one")
    kept = {**before.config, "user.supervisor.stage": "ready"}
    del kept["cloud-init.user-data"]
    # Which boot it is, for cloud-init: LXD counts a changed document as a new one.
    kept.pop("volatile.cloud-init.instance-id", None)
    config = dict(after.config)
    config.pop("volatile.cloud-init.instance-id", None)
    assert config == kept
    assert after.status == "Running"
    assert _state(lxd, "one")["pid"] == first_process
    expanded = lxd._call("look", "get", "instances", "one").metadata["expanded_config"]
    assert "cloud-init.user-data" not in expanded


def _state(lxd: Lxd, name: str) -> Any:
    return lxd._call("look", "get", "instances", name, "state").metadata


def test_an_unknown_key_is_refused(lxd: Lxd, request_for: Build) -> None:
    lxd.create(request_for("one"), limit_s=30)

    with pytest.raises(Refused, match="Unknown configuration key: bogus"):
        lxd.update_config("one", {"bogus": "1"})


@pytest.mark.parametrize("run", [False, True], ids=["stopped", "running"])
@pytest.mark.parametrize("ephemeral", [False, True], ids=["kept", "ephemeral"])
def test_deleting_works_whatever_the_state_and_twice(
    lxd: Lxd, request_for: Build, *, run: bool, ephemeral: bool
) -> None:
    lxd.create({**request_for("one"), "ephemeral": ephemeral}, limit_s=30)
    if run:
        lxd.start("one", limit_s=30)

    assert lxd.delete("one", limit_s=30) is True
    assert lxd.instances() == []
    assert lxd.delete("one", limit_s=30) is False


def test_an_instance_is_deleted_even_while_lxd_creates_it(lxd: Lxd, request_for: Build) -> None:
    def come_and_go(number: int) -> bool:
        name = f"n{number}"
        with contextlib.suppress(TimedOut):  # the lucky ones are made already
            lxd.create(request_for(name), limit_s=0)
        eventually(lambda: any(found.name == name for found in lxd.instances()))
        return lxd.delete(name, limit_s=30)

    # Together they are slow enough to be caught half-made.
    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(come_and_go, range(6)))
    assert lxd.instances() == []


def test_an_instance_is_deleted_even_while_it_starts(lxd: Lxd, request_for: Build) -> None:
    lxd.create(request_for("one"), limit_s=30)
    with pytest.raises(TimedOut):
        lxd.start("one", limit_s=0)

    assert lxd.delete("one", limit_s=30) is True
    assert lxd.instances() == []


def test_two_who_delete_one_instance_both_succeed(lxd: Lxd, request_for: Build) -> None:
    lxd.create(request_for("one"), limit_s=30)
    lxd.start("one", limit_s=30)

    with ThreadPoolExecutor(2) as threads:
        outcomes = [threads.submit(lxd.delete, "one", limit_s=30) for _ in range(2)]

    assert all(outcome.result() in {True, False} for outcome in outcomes)
    assert any(outcome.result() for outcome in outcomes)
    assert lxd.instances() == []


def test_what_is_protected_from_deletion_is_refused_at_once(lxd: Lxd, request_for: Build) -> None:
    request = request_for("one")
    request["config"]["security.protection.delete"] = "true"
    lxd.create(request, limit_s=30)

    with pytest.raises((Refused, OperationFailed), match="protected"):
        lxd.delete("one", limit_s=3600)

    lxd.update_config("one", {"security.protection.delete": "false"})


def test_a_guest_that_powers_off_is_deleted_by_lxd(lxd: Lxd, request_for: Build) -> None:
    lxd.create(request_for("one", user_data="poweroff -n -f\n"), limit_s=30)
    lxd.start("one", limit_s=30)

    eventually(lambda: lxd.instances() == [])


def test_the_console_shows_what_the_guest_wrote(lxd: Lxd, request_for: Build) -> None:
    lxd.create(request_for("one"), limit_s=30)
    assert lxd.console_log("one") == ""

    lxd.start("one", limit_s=30)

    eventually(lambda: lxd.console_log("one") == "the guest is up\r\n")


def test_of_a_long_console_the_end_is_kept(lxd: Lxd, request_for: Build) -> None:
    lxd.create(
        request_for("one", user_data="seq 5000\nmkdir /tmp/done\nexec sleep 600\n"), limit_s=30
    )
    lxd.start("one", limit_s=30)
    containers = lxd.endpoint.find_socket().parent / "storage-pools/runners/containers"
    done = containers / f"{lxd.endpoint.project}_one/rootfs/tmp/done"
    eventually(done.exists)

    assert lxd.console_log("one", most_bytes=12) == "4999\r\n5000\r\n"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_be_another_address_is_refused(lxd: Lxd, name: str) -> None:
    with pytest.raises(Refused, match="is no name"):
        lxd.delete(name, limit_s=1)


@pytest.mark.parametrize("name", ["none", "a b", "a?b", "ä"])
def test_what_is_not_there_is_not_found(lxd: Lxd, name: str) -> None:
    with pytest.raises(NotFound):
        lxd.instance(name)
    with pytest.raises(NotFound):
        lxd.update_config(name, {"user.supervisor.stage": "idle"})
    with pytest.raises(NotFound):
        lxd.start(name, limit_s=5)
    with pytest.raises(NotFound):
        lxd.console_log(name)
    assert lxd.delete(name, limit_s=5) is False


def test_thirty_two_threads_share_one_gateway(real_lxd: PrivateLxd, request_for: Build) -> None:
    lxd = Lxd(LxdEndpoint(real_lxd.endpoint.socket, real_lxd.project, timeout_s=30))
    ready = threading.Barrier(32)

    def come_and_go(number: int) -> None:
        name = f"n{number}"
        ready.wait(30)
        lxd.create(request_for(name), limit_s=60)
        for turn in range(10):
            lxd.update_config(name, {"user.supervisor.stage": str(turn)})
            assert lxd.instance(name).config["user.supervisor.stage"] == str(turn)
        assert lxd.delete(name, limit_s=60) is True

    with ThreadPoolExecutor(32) as threads:
        list(threads.map(come_and_go, range(32)))

    assert lxd.instances() == []


def test_a_thread_keeps_one_connection_whatever_it_has_asked_for(lxd: Lxd) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    lxd.instances()
    before = open_files()
    for number in range(30):
        with contextlib.suppress(NotFound):
            lxd.instance(f"nobody-{number}")
    assert open_files() <= before
