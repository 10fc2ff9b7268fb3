"""The systemd units: their files, the credentials that they load, and what systemctl does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from . import files
from .commands import Commands, Done
from .errors import MachineError
from .places import NAME, Places
from .told import Life

SERVICE = f"{NAME}.service"
_SYSTEMCTL = "/usr/bin/systemctl"
_JOURNALCTL = "/usr/bin/journalctl"
_ASK_LIMIT_S = 15.0
# Less than what systemd grants the service for its start: who is slower is left to systemd.
_ACT_LIMIT_S = 30.0
# More than what systemd grants it to stop and to start: of a version that is new it is to be known
# whether it comes up.
_TRIAL_LIMIT_S = 140.0
_KEPT_LINES = "5"
_LATE = 124
_LIVES: dict[str, Life] = {"active": "up", "reloading": "up", "activating": "coming"}


class Units:
    """Those of the daemon.

    Args:
        source: the directory that they come from: that of the version in use.
        places: where they go.
        commands: run systemctl.
    """

    def __init__(self, source: Path, places: Places, commands: Commands) -> None:
        self._source = source
        self._places = places
        self._commands = commands
        self._note = places.notes / "units"

    def names(self) -> list[str]:
        """Give the names of the units, the service first: systemd stops it first, too.

        They are known by those that came along and by those that were written before: another
        revision may have had others.
        """
        written = files.read(self._note).split()
        return sorted({*self._offered(), *written}, key=lambda name: (name != SERVICE, name))

    def write(self) -> None:
        """Write the units' files, and remove those that there are no more.

        Raises:
            OSError: they can't be written.
        """
        wanted = self._offered()
        files.make_directory(self._places.units, 0o755)
        names = set(self.names())
        files.ensure(self._note, "\n".join(sorted(names)))
        for name in sorted(wanted):
            text = (self._source / name).read_text("utf-8")
            files.ensure(self._places.units / name, text, mode=0o644)
        for name in names - wanted:
            self._act("disable", "--now", name)
            self._places.units.joinpath(name).unlink(missing_ok=True)
        files.ensure(self._note, "\n".join(sorted(wanted)))

    def load_credentials(self, names: Iterable[str]) -> None:
        """Have the service be given credentials, and no others, whoever starts it.

        A credential that is named and not there would keep the service from being started:
        systemd.exec(5).

        Args:
            names: of files in the directory of credentials.

        Raises:
            MachineError: systemd does not read it.
            OSError: it can't be written.
        """
        files.make_directory(self._drop_in.parent, 0o755)
        at = self._places.credentials
        loaded = "".join(f"LoadCredential={name}:{at / name}\n" for name in sorted(names))
        text = (
            "# Written by the charm, and written over when its configuration changes.\n"
            f"[Service]\nLoadCredential=\n{loaded}"
        )
        if files.ensure(self._drop_in, text, mode=0o644):
            self.read_again()

    def read_again(self) -> None:
        """Have systemd read the units' files.

        Raises:
            MachineError: it does not.
        """
        self._must("daemon-reload")

    def enable(self) -> None:
        """Have the units be started at boot that say so; they bring up the others.

        Raises:
            MachineError: that can't be done.
        """
        wanted = [
            name for name in self.names() if "[Install]" in files.read(self._places.units / name)
        ]
        self._must("enable", *wanted)

    def start(self, *, on_trial: bool = False) -> None:
        """Start the service, also one that had failed too often.

        Args:
            on_trial: wait until it is known whether it comes up; else one that is slow is left to
                systemd.

        Raises:
            MachineError: it does not come up.
        """
        self._act("reset-failed", SERVICE)
        self._change("start", on_trial=on_trial)

    def restart(self, *, on_trial: bool = False) -> None:
        """Start the service anew; runners and their jobs go on meanwhile.

        Args:
            on_trial: as for `start`.

        Raises:
            MachineError: it does not come up.
        """
        self._act("reset-failed", SERVICE)
        self._change("restart", on_trial=on_trial)

    def reload(self) -> None:
        """Have the service read its configuration again.

        Whether it takes it, it says itself, in its status.

        Raises:
            MachineError: it can't be told.
        """
        self._change("reload")

    def state(self) -> str:
        """Give systemd's words for the service, such as `active/running`; empty without systemd."""
        return "/".join(filter(None, self._show("ActiveState", "SubState")))

    def life(self) -> Life:
        """Tell whether the service runs."""
        active = self.state().partition("/")[0]
        return _LIVES.get(active, "down")

    def digest(self) -> str:
        """Give a digest of the units' files, with what was added to them."""
        paths = [self._places.units / name for name in self.names()]
        texts = [files.read(path) for path in (*paths, self._drop_in)]
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()

    def last_words(self) -> str:
        """Give the last lines that the daemon has logged since its last start, in one.

        Where it could not even be started, those of systemd about it.
        """
        (invocation,) = self._show("InvocationID")
        said = self._journal(f"_SYSTEMD_INVOCATION_ID={invocation}") if invocation else ""
        return said or self._journal(f"--unit={SERVICE}")

    def stop(self) -> str:
        """Stop the units, and have them not be started any more.

        Returns:
            Why that failed; empty if they are stopped.
        """
        there = [name for name in self.names() if (self._places.units / name).exists()]
        if not there:
            return ""
        # What starts others goes first.
        order = sorted(there, key=lambda name: name.endswith(".service"))
        self._act("disable", *order)
        done = self._act("stop", *order)
        return f"the daemon can't be stopped: {done.reason}" if done.code else ""

    def remove(self) -> list[str]:
        """Remove the units' files.

        Returns:
            What could not be removed, and why.
        """
        paths = [self._places.units / name for name in self.names()]
        drop_ins = [path.with_name(f"{path.name}.d") for path in paths]
        faults = [files.discard(path) for path in (*paths, *drop_ins)]
        self._act("daemon-reload")
        self._act("reset-failed", SERVICE)
        return list(filter(None, faults))

    def _offered(self) -> set[str]:
        return {name for name in files.names(self._source) if name.startswith(NAME)}

    @property
    def _drop_in(self) -> Path:
        return self._places.units / f"{SERVICE}.d" / "charm.conf"

    def _show(self, *names: str) -> list[str]:
        """Give properties of the service; an empty one for what is not known."""
        done = self._commands.run(
            *(_SYSTEMCTL, "show", f"--property={','.join(names)}", SERVICE), limit_s=_ASK_LIMIT_S
        )
        shown = dict(line.partition("=")[::2] for line in done.out.splitlines())
        return [shown.get(name, "") for name in names]

    def _journal(self, match: str) -> str:
        done = self._commands.run(
            *(_JOURNALCTL, "--no-pager", "--boot", "--output=cat", f"--lines={_KEPT_LINES}", match),
            limit_s=_ASK_LIMIT_S,
        )
        lines = (line.strip() for line in done.out.splitlines())
        return "; ".join(filter(None, lines)) if not done.code else ""

    def _change(self, verb: str, *, on_trial: bool = False) -> None:
        done = self._act(verb, SERVICE, limit_s=_TRIAL_LIMIT_S if on_trial else _ACT_LIMIT_S)
        # systemd goes on with what takes longer; the state tells how that ends.
        if done.code and (on_trial or done.code != _LATE):
            raise MachineError(f"the daemon can't {verb}: {self.last_words() or done.reason}")

    def _must(self, *words: str) -> None:
        done = self._act(*words)
        if done.code:
            raise MachineError(f"systemctl {words[0]} failed: {done.reason}")

    def _act(self, *words: str, limit_s: float = _ACT_LIMIT_S) -> Done:
        return self._commands.run(_SYSTEMCTL, *words, limit_s=limit_s)
