"""Processes as the daemon's unit makes them: a user of no name, one capability, and what LXD's
group may; a file system that is read-only but for what is mounted beside the root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from readable_python import make_readable_python

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = 61234
_LXD_GROUP = "0"  # that of a private LXD's socket
_CAPABILITIES = ("--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin")
_SHIELD = 'mount -o remount,bind,ro / && mount -t tmpfs tmpfs /tmp && exec "$@"'
# As MemoryDenyWriteExecute= does; a kernel before 6.3 does not know of it.
_NO_WRITTEN_CODE = "ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)"


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


def command(python: Path, program: str) -> list[str]:
    """Make the command that runs a program of Python so."""
    # What it starts itself is to be run by the same Python.
    prelude = f"import ctypes, sys\n{_NO_WRITTEN_CODE}\nsys.executable = {str(python)!r}\n"
    user = (f"--reuid={USER}", f"--regid={USER}", f"--groups={_LXD_GROUP}", "--no-new-privs")
    return [
        *("unshare", "--mount", "--propagation=slave", "sh", "-c", _SHIELD, "sh"),
        *("setpriv", *user, *_CAPABILITIES, "--bounding-set=-all,+net_admin"),
        *(str(python), "-I", "-c", prelude + program),
    ]
