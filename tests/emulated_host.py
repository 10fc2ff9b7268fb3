"""A machine for the charm's hands: its files are real, its programs are emulated and can be killed.

What systemd and the daemon make of the files is emulated as far as it matters here: a service reads
its software and credentials when it is started, and its configuration then and when it is reloaded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from machine import Machine
from machine.accounts import Accounts
from machine.commands import Commands, Done
from machine.files import Owner, ours
from machine.places import NAME, Places
from machine.units import SERVICE

UNIT_FILE = f"""\
[Unit]
Wants={NAME}-storage.path
[Service]
LoadCredential=token:/etc/{NAME}/credentials/token
[Install]
WantedBy=multi-user.target
"""
_CHANGES = frozenset(
    {
        *("os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir"),
        "os.symlink",
    }
)
_ANSWERS = {
    "--version": Done(0, "supervisor-cli, version 0.1.0"),
    "offline": Done(0, '{"reboot": {"when": "no", "reason": ""}}'),
}


class Killed(BaseException):
    """What runs was killed: nothing that it would do after this is done."""


@dataclass
class _Executioner:
    """Kills what runs at a change that it is about to make, as an audit hook of Python's."""

    left: int | None = None

    def __call__(self, event: str, _arguments: tuple[object, ...]) -> None:
        if self.left is not None and event in _CHANGES:
            self.strike()

    def strike(self) -> None:
        """Count a change; what is dead stays dead, also in its `finally`."""
        if self.left is None:
            return
        if self.left <= 0:
            raise Killed
        self.left -= 1


_executioner = _Executioner()
sys.addaudithook(_executioner)


@contextmanager
def killed_after(changes: int) -> Iterator[None]:
    """Kill what runs within, after this many changes to files and runs of programs."""
    _executioner.left = changes
    try:
        yield
    finally:
        _executioner.left = None


@dataclass(frozen=True)
class Running:
    """What a daemon runs with."""

    software: str
    credentials: Mapping[str, str]
    configuration: str
    script: str


