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
        self.fails: set[str] = set()

    def run(self, *arguments: str) -> int:
        for program in ("apt-get", "snap"):
            path = self.directory / program
            code = 1 if program in self.fails else 0
            path.write_text(
                f'#!/bin/sh\necho "{program} $*" >>"{self.directory}/said"\nexit {code}\n'
            )
            path.chmod(0o755)
        path = f"{self.directory}:{os.defpath}"
        command = ("/bin/sh", "-c", SCRIPT, UNIT, *arguments)
        return subprocess.run(command, check=False, env={"PATH": path}).returncode

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
