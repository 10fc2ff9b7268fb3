"""This machine as a charm may have it: what is written to its directories is gone afterwards.

A mount namespace with writable layers over the directories that a charm writes to, in memory. The
users, files and links in there are real, and nobody else sees them. What would reach beyond it is
recorded instead: systemd, packages, kernel settings.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mount_space import LET_GO

if TYPE_CHECKING:
    from collections.abc import Iterator

LAYERED = ("/etc", "/opt", "/usr/bin", "/usr/local", "/var/lib")
RECORDED = (
    "/usr/bin/systemctl",
    "/usr/bin/journalctl",
    "/usr/bin/systemd-run",
    "/usr/local/sbin/apt-get",
    "/usr/local/sbin/modprobe",
    "/usr/local/sbin/snap",
    "/usr/local/sbin/sysctl",
)
MOUNTS = f"""{LET_GO}
set -eu
scratch=$1; lxd=$2; shift 2
let_go "$lxd"
mount -t tmpfs -o mode=0755 scratch "$scratch"
mkdir "$scratch/lxd"
mount --bind "$lxd" "$scratch/lxd"
for directory; do
    mkdir -p "$scratch/layers$directory/upper" "$scratch/layers$directory/work"
    mount -t overlay -o "lowerdir=$directory,upperdir=$scratch/layers$directory/upper,\
workdir=$scratch/layers$directory/work" overlay "$directory"
done
mount -t tmpfs -o mode=0755 scratch /run
mkdir -p /run/lock /run/systemd /var/lib/lxd
# https://systemd.io/CONTAINER_INTERFACE: so no kernel is upgraded, nor KVM looked for.
echo lxc >/run/systemd/container
mount --bind "$scratch/lxd" /var/lib/lxd
echo made
exec sleep infinity
"""
# It plays the programs above: notes their arguments, and knows one service's state.
RECORDER = """#!/usr/bin/python3 -S
import json, os, pathlib, sys
directory = pathlib.Path("%s")
name, words = sys.argv[0].rpartition("/")[2], sys.argv[1:]
with (directory / "calls").open("a") as calls:
    calls.write(json.dumps({"words": [name, *words], "environment": dict(os.environ)}) + chr(10))
state, words_of_service = directory / "state", directory / "journal"
verb = words[0] if words else ""
if name == "journalctl":
    print(words_of_service.read_text())
if name == "systemctl" and verb in {"start", "restart"} and words[1].endswith(".service"):
    if (directory / "fails").exists():
        state.write_text("failed failed")
        sys.exit(1)
    state.write_text("active running")
if name == "systemctl" and verb == "stop":
    state.write_text("inactive dead")
if name == "systemctl" and verb == "show":
    print("ActiveState={}\\nSubState={}".format(*state.read_text().split()))
"""


@dataclass
class ScratchMachine:
    """The machine, while it is there.

    Attributes:
        directory: What the recorder writes to.
        holder: The process whose namespaces are the machine.
        seen: How many recorded calls `calls` leaves out, as they are old.
    """

    directory: Path
    holder: int
    seen: int = 0

    @property
    def inside(self) -> tuple[str, ...]:
        """A command that runs another one in there."""
        return ("/usr/bin/nsenter", f"--target={self.holder}", "--mount")

    def run(self, *command: str) -> str:
        """Run something in there, give what it prints."""
        done = subprocess.run(
            [*self.inside, *command], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def path(self, path: str) -> Path:
        """Give the way from outside to a path in there. Absolute links lead elsewhere."""
        return Path(f"/proc/{self.holder}/root{path}")

    def written(self) -> set[str]:
        """Name all files that were added, changed or removed, but for the recorder's own."""
        layers = self.path(f"{self.directory}/scratch/layers")
        found = {
            f"{directory}/{file.relative_to(layers / directory[1:] / 'upper')}"
            for directory in LAYERED
            for file in (layers / directory[1:] / "upper").rglob("*")
            if file.is_symlink() or not file.is_dir()
        }
        return found - {*RECORDED}

    def calls(self, *programs: str) -> list[list[str]]:
        """Give the new calls of some programs, all where none is named."""
        found: list[list[str]] = [call["words"] for call in self._recorded()[self.seen :]]
        return [call for call in found if not programs or call[0] in programs]

    def environments(self) -> list[dict[str, str]]:
        """Give the environments of all recorded calls, old ones too."""
        return [call["environment"] for call in self._recorded()]

    def _recorded(self) -> list[dict[str, Any]]:
        lines = (self.directory / "calls").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def forget(self) -> None:
        """Take the calls so far for old."""
        self.seen = len(self._recorded())

    def fail_to_start(self, last_words: str) -> None:
        """Have the service be down and fail to start, with these words in its journal."""
        (self.directory / "fails").touch()
        (self.directory / "state").write_text("inactive dead")
        (self.directory / "journal").write_text(last_words)

    def start_again(self) -> None:
        """Have the service start from now on."""
        (self.directory / "fails").unlink()


def scratch_machine(directory: Path, lxd: Path) -> Iterator[ScratchMachine]:
    """Make a machine; it is gone when the generator is closed.

    Args:
        directory: An empty one, for its layers and records.
        lxd: The directory of the LXD that it has, with its socket.
    """
    scratch = directory / "scratch"
    scratch.mkdir()
    (directory / "calls").touch()
    (directory / "journal").touch()
    (directory / "state").write_text("inactive dead")
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", MOUNTS, "sh", scratch, lxd, *LAYERED],
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == "made\n"
            machine = ScratchMachine(directory, holder.pid)
            for path in RECORDED:
                place = machine.path(path)
                place.parent.mkdir(parents=True, exist_ok=True)
                # In one step, so that the file below a layer is not written to.
                place.unlink(missing_ok=True)
                place.write_text(RECORDER % directory)
                place.chmod(0o755)
            yield machine
        finally:
            os.kill(holder.pid, signal.SIGKILL)