@dataclass
class EmulatedHost(Commands, Accounts):
    """The programs and accounts of a machine, and what became of it.

    Attributes:
        refusing: the words that a version refuses in a configuration, by how its name begins.
        stillborn: the last words of versions that never come up, likewise.
    """

    root: Path
    daemon: Running | None = None
    state: str = ""
    installed: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    in_lxd: set[str] = field(default_factory=set)
    left: list[dict[str, str]] = field(default_factory=list)
    kept: list[dict[str, str]] = field(default_factory=list)
    answers: dict[str, Done] = field(default_factory=lambda: dict(_ANSWERS))
    broken: dict[str, str] = field(default_factory=dict)
    refusing: dict[str, str] = field(default_factory=dict)
    stillborn: dict[str, str] = field(default_factory=dict)
    journal: dict[str, str] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    enabled: set[str] = field(default_factory=set)
    runs: list[tuple[str, ...]] = field(default_factory=list)
    environments: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def places(self) -> Places:
        return Places(self.root)

    def ran(self, *words: str) -> int:
        """Tell how often a program was run whose first words are these."""
        return sum(run[: len(words)] == words for run in self.runs)

    def run(
        self,
        *command: str | Path,
        limit_s: float,
        environment: Mapping[str, str] | None = None,
        ends_with_us: bool = False,
    ) -> Done:
        assert 0 < limit_s < 3600
        _executioner.strike()
        program, *words = map(str, command)
        run = (Path(program).name, *words)
        self.runs.append(run)
        self.environments.append(environment or {})
        # The longest first: what is said of a command's option counts more than of the command.
        for told in sorted(self.broken, key=len, reverse=True):
            if " ".join(run).startswith(told):
                return Done(1, err=self.broken[told])
        method = getattr(self, f"_{run[0].replace('-', '_')}", None)
        done = method(Path(program), words, environment or {}) if method else Done(0)
        _executioner.strike()  # it was done, and nobody heard of it
        return done

    # accounts

    def ensure(self, home: Path) -> Owner:
        _executioner.strike()
        self.users.add(NAME)
        return ours()

    def owner(self) -> Owner:
        return ours()

    def remove(self) -> str:
        _executioner.strike()
        self.users.discard(NAME)
        return ""

    # programs

    def _dpkg_query(self, _at: Path, words: list[str], _told: Mapping[str, str]) -> Done:
        found = [name for name in words if name in self.installed]
        return Done(1, "".join(f"{name} installed\n" for name in found))

    def _apt_get(self, _at: Path, words: list[str], _told: Mapping[str, str]) -> Done:
        names = [word for word in words if not word.startswith("-")][1:]
        if lacking := self.unknown.intersection(names):
            return Done(100, err=f"E: Unable to locate package {lacking.pop()}\n")
        self.installed.update(names)
        return Done(0)

    def _python3(self, _at: Path, words: list[str], _told: Mapping[str, str]) -> Done:
        (Path(words[-1]) / "bin").mkdir(parents=True)
        (Path(words[-1]) / "bin/python").write_text("")
        return Done(0)

    def _python(self, at: Path, words: list[str], _told: Mapping[str, str]) -> Done:
        at.with_name("half-installed").write_text("")
        _executioner.strike()
        at.with_name("supervisor-cli").write_text("")
        at.with_name("half-installed").unlink()
        return Done(0)

    def _supervisor_cli(self, at: Path, words: list[str], told: Mapping[str, str]) -> Done:
        if not at.exists():
            return Done(127, err=f"{at}: No such file or directory")
        if given := next((word for word in words if word.startswith("--config=")), None):
            config = Path(given.removeprefix("--config="))
            credentials = Path(told["CREDENTIALS_DIRECTORY"])
            version = at.parent.parent.resolve().name
            return self._read(words[0], config, words, credentials, version)
        asked = "offline" if "--offline" in words else words[0]
        if asked in self.answers:
            return self.answers[asked]
        if self.daemon is None:
            return Done(3, err="no daemon")
        return Done(0, json.dumps({"name": "fleet"}))

    def _read(
        self, verb: str, config: Path, words: list[str], credentials: Path, version: str
    ) -> Done:
        text = config.read_text()
        document = yaml.safe_load(text)
        if verb == "prepare-lxd":
            new = {"project", "bridge"} - self.in_lxd
            self.in_lxd |= new
            return Done(0, "".join(f"made {name}\n" for name in sorted(new)))
        if verb == "uninstall":
            if self.daemon is not None:
                return Done(1, err="the daemon is running")
            if self.left:
                return Done(1, json.dumps({"removed": [], "kept": self.kept, "left": self.left}))
            self.in_lxd.clear()
            return Done(0, json.dumps({"removed": [], "kept": self.kept, "left": []}))
        if (refused := _of_version(self.refusing, version)) and refused in text:
            return Done(2, err=f"{config.name}: {refused}: is no key\n")
        return self._check(document, words, credentials)

    def _check(self, document: dict[str, Any], words: list[str], credentials: Path) -> Done:
        if "wrong" in document:
            return Done(2, err="config.yaml.new: wrong: is no key\n")
        for name in document.get("credentials", ()):
            if not (credentials / name).exists():
                return Done(2, err=f"config.yaml.new: token-file: {name}: can't be read\n")
        restart = []
        if "--running" in words:
            running = yaml.safe_load(Path(words[words.index("--running") + 1]).read_text())
            restart = ["port"] if running.get("port") != document.get("port") else []
        return Done(0, json.dumps({"path": "o", "virtual_machines": 1, "restart": restart}))

    def _systemctl(self, _at: Path, words: list[str], _told: Mapping[str, str]) -> Done:
        verb, names = words[0], words[1:]
        if verb == "show":
            state = self.state or ("active/running" if self.daemon else "inactive/dead")
            active, _, sub = state.partition("/")
            shown = {"ActiveState": active, "SubState": sub, "InvocationID": "4711"}
            return Done(0, "".join(f"{name}={value}\n" for name, value in shown.items()))
        if verb in {"enable", "disable"}:
            (self.enabled.update if verb == "enable" else self.enabled.difference_update)(names)
        if verb in {"start", "restart"} and SERVICE in names:
            if self.daemon is None or verb == "restart":
                begun = self.reads()
                if said := _of_version(self.stillborn, begun.software):
                    self.daemon, self.state = None, "activating/auto-restart"
                    self.journal["_SYSTEMD_INVOCATION_ID=4711"] = said
                    return Done(1, err="Job failed.")
                self.daemon = begun
            self.state = ""
        if verb == "reload":
            assert self.daemon is not None
            self.daemon = Running(
                self.daemon.software,
                self.daemon.credentials,
                self.places.config.read_text(),
                _text(self.places.image_script),
            )
        if verb == "stop":
            self.daemon, self.state = None, ""
        return Done(0)

    def _journalctl(self, _at: Path, words: list[str], _told: Mapping[str, str]) -> Done:
        return Done(0, self.journal.get(words[-1], ""))

    def reads(self) -> Running:
        """Give what a daemon would run with that is started now: it fails where it can't be."""
        at = self.places
        lines = _text(at.units / f"{SERVICE}.d/charm.conf").splitlines()
        named = [line.partition("=")[2].split(":") for line in lines if line.startswith("Load")]
        credentials = {pair[0]: Path(pair[1]).read_text() for pair in named if len(pair) > 1}
        text = at.config.read_text()
        assert set(yaml.safe_load(text).get("credentials", ())) <= set(credentials)
        return Running(at.current.readlink().name, credentials, text, _text(at.image_script))


