"""Whether a reboot is needed, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.upgrades.reboot import KernelSeen, Need, Running, decide, needed_for

ASKED = Need("the host asks for it")


@pytest.mark.parametrize(
    ("running", "installed", "newer"),
    [
        ("5.15.0-91-generic", ("5.15.0-91-generic",), False),
        ("5.15.0-91-generic", ("5.15.0-91-generic", "5.15.0-101-generic"), True),
        ("5.15.0-101-generic", ("5.15.0-91-generic", "5.15.0-101-generic"), False),
        ("5.15.0-91-generic", ("6.8.0-31-lowlatency",), False),
        ("6.1.0-18-amd64", ("6.1.0-18-amd64", "6.1.0-20-amd64"), True),
        ("6.1.0-18-amd64", ("6.1.0-20-cloud-amd64",), False),
        ("6.1.0-0.deb11.13-amd64", ("6.1.0-0.deb11.17-amd64",), True),
        ("6.18.44-fc-v595", (), False),
        ("5.15.0-1050-aws", ("5.15.0-1049-aws", "5.15.0-1051-aws"), True),
    ],
)
def test_a_newer_kernel_of_the_same_flavour_needs_a_reboot(
    running: str, installed: tuple[str, ...], newer: bool
) -> None:
    need = needed_for(KernelSeen(running, installed))
    assert bool(need) is newer
    if newer:
        words = f"kernel {installed[-1]} is installed, {running} is running"
        assert need == Need(words, installed[-1])


def test_packages_may_need_one_too() -> None:
    seen = KernelSeen("5.15.0-91-generic", required=True, for_packages=("libc6", "dbus"))
    assert needed_for(seen) == Need("packages that were upgraded need it: libc6, dbus")
    asked = KernelSeen("5.15.0-91-generic", required=True)
    assert needed_for(asked) == Need("the host asks for it")


def running(runners: int = 0, busy: int = 0, *, building: bool = False, held: bool) -> Running:
    return Running(runners, busy, building, held)


def test_a_reboot_ends_no_job() -> None:
    assert decide(None, running(3, 3, held=True)).when == "no"
    assert decide(ASKED, running(held=True)).when == "now"
    waiting = decide(Need("a kernel", "6.8.0-50-generic"), running(3, 2, held=False))
    assert waiting.when == "after-drain"
    assert waiting.kernel == "6.8.0-50-generic"
    assert "supervisor-cli drain" in waiting.reason
    assert "(3 runners, 2 at work): a kernel" in waiting.reason
    assert (
        "as soon as the drain has ended (1 runner, 0" in decide(ASKED, running(1, held=True)).reason
    )


def test_where_the_next_runner_may_come_at_once_a_drain_comes_first() -> None:
    found = decide(ASKED, running(held=False))
    assert (found.when, "supervisor-cli drain" in found.reason) == ("after-drain", True)


def test_a_reboot_ends_no_build_of_an_image() -> None:
    found = decide(ASKED, running(building=True, held=True))
    assert found.when == "after-drain"
    assert "as soon as the image is built (0 runners, 0 at work, an image" in found.reason


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=5))
def test_any_names_of_kernels_are_compared(running: str, installed: list[str]) -> None:
    need = needed_for(KernelSeen(running, tuple(installed)))
    assert need is None or (running in need.reason and need.kernel in installed)


@given(
    st.none() | st.builds(Need, st.text(max_size=5), st.text(max_size=5)),
    st.builds(Running, st.integers(0, 9), st.integers(0, 9), st.booleans(), st.booleans()),
)
def test_nothing_is_rebooted_now_while_something_runs_or_may_begin(
    needed: Need | None, found: Running
) -> None:
    when = decide(needed, found).when
    assert (when == "no") is (needed is None)
    assert when != "now" or (found.held and not found.runners and not found.building)
