"""Processes as our units make them.

The daemon: a user of no name, one capability, and what LXD's group may; a file system that is
read-only but for what is mounted beside the root. The storage service: root with the capabilities
that its unit names, a file system that is read-only, and no network.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mount_space import LET_GO
from readable_python import make_readable_python

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = 61234
_LXD_GROUP = "0"  # that of a private LXD's socket
_CAPABILITIES = ("--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin")
_SHIELD = f"""{LET_GO}
let_go "$0"
mount -o remount,bind,ro / && mount -t tmpfs tmpfs /tmp && exec "$@"
"""
# As MemoryDenyWriteExecute= does; a kernel before 6.3 does not know of it.
_NO_WRITTEN_CODE = "ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)"


_READ_ONLY = """
while read -r _ place _; do
    case $place in
        /proc* | /sys* | /dev*) ;;
        *) mount -o remount,bind,ro "$place" 2>/dev/null ;;
    esac
done </proc/self/mounts
exec "$@"
"""
_UNIT = Path(__file__).parents[1] / "systemd" / "github-runner-supervisor-storage.service"


@contextmanager
def open_python() -> Iterator[Path]:
    """Give a Python with the package that any user can run."""
    directory = Path(tempfile.mkdtemp(prefix="open-python-", dir="/var/tmp"))
    try:
        directory.chmod(0o755)
        yield make_readable_python(directory)
    finally:
        shutil.rmtree(directory)


@contextmanager
def unit_directory(parent: Path) -> Iterator[Path]:
    """Give what systemd gives the unit: `state` and `run`, and mounts that it sees.

    Args:
        parent: a private LXD's directory, as what cleans up there unmounts what is below.
    """
    directory = Path(tempfile.mkdtemp(dir=parent, prefix="unit-"))
    directory.chmod(0o755)
    for name, mode in (("state", 0o700), ("run", 0o755)):
        (directory / name).mkdir()
        (directory / name).chmod(mode)
        os.chown(directory / name, USER, USER)
    # A host's mounts are shared where systemd has started it.
    subprocess.run(["mount", "--bind", str(directory), str(directory)], check=True)
    subprocess.run(["mount", "--make-shared", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)
    assert str(directory) not in Path("/proc/self/mountinfo").read_text()
    shutil.rmtree(directory)


def command(python: Path, program: str, directory: Path) -> list[str]:
    """Make the command that runs a program of Python so.

    Args:
        python: one that any user can run.
        program: its text.
        directory: a private LXD's, with what is in it.
    """
    # What it starts itself is to be run by the same Python.
    prelude = f"import ctypes, sys\n{_NO_WRITTEN_CODE}\nsys.executable = {str(python)!r}\n"
    user = (f"--reuid={USER}", f"--regid={USER}", f"--groups={_LXD_GROUP}", "--no-new-privs")
    return [
        *("unshare", "--mount", "--propagation=slave", "sh", "-c", _SHIELD, str(directory)),
        *("setpriv", *user, *_CAPABILITIES, "--bounding-set=-all,+net_admin"),
        *(str(python), "-I", "-c", prelude + program),
    ]


def storage_command(program: str) -> list[str]:
    """Make the command that runs a program of Python as the storage service."""
    (named,) = re.findall(r"(?m)^CapabilityBoundingSet=(.*)$", _UNIT.read_text(encoding="utf-8"))
    left = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in named.split())
    # The first process may see other mounts than the tests do.
    host = f"storage._HOST = pathlib.Path('/proc/{os.getpid()}')"
    prelude = f"import pathlib\nfrom supervisor.gateways import storage\n{host}\n"
    return [
        *("unshare", "--mount", "--net", "--propagation=slave", "sh", "-c", _READ_ONLY, "sh"),
        *("setpriv", f"--bounding-set=-all,{left}", "--no-new-privs"),
        *(sys.executable, "-c", prelude + program),
    ]
