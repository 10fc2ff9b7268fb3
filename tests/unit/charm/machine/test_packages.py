"""Debian packages, by an emulated apt."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from machine import MachineError
from machine.commands import Commands, Done
from machine.packages import Packages, kernel_packages

LOCKED = Done(100, err="E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7\n")


class Apt(Commands):
    """Answers for apt-get and dpkg, one answer after the other; then all is well."""

    def __init__(self, *answers: Done, installed: tuple[str, ...] = ()) -> None:
        self.answers = list(answers)
        self.installed = set(installed)
        self.runs: list[str] = []
        self.told: Mapping[str, str] = {}

    def run(
        self,
        *command: str | Path,
        limit_s: float,
        environment: Mapping[str, str] | None = None,
        ends_with_us: bool = False,
    ) -> Done:
        assert not ends_with_us  # what apt and dpkg are at is to be let end
        assert 0 < limit_s < 1000
        self.told = environment or {}
        words = [str(word) for word in command]
        if words[0] == "dpkg-query":
            return Done(0, "".join(f"{name} installed\n" for name in self.installed & {*words}))
        verb = next(word for word in words[1:] if not word.startswith("--"))
        self.runs.append(verb)
        done = self.answers.pop(0) if self.answers else Done(0)
        if not done.code and verb == "install":
            self.installed.update(words[words.index("install") + 1 :])
        return done


def never(_: float) -> None:
    raise AssertionError("it waits")


def test_what_is_there_is_left_alone() -> None:
    apt = Apt(installed=("nftables",))
    assert not Packages(apt, pause=never).ensure(["nftables"])
    assert apt.runs == []


def test_what_is_missing_is_installed_from_lists_read_anew() -> None:
    apt = Apt(installed=("nftables",))
    assert Packages(apt, pause=never).ensure(["nftables", "btrfs-progs"])
    assert apt.runs == ["update", "install"]
    assert apt.installed == {"nftables", "btrfs-progs"}


def test_packages_are_fetched_through_the_proxies() -> None:
    apt = Apt()
    Packages(apt, {"http_proxy": "http://proxy:3128"}, pause=never).ensure(["nftables"])
    assert apt.told["http_proxy"] == "http://proxy:3128"
    assert apt.told["DEBIAN_FRONTEND"] == "noninteractive"


def test_lists_that_cant_be_read_anew_are_tried_as_they_are() -> None:
    apt = Apt(Done(100, err="E: Failed to fetch http://mirror\n"))
    assert Packages(apt, pause=never).ensure(["nftables"])


@pytest.mark.parametrize(
    "words", ["E: Unable to locate package nftables", "E: Package 'nftables' has no installation c"]
)
def test_a_package_that_no_source_has_is_named(words: str) -> None:
    apt = Apt(Done(0), Done(100, err=words))
    with pytest.raises(
        MachineError, match=r"can't install nftables: no source of packages here has nftables$"
    ):
        Packages(apt, pause=never).ensure(["nftables"])


def test_one_that_is_good_to_have_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    apt = Apt(Done(0), Done(100, err="E: Unable to locate package cpu-checker"))
    Packages(apt, pause=never).ensure([], ["cpu-checker", "apparmor-utils"])
    assert apt.installed == {"apparmor-utils"}
    assert "cpu-checker, which is good to have, can't be installed" in caplog.text


def test_a_lock_that_is_held_is_waited_for() -> None:
    apt, waits = Apt(LOCKED, LOCKED), list[float]()
    assert Packages(apt, pause=waits.append).ensure(["nftables"])
    assert apt.runs == ["update", "update", "update", "install"]
    assert len(waits) == 2


def test_a_lock_that_is_held_for_long_is_told_in_one_sentence() -> None:
    waited: list[float] = []
    with pytest.raises(MachineError, match="another program has had apt's lock for too long"):
        Packages(Apt(*[LOCKED] * 1000), pause=waited.append).ensure(["nftables"])
    assert sum(waited) <= 2 * 120


def test_an_installation_that_was_interrupted_is_completed_first() -> None:
    apt = Apt(
        Done(0),
        Done(100, err="E: dpkg was interrupted, you must manually run 'dpkg --configure -a'"),
    )
    assert Packages(apt, pause=never).ensure(["nftables"])
    assert apt.runs == ["update", "install", "-a", "install"]


def test_any_other_failure_is_told_in_apt_s_last_words() -> None:
    apt = Apt(Done(0), Done(100, err="Reading…\nE: Sub-process dpkg returned an error code (1)\n"))
    with pytest.raises(MachineError, match=r"E: Sub-process dpkg returned an error code \(1\)$"):
        Packages(apt, pause=never).ensure(["nftables"])


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("6.8.0-45-generic", "linux-generic"),
        ("6.8.0-45-generic", "linux-virtual"),
        ("6.8.0-45-generic", "linux-generic-hwe-22.04"),
        ("6.8.0-1015-aws", "linux-aws"),
        ("6.1.0-18-amd64", "linux-image-amd64"),
        ("6.1.0-18-cloud-amd64", "linux-image-cloud-amd64"),
    ],
)
def test_a_kernel_comes_by_the_package_of_its_flavour(release: str, name: str) -> None:
    apt = Apt(installed=(name, "linux-lowlatency"))
    Packages(apt, pause=never).upgrade_kernel(release)
    assert name in kernel_packages(release)
    assert "linux-lowlatency" not in kernel_packages(release)
    assert apt.runs == ["update", "install"]


@pytest.mark.parametrize("release", ["6.8.0-45-generic", "6.18.44", "strange"])
def test_where_no_package_brings_kernels_none_is_looked_for(release: str) -> None:
    apt = Apt()
    Packages(apt, pause=never).upgrade_kernel(release)
    assert apt.runs == []


def test_a_kernel_that_cant_be_upgraded_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    apt = Apt(Done(0), Done(100, err="E: no space left\n"), installed=("linux-generic",))
    Packages(apt, pause=never).upgrade_kernel("6.8.0-45-generic")
    assert "the kernel can't be upgraded: E: no space left" in caplog.text
