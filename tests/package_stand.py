"""Versions of a policy package on disk, and the work on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policy_packages import APP, NAME

from supervisor.config import Config, parse
from supervisor.gateways.environments import PackageEnvironments
from supervisor.work.package import PackageNotReady, PackageReady, PackageWork


class Stand:
    """A directory of wheels, and what is made of it."""

    def __init__(self, root: Path) -> None:
        self.links = root / "wheels"
        self.links.mkdir(exist_ok=True)
        self.state = root / "state"
        self.environments = PackageEnvironments(self.state / "policy-package")
        self.refused: set[str] = set()
        self.notes: list[str] = []
        self.in_use: set[Path] = set()
        self.is_wanted = True

    def config(self, **policy: Any) -> Config:
        given = {"mode": "package", "package": NAME, "package-app": APP}
        given |= {"package-links": str(self.links)} if "package-index" not in policy else {}
        given |= policy
        keys = {"name": "fleet", "path": "acme", "token": "ghp_secret"}
        return parse({**keys, "state-directory": str(self.state), "policy": given}, "test")

    def work(self, config: Config) -> PackageWork:
        return PackageWork(
            self.environments,
            config,
            lambda version: version not in self.refused,
            lambda: self.in_use,
            lambda: self.is_wanted,
            lambda step, what: self.notes.append(f"{step.value} {what}"),
        )

    def bring_up_to_date(self, **policy: Any) -> PackageReady | PackageNotReady:
        return self.work(self.config(**policy)).bring_up_to_date()

    @property
    def version(self) -> str:
        """Of what is in use."""
        current = self.environments.current()
        return str(current.release) if current else ""

    @property
    def directories(self) -> list[str]:
        names = [path.name for path in self.environments._directory.iterdir()]
        return sorted(name for name in names if name.isdigit())
