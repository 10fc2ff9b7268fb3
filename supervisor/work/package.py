"""The work on the policy package, as calls that block and return what came of it.

Workers run it in their threads: it raises nothing that is pip's, a file's or the package's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
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
from supervisor.messages.upgrades import PolicyPackageFailed
from supervisor.policy.package import PackageSource
from supervisor.work.package_trial import Tried, try_out


class Step(Enum):
    """What is being done, in words; followed by what it is done with."""

    ASKS = "asks for the latest version of"
    MAKES = "makes an environment"
    INSTALLS = "installs"
    TRIES = "tries"


Note = Callable[[Step, str], object]
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
        refused: it was had and is no good, and most likely will be the same again.
    """

    reason: str
    version: str = ""
    tried: bool = False
    refused: bool = False


@dataclass(frozen=True)
class PackageWork:
    """The work for one configuration.

    Attributes:
        environments: where versions are.
        config: in force.
        may_try: says whether a version may be tried that may have failed before.
        in_use: directories that something runs from.
        is_wanted: says whether the package is configured so still: a version of another is not
            switched to any more.
        note: told of progress: the step, and what it is done with.
    """

    environments: PackageEnvironments
    config: Config
    may_try: MayTry
    in_use: Callable[[], Collection[Path]]
    is_wanted: Callable[[], bool]
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
            self.note(Step.ASKS, source.requirement)
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
            return self._install(pip, source, current, version)
        except (EnvironmentFailed, PipFailed, ConfigError) as error:
            return PackageNotReady(str(error), version, tried=True)

    def _install(
        self, pip: Pip, source: PackageSource, current: Environment | None, version: str
    ) -> PackageReady | PackageNotReady:
        began = monotonic()
        self.note(Step.MAKES, "")
        path = self.environments.make()
        try:
            self.note(Step.INSTALLS, source.requirement)
            release = pip.install(path / "bin" / "python")
            self.note(Step.TRIES, str(release))
            # It may not go with what it is run by, and pip take the one before in its stead.
            is_same = current is not None and current.release == release
            fault = "pip installs it again" if is_same else self._fault(path, current)
            if not fault and self.is_wanted():
                adopted = self.environments.adopt(path, release, source.requirement)
                return PackageReady(adopted, monotonic() - began)
        except BaseException:
            self.environments.discard(path)
            raise
        self.environments.discard(path)
        if not fault:
            return PackageNotReady(f"policy.package has changed while {release} was installed")
        reason = f"{release} is of no use: {fault}"
        return PackageNotReady(reason, version, tried=True, refused=True)

    def _fault(self, path: Path, current: Environment | None) -> str:
        """Say why a version can't take the place of the current one; empty if it can."""
        found = self._try(path)
        if found.fault or not found.trouble or current is None:
            return found.fault
        # Is it GitHub that fails, or the new version?
        before = self._try(current.path)
        return "" if before.fault or before.trouble else found.trouble

    def _try(self, path: Path) -> Tried:
        with self.environments.trial() as directory:
            return try_out(self.config, path / "bin" / "python", directory)


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


def fall_back(
    environments: PackageEnvironments, config: Config, failure: PolicyPackageFailed
) -> FellBack | None:
    """Go back to the version before one that has failed in use, if that is the version's fault.

    One that only says that it can't check jobs is at fault if the one before can, and it still
    can't: GitHub may be away, or this host's disk full.

    Returns:
        What was done; None if there is nothing to go back to, or the one that has failed is not in
        use any more, or not at fault.
    """
    current = environments.current()
    if current is None or str(current.path) != failure.environment:
        return None
    before = environments.previous(current)
    if before is None:
        return None
    try:
        if failure.trouble and not (
            _is_well(environments, config, before) and not _is_well(environments, config, current)
        ):
            logger.info("{} stays: {} does no better", current.release, before.release)
            return None
        environments.switch(before)
    except (ConfigError, OSError) as error:
        logger.error("can't go back to {}: {}", before.release, error)
        return None
    failed = current.release.told_from(before.release)
    return FellBack(failed, before, failure.reason)


def _is_well(environments: PackageEnvironments, config: Config, one: Environment) -> bool:
    with environments.trial() as directory:
        return try_out(config, one.python, directory) == Tried()


def note_proven(environments: PackageEnvironments, path: Path) -> None:
    """Note that what runs from an environment has served well."""
    try:
        environments.note_proven(path)
    except OSError as error:
        logger.warning("can't note that {} has served well: {}", path, error.strerror)
