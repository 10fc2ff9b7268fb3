"""The environments that a policy package is installed in: one a version, side by side on disk.

They have no pip: the daemon's own installs into them (`supervisor.gateways.pip`).

`<directory>/<n>` is a virtual environment, and `<directory>/current` a link to the one in use. What
was not noted as good is never in use, whatever the moment at which the daemon was killed. While the
one in use has not served well yet, `<directory>/unproven` is a link to it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from supervisor.gateways import capabilities
from supervisor.gateways.private_file import read_whole, write_whole
from supervisor.policy.package import Release

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_NOTE = "release.json"
_CURRENT = "current"
_UNPROVEN = "unproven"
_MAKE_LIMIT_S = 120.0
_READABLE = 0o022


class EnvironmentFailed(Exception):
    """An environment can't be made, or is not what it should be; the message says why."""


@dataclass(frozen=True)
class Environment:
    """An environment with a package that was found to be good.

    Attributes:
        path: its directory.
        release: what is installed, with all that it is made of.
        requirement: what pip was asked for, without credentials.
    """

    path: Path
    release: Release
    requirement: str

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"


class PackageEnvironments:
    """Those of one package. For any thread; what changes them for one at a time.

    Args:
        directory: theirs alone; made when it is needed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def current(self) -> Environment | None:
        """Give the one in use; None if there is none that is good."""
        name = self._linked(_CURRENT)
        return self._read(self._directory / name) if name else None

    def switched_at(self) -> datetime | None:
        """Say since when the one in use is; None if there is none."""
        with suppress(OSError):
            switched = (self._directory / _CURRENT).lstat().st_mtime
            return datetime.fromtimestamp(switched, timezone.utc)
        return None

    def is_unproven(self, environment: Environment) -> bool:
        """Tell whether one has not served well yet, and there is one before it."""
        return self._linked(_UNPROVEN) == environment.path.name

    def kept(self) -> tuple[Environment, ...]:
        """Give those that are good, the newest first."""
        found = [self._read(self._directory / str(number)) for number in reversed(self._numbers())]
        return tuple(one for one in found if one)

    def prepare(self) -> Path:
        """Make the directory ready; give one in it for files of the moment.

        Raises:
            OSError: it can't be made.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o711)  # whom the service runs as goes through, and lists nothing
        shutil.rmtree(self._trials, ignore_errors=True)
        temporary = self._directory / "temporary"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(mode=0o700, exist_ok=True)
        return temporary

    @contextmanager
    def trial(self) -> Iterator[Path]:
        """Give a directory to one that is tried; what a killed daemon leaves, `prepare` deletes.

        Raises:
            OSError: it can't be made.
        """
        self._trials.mkdir(exist_ok=True)
        self._trials.chmod(0o711)  # as above
        with TemporaryDirectory(dir=self._trials) as name:
            yield Path(name)

    def make(self) -> Path:
        """Make an empty environment, which is not good yet.

        Raises:
            EnvironmentFailed: it can't be made.
        """
        path = self._directory / str(max(self._numbers(), default=0) + 1)
        command = (sys.executable, "-I", "-m", "venv", "--without-pip", str(path))
        try:
            done = subprocess.run(
                capabilities.without(command),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_MAKE_LIMIT_S,
                check=False,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                umask=_READABLE,
            )
        except subprocess.TimeoutExpired:
            fault = f"not done within {_MAKE_LIMIT_S:.0f} s"
        except OSError as error:
            fault = error.strerror or str(error)
        else:
            if done.returncode == 0:
                return path
            words = (done.stdout + done.stderr).decode(errors="replace").split()
            fault = " ".join(words)[-400:]
        self.discard(path)
        raise EnvironmentFailed(f"can't make an environment with python -m venv: {fault}")

    def adopt(self, path: Path, release: Release, requirement: str) -> Environment:
        """Note that an environment is good, and have it be the one in use, from one moment on.

        Raises:
            OSError: that can't be written; the one before stays in use.
        """
        note = {"release": asdict(release), "requirement": requirement}
        os.sync()  # all of it, before it is noted as good: the host may lose its power
        write_whole(path / _NOTE, json.dumps(note))
        environment = Environment(path, release, requirement)
        if self.previous(environment):
            self._link(_UNPROVEN, path.name)
        self.switch(environment)
        return environment

    def note_proven(self, path: Path) -> None:
        """Note that an environment has served well.

        Raises:
            OSError: that can't be written.
        """
        if self._linked(_UNPROVEN) == path.name:
            (self._directory / _UNPROVEN).unlink()

    def switch(self, environment: Environment) -> None:
        """Have a good environment be the one in use.

        Raises:
            OSError: that can't be written; the one before stays in use.
        """
        self._link(_CURRENT, environment.path.name)

    def previous(self, environment: Environment) -> Environment | None:
        """Give the newest that is older than one; None if there is none."""
        older = (one for one in self.kept() if int(one.path.name) < int(environment.path.name))
        return next(older, None)

    def discard(self, path: Path) -> None:
        """Delete an environment that is not in use; what can't be deleted is no good any more."""
        with suppress(OSError):
            self.note_proven(path)  # another will have its number
            (path / _NOTE).unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)

    def prune(self, in_use: Collection[Path]) -> tuple[str, ...]:
        """Delete all but the one in use, the one before it, and those that something runs from.

        Returns:
            Their names.
        """
        current = self.current()
        before = self.previous(current) if current else None
        kept = {one.path for one in (current, before) if one} | set(in_use)
        gone = [str(one) for one in self._numbers() if self._directory / str(one) not in kept]
        for name in gone:
            self.discard(self._directory / name)
        return tuple(gone)

    @property
    def _trials(self) -> Path:
        return self._directory / "trials"

    def _linked(self, name: str) -> str:
        with suppress(OSError):
            return (self._directory / name).readlink().name
        return ""

    def _link(self, name: str, target: str) -> None:
        link = self._directory / f"{name}.new"
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        link.replace(self._directory / name)

    def _numbers(self) -> list[int]:
        try:
            names = [path.name for path in self._directory.iterdir()]
        except OSError:
            return []
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def _read(self, path: Path) -> Environment | None:
        try:
            note = json.loads(read_whole(path / _NOTE))
            release = note["release"]
            release = Release(**{**release, "parts": tuple(release["parts"])})  # JSON has no tuples
            environment = Environment(path, release, note["requirement"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return environment if os.access(environment.python, os.X_OK) else None
