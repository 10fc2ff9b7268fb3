"""The daemon's Python environments, made of the wheels that came along: one a version.

`versions/<version>` is made in its final place, as an environment can't be moved, and good when its
last file, `.complete`, is there. With it are the units that belong to this version. `current` is a
link to the one in use, `previous` to the one before. The daemon that runs keeps its own until it is
started anew, whatever `current` means then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from . import files
from .commands import Commands
from .errors import MachineError
from .places import NAME, UNITS

_PROJECT = "github_runner_supervisor"
_COMPLETE = ".complete"
_MAKE_LIMIT_S = 60.0
_INSTALL_LIMIT_S = 300.0
_CHECK_LIMIT_S = 60.0


class Environments:
    """Those of one machine.

    Args:
        directory: theirs alone.
        payload: the wheels: the daemon's, those of all that it needs, and pip's.
        units: the directory of the systemd units that came along.
        commands: run Python.
        python: the machine's own.
    """

    def __init__(
        self,
        directory: Path,
        payload: Path,
        units: Path,
        commands: Commands,
        python: Path = Path("/usr/bin/python3"),
    ) -> None:
        self._directory = directory
        self._versions = directory / "versions"
        self._payload = payload
        self._units = units
        self._commands = commands
        self._python = python

    @property
    def in_use(self) -> str:
        """The version in use, such as `0.1.0-3f2a91c04b7e`; empty if there is none."""
        return self._linked("current")

    def offered(self) -> str:
        """Give the version that came along: the daemon's own, and a digest of wheels and units.

        Raises:
            MachineError: it is not there whole.
        """
        units = sorted(self._units.glob(f"{NAME}*"))
        if f"{NAME}.service" not in {unit.name for unit in units}:
            raise MachineError(
                f"{self._units} has no {NAME}.service: the charm was not packed right"
            )
        wheels = sorted(self._payload.glob("*.whl"))
        ours = [wheel for wheel in wheels if wheel.name.startswith(f"{_PROJECT}-")]
        if len(ours) != 1:
            raise MachineError(
                f"{self._payload} must hold one wheel of the daemon and has {len(ours)}: "
                "the charm was not packed right"
            )
        # Of another Python they make another environment, as after an upgrade of the machine.
        digest = hashlib.sha256(str(self._python.resolve()).encode())
        for path in (*wheels, *units):
            digest.update(path.name.encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return f"{ours[0].name.split('-')[1]}-{digest.hexdigest()[:12]}"

    def make(self) -> str:
        """Have the version be there that came along; it is not used by that. Return its name.

        Raises:
            MachineError: it can't be made.
        """
        version = self.offered()
        if not self.has(version):
            self._make(self._versions / version)
        return version

    def has(self, version: str) -> bool:
        """Tell whether a version is there, and whole."""
        return bool(version) and (self._versions / version / _COMPLETE).exists()

    def cli(self, version: str) -> Path:
        """Give the command of a version."""
        return self._versions / version / "bin/supervisor-cli"

    def use(self, version: str) -> None:
        """Have a version that is there be the one in use.

        Raises:
            OSError: the links can't be turned.
        """
        before = self.in_use
        if before == version:
            return
        if before:
            files.link(self._directory / "previous", f"versions/{before}")
        files.link(self._directory / "current", f"versions/{version}")

    def prune(self, needed: Iterable[str] = ()) -> None:
        """Remove all but the one in use and the one before it, which may run until the restart.

        Args:
            needed: versions that are to stay, too.
        """
        kept = {self.in_use, self._linked("previous"), *needed}
        for name in files.names(self._versions) - kept:
            self._discard(self._versions / name)

    def _make(self, path: Path) -> None:
        self._discard(path)  # a half-made one, of a hook that was killed
        files.make_directory(self._directory, 0o755)
        files.make_directory(self._versions, 0o755)
        # Neither ensurepip, which Debian keeps apart from Python, nor a network is needed so.
        done = self._commands.run(
            *(self._python, "-I", "-m", "venv", "--without-pip", path),
            limit_s=_MAKE_LIMIT_S,
            ends_with_us=True,
        )
        if done.code:
            raise MachineError(f"no Python environment can be made in {path}: {done.reason}")
        done = self._commands.run(
            # A wheel of pip's can be run: https://pip.pypa.io/en/stable/installation
            *(path / "bin/python", self._pip() / "pip", "install", "--no-index", "--no-cache-dir"),
            *("--disable-pip-version-check", "--no-input", "--quiet"),
            *(f"--find-links={self._payload}", "github-runner-supervisor"),
            limit_s=_INSTALL_LIMIT_S,
            environment={"PIP_CONFIG_FILE": "/dev/null"},  # what is set there is for others
            ends_with_us=True,  # else it would write on while the next event begins anew
        )
        if done.code:
            raise MachineError(f"the daemon can't be installed in {path}: {done.reason}")
        done = self._commands.run(path / "bin/supervisor-cli", "--version", limit_s=_CHECK_LIMIT_S)
        if done.code:
            raise MachineError(f"the daemon in {path} does not start: {done.reason}")
        files.make_directory(path / UNITS, 0o755)
        for unit in self._units.glob(f"{NAME}*"):
            files.write(path / UNITS / unit.name, unit.read_text("utf-8"), mode=0o644)
        files.write(path / _COMPLETE, "", mode=0o644)

    def _pip(self) -> Path:
        wheels = sorted(self._payload.glob("pip-*.whl"))
        if not wheels:
            raise MachineError(
                f"{self._payload} has no wheel of pip: the charm was not packed right"
            )
        return wheels[-1]

    def _discard(self, path: Path) -> None:
        # First what says that it is good: what is half removed must not be taken for whole.
        (path / _COMPLETE).unlink(missing_ok=True)
        if fault := files.discard(path):
            raise MachineError(fault)

    def _linked(self, name: str) -> str:
        try:
            path = (self._directory / name).readlink()
        except OSError:
            return ""
        return path.name
