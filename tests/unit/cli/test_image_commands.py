"""What the commands of images list, order and print."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.unit.cli.called import SINCE, Serve, call

IMAGE: dict[str, Any] = {
    "state": "ready",
    "reason": "fleet-image-1 (abcabcabcabc)",
    "image": "abc" * 21 + "a",
    "images": [
        {
            "fingerprint": "abc" * 21 + "a",
            "aliases": ["fleet-image-1"],
            "built_at": "2020-01-01T00:00:00+00:00",
            "verified": True,
            "used": True,
            "application": "1" * 64,
            "application_version": "2.300.0",
            "base": "2" * 64,
            "size": 3 << 30,
        },
    ],
    "building": "",
    "lacks": "",
    "error": "",
    "error_log": "",
    "next_look": "2020-01-01T06:00:00+00:00",
    "orders": 2,
    "incarnation": "a",
    "warnings": ["image: the disk is nearly full"],
    "done_by": 2,
}


def test_images_are_listed_with_the_one_in_use(serve: Serve) -> None:
    older = {**IMAGE["images"][0], "used": False, "application_version": "", "aliases": []}
    answer = {**IMAGE, "images": [*IMAGE["images"], older]}
    socket = serve(answer)
    done = call("image", "list", "--socket", socket)
    assert done.exit_code == 0
    state, next_look, warning, head, first, second = done.stdout.splitlines()
    assert state == "ready: fleet-image-1 (abcabcabcabc)"
    assert next_look == "looked at next at 2020-01-01 06:00 UTC"
    assert warning == "warning: image: the disk is nearly full"
    assert head.split() == ["IMAGE", "BUILT", "SIZE", "STATE", "APPLICATION", "ALIASES"]
    assert re.search(r"^abcabcabcabc .* 3,072 MiB +used +2\.300\.0 +fleet-image-1", first)
    assert re.search(r" kept +111111111111", second)
    assert json.loads(call("image", "list", "--json", "--socket", socket).stdout) == answer


def test_it_is_a_failure_that_there_is_no_image(serve: Serve) -> None:
    none = {**IMAGE, "state": "failing", "reason": "no route to anywhere", "image": ""}
    done = call("image", "list", "--socket", serve({**none, "images": []}))
    assert done.exit_code == 1
    assert done.stdout.startswith("failing: no route to anywhere\n")


def test_a_build_is_ordered_and_waited_for(serve: Serve) -> None:
    socket = serve(IMAGE)
    done = call("image", "build", "--socket", socket)
    assert (done.exit_code, done.output) == (0, "a new image is being built\n")
    done = call("image", "build", "--wait", "--socket", socket)
    assert (done.exit_code, done.output) == (0, "fleet-image-1 (abcabcabcabc)\n")


def test_a_build_that_fails_is_said(serve: Serve) -> None:
    socket = serve({**IMAGE, "error": "provisioning failed"})
    done = call("image", "build", "--wait", "--socket", socket)
    assert (done.exit_code, done.stderr) == (1, "provisioning failed\n")


def test_a_build_that_takes_too_long_says_what_it_is_at(serve: Serve) -> None:
    answer = {**IMAGE, "done_by": 3, "building": "another is being built: install packages"}
    socket = serve(answer)
    done = call("image", "build", "--wait", "--timeout", "0", "--socket", socket)
    assert done.exit_code == 1
    left = "not done within 0 s: another is being built: install packages"
    assert done.stderr.splitlines()[-1] == left


BUILD_LOG = {"runner": "image-1", "saved_at": SINCE, "reason": "built", "size": 2048}


def test_the_logs_of_builds_are_listed(serve: Serve) -> None:
    done = call("image", "logs", "--socket", serve([BUILD_LOG]))
    assert done.exit_code == 0
    head, line = done.stdout.splitlines()
    assert (head.split()[0], line.split()[0]) == ("BUILD", "image-1")


def test_the_log_of_a_build_is_printed_harmlessly(serve: Serve) -> None:
    one = {**BUILD_LOG, "text": "all of it\x1b\n"}
    done = call("image", "logs", "image-1", "--socket", serve(one))
    assert done.stdout.startswith("all of it")
    assert "\x1b" not in done.stdout
