"""What the background update runs: the script is real, apt and snap only note their orders."""

import os
import subprocess
from pathlib import Path

import pytest
from machine.updates import SCRIPT, UNIT


class Background:
    """Runs the script with an apt-get and a snap that end as they are told."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.note = directory / "update-failed"
        self.fails: set[str] = set()

    def run(self, *arguments: str) -> int:
        for program in ("apt-get", "snap"):
            path = self.directory / program
            code = 1 if program in self.fails else 0
            path.write_text(
                f'#!/bin/sh\necho "{program} $*" >>"{self.directory}/said"\n'
                f'echo "E: {program} speaks" >&2\nexit {code}\n'
            )
            path.chmod(0o755)
        path = f"{self.directory}:{os.defpath}"
        command = ("/bin/sh", "-c", SCRIPT, UNIT, str(self.note), *arguments)
        done = subprocess.run(
            command, check=False, env={"PATH": path}, capture_output=True, text=True
        )
        self.journal = done.stdout
        return done.returncode

    def said(self) -> list[str]:
        return (self.directory / "said").read_text().splitlines()


@pytest.fixture
def background(tmp_path: Path) -> Background:
    return Background(tmp_path)


def test_packages_and_lxd_are_brought_up_to_date(background: Background) -> None:
    assert background.run("lxd", "5.21/stable", "nftables", "btrfs-progs") == 0
    update, install, refresh = background.said()
    assert update == "apt-get --quiet update"
    assert "--only-upgrade" in install
    assert install.endswith("install nftables btrfs-progs")
    assert refresh == "snap refresh lxd --channel=5.21/stable"


def test_an_lxd_of_somebody_elses_is_left_alone(background: Background) -> None:
    assert background.run("", "", "nftables") == 0
    assert not any(line.startswith("snap") for line in background.said())


def test_without_a_package_only_lists_are_read(background: Background) -> None:
    assert background.run("", "") == 0
    assert background.said() == ["apt-get --quiet update"]


@pytest.mark.parametrize("fails", ["apt-get", "snap"])
def test_one_that_fails_keeps_not_the_other_from_being_tried(
    background: Background, fails: str
) -> None:
    background.fails = {fails}
    assert background.run("lxd", "5.21/stable", "nftables") == 1
    assert len(background.said()) == 3
    assert background.journal.count("apt-get speaks") == 2
    said = background.note.read_text().splitlines()
    assert said[-1] == f"E: {fails} speaks"


def test_what_failed_is_noted_for_root_alone_until_it_goes_well(background: Background) -> None:
    background.fails = {"snap"}
    background.run("lxd", "5.21/stable")
    assert background.note.stat().st_mode & 0o077 == 0
    background.fails = set()
    background.run("lxd", "5.21/stable")
    assert {path.name for path in background.directory.iterdir()} == {"apt-get", "snap", "said"}


def test_lists_that_cant_be_read_anew_are_no_failure_where_all_is_new_enough(
    background: Background,
) -> None:
    background.fails = {"apt-get"}
    assert background.run("", "") == 0
    assert not background.note.exists()
