"""Whether a reboot is needed, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.upgrades.reboot import KernelSeen, decide, needed_for


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
    words = needed_for(KernelSeen(running, installed))
    assert bool(words) is newer
    if newer:
        assert words == f"kernel {installed[-1]} is installed, {running} is running"


def test_packages_may_need_one_too() -> None:
    seen = KernelSeen("5.15.0-91-generic", required=True, for_packages=("libc6", "dbus"))
    assert needed_for(seen) == "packages that were upgraded need it: libc6, dbus"
    assert needed_for(KernelSeen("5.15.0-91-generic", required=True)) == "the host asks for it"


def test_a_reboot_ends_no_job() -> None:
    assert decide("", 3, 3, draining=True).when == "no"
    assert decide("x", 0, 0, draining=False).when == "now"
    assert decide("x", 0, 0, draining=True).when == "now"
    waiting = decide("a kernel", 3, 2, draining=False)
    assert waiting.when == "after-drain"
    assert "supervisor-cli drain --wait" in waiting.reason
    assert "(3 runners, 2 at work): a kernel" in waiting.reason
    assert "as soon as the drain has ended (1 runner, 0" in decide("x", 1, 0, draining=True).reason


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=5))
def test_any_names_of_kernels_are_compared(running: str, installed: list[str]) -> None:
    words = needed_for(KernelSeen(running, tuple(installed)))
    assert not words or running in words


@given(st.text(max_size=5), st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_nothing_is_rebooted_now_while_a_runner_is_there(
    needed: str, there: int, busy: int, draining: bool
) -> None:
    when = decide(needed, there, min(busy, there), draining=draining).when
    assert (when == "no") is (not needed)
    assert when != "now" or there == 0
