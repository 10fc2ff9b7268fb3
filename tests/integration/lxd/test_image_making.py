"""Images that a real LXD makes of instances, and the files that are put into these."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from supervisor.gateways.lxd import Lxd, NotFound, OperationFailed, Refused
from tests.integration.lxd.conftest import IDLE

Build = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _images_go(lxd: Lxd) -> Iterator[None]:
    before = {image.fingerprint for image in lxd.stored_images()}
    yield
    for image in lxd.stored_images():
        if image.fingerprint not in before:
            lxd.delete_image(image.fingerprint)


@pytest.fixture
def stopped(lxd: Lxd, request_for: Build) -> str:
    lxd.create({**request_for("one"), "ephemeral": False}, limit_s=30)
    return "one"


def test_an_image_of_an_instance_has_its_files_and_says_what_it_is_told_to(
    lxd: Lxd, stopped: str, request_for: Build
) -> None:
    lxd.push_directory(stopped, "/opt/x", mode=0o700, limit_s=10)
    lxd.push_file(stopped, "/opt/x/file", io.BytesIO(b"content\n"), mode=0o640, limit_s=10)
    fingerprint = lxd.publish(stopped, {"a": "1", "b": "2"}, limit_s=30)
    lxd.update_image(fingerprint, {"b": "3"})
    lxd.name_image("made", fingerprint)
    (image,) = [one for one in lxd.stored_images() if one.fingerprint == fingerprint]
    assert (image.type, image.aliases) == ("container", ("made",))
    assert dict(image.properties) == {"a": "1", "b": "3"}
    assert image.size > 0
    request = {**request_for("two"), "source": {"type": "image", "fingerprint": fingerprint}}
    lxd.create(request, limit_s=30)
    lxd.start("two", limit_s=30)
    lines: list[str] = []
    look = ("/bin/sh", "-c", "stat -c '%a %u' /opt/x /opt/x/file; cat /opt/x/file")
    assert lxd.run("two", look, take=lines.append, limit_s=10) == 0
    assert lines == ["700 0", "640 0", "content"]
    assert lxd.instance("two").config["volatile.base_image"] == fingerprint


def test_a_file_goes_into_an_instance_that_runs_too(lxd: Lxd, request_for: Build) -> None:
    lxd.create(request_for("one", IDLE), limit_s=30)
    lxd.start("one", limit_s=30)
    for text in (b"one", b"two"):
        lxd.push_directory("one", "/opt/x", mode=0o700, limit_s=10)
        lxd.push_file("one", "/opt/x/file", text, mode=0o600, limit_s=10)
    assert lxd.output_of("one", ("cat", "/opt/x/file"), most_bytes=9, limit_s=10).data == b"two"


def test_an_instance_that_runs_or_is_not_there_is_no_image(lxd: Lxd, request_for: Build) -> None:
    with pytest.raises(NotFound):
        lxd.publish("one", {}, limit_s=10)
    lxd.create({**request_for("one"), "ephemeral": False}, limit_s=30)
    lxd.start("one", limit_s=30)
    with pytest.raises((Refused, OperationFailed)):
        lxd.publish("one", {}, limit_s=10)


def test_an_instance_is_shut_down_once(lxd: Lxd, stopped: str) -> None:
    lxd.start(stopped, limit_s=30)
    # Process 1 hears only signals that it waits for, such as SIGPWR (30), LXD's order.
    waits = "until grep -q 'SigCgt:.*[2367abef].......$' /proc/1/status; do sleep 0.1; done"
    lxd.run(stopped, ("/bin/sh", "-c", waits), take=lambda _: None, limit_s=20)
    lxd.stop(stopped, limit_s=20)
    assert lxd.instance(stopped).status == "Stopped"
    lxd.stop(stopped, limit_s=20)
    with pytest.raises(NotFound):
        lxd.stop("two", limit_s=5)


def test_a_guest_that_does_not_shut_down_is_ended_by_force(lxd: Lxd, request_for: Build) -> None:
    request = {**request_for("one"), "ephemeral": False}
    lxd.create(request, limit_s=30)
    init = b"#!/bin/sh\ntrap '' PWR TERM\nwhile :; do sleep 1; done\n"
    lxd.push_file("one", "/bin/init", init, mode=0o755, limit_s=10)
    lxd.start("one", limit_s=30)
    with pytest.raises(OperationFailed):
        lxd.stop("one", limit_s=1)
    lxd.stop("one", limit_s=10, force=True)
    assert lxd.instance("one").status == "Stopped"


def test_an_image_that_is_not_there_takes_neither_properties_nor_a_name(lxd: Lxd) -> None:
    with pytest.raises(NotFound):
        lxd.update_image("0" * 64, {"a": "1"})
    with pytest.raises(NotFound):
        lxd.name_image("made", "0" * 64)
