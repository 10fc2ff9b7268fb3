"""The work on the policy package, as calls that block and return what came of it.

Workers run it in their threads: it raises nothing that is pip's, a file's or the package's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from loguru import logger

from supervisor.config import Config, ConfigError
from supervisor.gateways.environments import (
    Environment,
    EnvironmentFailed,
    PackageEnvironments,
)
from supervisor.gateways.pip import Pip, PipFailed
from supervisor.policy_package import PackageSource
from supervisor.work.package_trial import Tried, try_out

Note = Callable[[str], object]
MayTry = Callable[[str], bool]


@dataclass(frozen=True)
class PackageReady:
    """The latest version is in use, as far as that is known.

    Attributes:
        environment: it is in.
        took_s: seconds that installing it took; 0 if it was there.
    """

    environment: Environment
    took_s: float = 0.0


@dataclass(frozen=True)
class PackageNotReady:
    """A version could not be had, or whether there is one is not known.

    Attributes:
        reason: for the operator.
        version: that was tried, or is not to be tried yet; empty where that is not known.
        tried: it was tried now, and has failed.
    """

    reason: str
    version: str = ""
    tried: bool = False


@dataclass(frozen=True)
class PackageWork:
    """The work for one configuration.

    Attributes:
        environments: where versions are.
        config: in force.
        may_try: says whether a version may be tried that may have failed before.
        in_use: directories that something runs from.
        note: told of progress, in words.
    """

    environments: PackageEnvironments
    config: Config
    may_try: MayTry
    in_use: Callable[[], Collection[Path]]
    note: Note

    def bring_up_to_date(self) -> PackageReady | PackageNotReady:
        """Have the latest version in use; whatever fails, the one before stays."""
        source = self.config.policy.package_source
        try:
            pip = Pip(source, self.config.proxies, self.environments.prepare())
            return self._bring_up_to_date(pip, source)
        except OSError as error:
            return PackageNotReady(f"{error.filename or source.requirement}: {error.strerror}")

    def _bring_up_to_date(self, pip: Pip, source: PackageSource) -> PackageReady | PackageNotReady:
        current = self.environments.current()
        self.environments.prune(self.in_use())
        latest = ""
        if current:
            self.note(f"asks for the latest version of {source.requirement}")
            try:
                release = pip.planned()
            except PipFailed as error:
                return PackageNotReady(f"the latest version is not known: {error}")
            if release == current.release:
                return PackageReady(current)
            latest = release.told_from(current.release)
        # Without one in use there is nothing to compare with: what is there is installed.
        version = latest or source.requirement
        if not self.may_try(version):
            return PackageNotReady("it has failed, and is not tried again yet", version)
        try:
            return self._install(pip, source, current)
        except (EnvironmentFailed, PipFailed, ConfigError) as error:
            return PackageNotReady(str(error), version, tried=True)

    def _install(
        self, pip: Pip, source: PackageSource, current: Environment | None
    ) -> PackageReady | PackageNotReady:
        began = monotonic()
        self.note("makes an environment")
        path = self.environments.make()
        try:
            self.note(f"installs {source.requirement}")
            release = pip.install(path / "bin" / "python")
            self.note(f"tries {release}")
            # It may not go with what it is run by, and pip take the one before in its stead.
            is_same = current is not None and current.release == release
            fault = "pip installs it again" if is_same else self._fault(path, current)
            if not fault:
                adopted = self.environments.adopt(path, release, source.requirement)
                return PackageReady(adopted, monotonic() - began)
        except BaseException:
            self.environments.discard(path)
            raise
        self.environments.discard(path)
        raise EnvironmentFailed(f"{release} is of no use: {fault}")

    def _fault(self, path: Path, current: Environment | None) -> str:
        """Say why a version can't take the place of the current one; empty if it can."""
        found = self._try(path)
        if found.fault or not found.trouble or current is None:
            return found.fault
        # Is it GitHub that fails, or the new version?
        before = self._try(current.path)
        return "" if before.fault or before.trouble else found.trouble

    def _try(self, path: Path) -> Tried:
        return try_out(self.config, path / "bin" / "python")


@dataclass(frozen=True)
class FellBack:
    """The version before one that has failed in use is in use again.

    Attributes:
        failed: what has failed.
        environment: what is in use now.
        reason: how it has failed.
    """

    failed: str
    environment: Environment
    reason: str


def fall_back(environments: PackageEnvironments, failed: Path, reason: str) -> FellBack | None:
    """Go back to the version before one that has failed in use.

    Returns:
        What was done; None if there is nothing to go back to, or the one that has failed is not in
        use any more.
    """
    current = environments.current()
    if current is None or current.path != failed:
        return None
    before = environments.previous(current)
    if before is None:
        return None
    try:
        environments.switch(before)
    except OSError as error:
        logger.error("can't go back to {}: {}", before.release, error.strerror)
        return None
    return FellBack(current.release.told_from(before.release), before, reason)