@dataclass
class HostStand:
    """A machine with what the charm brings along, and as many charms one after the other as wanted.

    Attributes:
        host: emulated.
        payload: the wheels.
        units: the units' files.
    """

    host: EmulatedHost
    payload: Path
    units: Path

    @classmethod
    def at(cls, directory: Path) -> HostStand:
        """Make one in a directory, with LXD as Debian has it."""
        stand = cls(EmulatedHost(directory / "root"), directory / "payload", directory / "units")
        stand.payload.mkdir()
        stand.units.mkdir()
        for name in ("opt", "usr/bin", "usr/local/bin", "etc", "var/lib", "run"):
            (stand.host.root / name).mkdir(parents=True)
        (stand.host.root / "usr/bin/lxd").touch()
        stand.host.installed.add("lxd")
        stand.bring("0.1.0")
        (stand.units / SERVICE).write_text(UNIT_FILE)
        (stand.units / f"{NAME}-storage.path").write_text("[Install]\nWantedBy=paths.target\n")
        (stand.units / f"{NAME}-storage.service").write_text("[Service]\nType=oneshot\n")
        return stand

    def bring(self, version: str) -> None:
        """Have another version of the daemon come along."""
        for wheel in self.payload.iterdir():
            wheel.unlink()
        for name in (f"github_runner_supervisor-{version}", "pip-26.0", "pykka-4.4.0"):
            (self.payload / f"{name}-py3-none-any.whl").write_text(f"{name} of {version}")

    def machine(self, proxies: Mapping[str, str] | None = None) -> Machine:
        """Give a new one, as each hook is a new process."""
        host = self.host
        return Machine(
            self.payload, self.units, host.root, proxies=proxies, commands=host, accounts=host
        )

    def tree(self, below: str = ".") -> dict[str, str]:
        """Give every file, with its mode, every link and every directory of the machine."""
        return {
            str(path.relative_to(self.host.root)): _described(path)
            for path in sorted((self.host.root / below).rglob("*"))
        }


def _described(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    mode = f"{path.stat().st_mode:o}"
    return mode if path.is_dir() else f"{mode} {path.read_text()}"


def _of_version(told: Mapping[str, str], version: str) -> str:
    return next((words for begin, words in told.items() if version.startswith(begin)), "")


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
