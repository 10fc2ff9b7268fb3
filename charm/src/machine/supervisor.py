"""The daemon's own command, asked within limits: what it answers is read with care."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .commands import Commands, Done
from .errors import ConfigRefused, MachineError

_ASK_LIMIT_S = 10.0
_CHECK_LIMIT_S = 60.0
_PREPARE_LIMIT_S = 180.0
_UNINSTALL_LIMIT_S = 600.0
_REFUSED = 2
_LXD_INCOMPLETE = "lxd-incomplete"
"""The daemon's word for a problem whose cause is that LXD lacks what `prepare-lxd` makes."""
_CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""As systemd tells a service of them: systemd.exec(5)."""


@dataclass(frozen=True)
class Order:
    """How a command of the daemon's has ended.

    Attributes:
        code: its exit code: 0 done, 1 problems, 2 wrong use or configuration, and of `status` that
            no runner can be had, 3 no daemon, 4 denied; 124 if it was not done in time.
        out: what it has printed.
        err: what it has said of errors.
    """

    code: int
    out: str = ""
    err: str = ""


@dataclass(frozen=True)
class Fleet:
    """What the daemon says of itself.

    Attributes:
        status: `supervisor-cli status --json`.
        upgrades: `supervisor-cli upgrades --json`; empty if it does not say.
    """

    status: dict[str, Any]
    upgrades: dict[str, Any] = field(default_factory=dict)

    @property
    def lacks_in_lxd(self) -> bool:
        """Whether a problem is that LXD lacks what runners need, such as the project or the bridge.

        An image or an instance that it lacks is no such thing: the daemon itself sees to those. A
        daemon of an earlier version tells no causes.
        """
        return _LXD_INCOMPLETE in (self.status.get("causes") or ())


@dataclass(frozen=True)
class Given:
    """What a command is to read.

    Attributes:
        config: the configuration.
        credentials: the directory with those that it names as `$CREDENTIALS_DIRECTORY/…`.
    """

    config: Path
    credentials: Path


@dataclass(frozen=True)
class Checked:
    """A configuration that the daemon takes.

    Attributes:
        restart: the keys whose change needs a restart; empty where a reload is enough.
    """

    restart: tuple[str, ...]


@dataclass(frozen=True)
class Leftover:
    """Something that is left of an installation.

    Attributes:
        what: it is.
        why: it could not be removed.
    """

    what: str
    why: str

    def __str__(self) -> str:
        """Show it to people."""
        return f"{self.what}: {self.why}" if self.why else self.what


@dataclass(frozen=True)
class Uninstalled:
    """What is there still, after all was removed that could be.

    Attributes:
        left: what could not be removed.
        kept: what is of use to somebody else.
    """

    left: list[Leftover] = field(default_factory=list)
    kept: list[Leftover] = field(default_factory=list)


class Supervisor:
    """The daemon's command.

    Args:
        commands: run it.
        cli: where it is.
    """

    def __init__(self, commands: Commands, cli: Path) -> None:
        self._commands = commands
        self._cli = cli

    def by(self, cli: Path) -> Supervisor:
        """Give another one, whose command is elsewhere."""
        return Supervisor(self._commands, cli)

    def order(
        self, *words: str, limit_s: float, environment: Mapping[str, str] | None = None
    ) -> Order:
        """Run a command.

        Args:
            words: the command and its options.
            limit_s: seconds.
            environment: what it is told besides where programs are.
        """
        done = self._commands.run(self._cli, *words, limit_s=limit_s, environment=environment)
        return Order(done.code, done.out, done.err)

    def fleet(self) -> Fleet | None:
        """Ask the daemon how things are; None if none answers."""
        status = _object(self.order("status", "--json", limit_s=_ASK_LIMIT_S).out)
        if status is None:
            return None
        upgrades = _object(self.order("upgrades", "--json", limit_s=_ASK_LIMIT_S).out)
        return Fleet(status, upgrades or {})

    def check(
        self,
        given: Given,
        *,
        running: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Checked:
        """Have a configuration checked by what the daemon itself reads it with.

        Args:
            given: the candidate.
            running: the one in use, to compare with.
            environment: what the command is told besides.

        Raises:
            ConfigRefused: it is wrong.
            MachineError: it can't be checked.
        """
        against = ("--running", str(running)) if running else ()
        done = self._read(
            *("check-config", *against, "--json"),
            given=given,
            limit_s=_CHECK_LIMIT_S,
            environment=environment,
        )
        if done.code == _REFUSED:
            raise ConfigRefused(done.err.strip() or done.reason)
        answer = _object(done.out)
        if done.code or answer is None:
            raise MachineError(f"the configuration can't be checked: {done.reason}")
        restart = answer.get("restart")
        return Checked(tuple(map(str, restart)) if isinstance(restart, list) else ("?",))

    def prepare_lxd(
        self, given: Given, *, environment: Mapping[str, str] | None = None
    ) -> list[str]:
        """Have what a configuration names be made in LXD, where it is missing.

        Args:
            given: accepted already.
            environment: what the command is told besides.

        Returns:
            A line for each thing that was made.

        Raises:
            MachineError: LXD can't.
        """
        done = self._read(
            "prepare-lxd", given=given, limit_s=_PREPARE_LIMIT_S, environment=environment
        )
        if done.code:
            raise MachineError(f"LXD can't be made ready: {done.reason}")
        return done.out.splitlines()

    def uninstall(self, given: Given) -> Uninstalled:
        """Have all be removed that the daemon has made outside of its own files.

        Args:
            given: the configuration that it had.
        """
        done = self._read("uninstall", "--json", given=given, limit_s=_UNINSTALL_LIMIT_S)
        answer = _object(done.out) or {}
        left, kept = _leftovers(answer.get("left")), _leftovers(answer.get("kept"))
        if done.code and not left:
            left = [Leftover("supervisor-cli uninstall", done.reason)]
        return Uninstalled(left, kept)

    def reboot_before_first_start(self) -> dict[str, Any]:
        """Ask whether the machine is to be rebooted, while no daemon runs and no runner is there.

        Returns:
            What the daemon would offer as `reboot`: `when` and `reason`; empty if it can't be told.
        """
        answer = _object(self.order("upgrades", "--offline", "--json", limit_s=_ASK_LIMIT_S).out)
        offer = (answer or {}).get("reboot")
        return offer if isinstance(offer, dict) else {}

    def _read(
        self,
        *words: str,
        given: Given,
        limit_s: float,
        environment: Mapping[str, str] | None = None,
    ) -> Done:
        """Run a command that reads a configuration."""
        return self._commands.run(
            self._cli,
            *words,
            f"--config={given.config}",
            limit_s=limit_s,
            environment={**(environment or {}), _CREDENTIALS: str(given.credentials)},
        )


def _leftovers(told: object) -> list[Leftover]:
    return [
        Leftover(str(one.get("what", "?")), str(one.get("why", "")))
        for one in (told if isinstance(told, list) else [])
        if isinstance(one, dict)
    ]


def _object(text: str) -> dict[str, Any] | None:
    """Read an answer in JSON; None if it is none, as where no daemon answers."""
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
