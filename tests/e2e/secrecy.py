"""What is secret in a test's world, and who has seen it."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from sandbox.github import jitconfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Self

    from sandbox.github.model import Runner

_PAUSE_S = 0.03
_CREDENTIALS = ".credentials"


class Secrets:
    """All that is secret in one world, as far as it is known by now."""

    def __init__(self, *given: str) -> None:
        self.known = set(given)
        self.configurations: set[str] = set()
        """The just-in-time configurations that the sandbox GitHub has handed out."""

    @contextmanager
    def overheard(self) -> Iterator[None]:
        """Learn what the sandbox GitHub hands out meanwhile."""
        encode = jitconfig.encode

        def remember(runner: Runner, server_url: str) -> str:
            encoded = encode(runner, server_url)
            files = json.loads(base64.b64decode(encoded))
            self.configurations.add(encoded)
            self.known.update({encoded, runner.token, files[_CREDENTIALS]})
            return encoded

        with patch.object(jitconfig, "encode", remember):
            yield

    def found_in(self, texts: Iterable[str]) -> list[str]:
        """Return the beginnings of those that stand in one of the texts."""
        secrets = tuple(self.known)
        return [f"{s[:12]}… in …{text[:60]}" for text in texts for s in secrets if s in text]


class Processes:
    """Reads command lines and environments of all processes of this machine, again and again.

    Containers' processes are among them, in PID namespaces of their own.
    """

    def __init__(self) -> None:
        self.rounds = 0
        self.arguments: set[str] = set()
        self.environments: set[tuple[str, str]] = set()
        """The namespace's name, and the environment."""
        self.namespace = _namespace(Path("/proc/self"))
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()

    def namespaces_with(self, secret: str) -> set[str]:
        """Return the namespaces that had a process with `secret` in its environment."""
        return {namespace for namespace, text in self.environments if secret in text}

    def _read(self) -> None:
        while not self._done.wait(_PAUSE_S):
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):  # it has ended
                    self.arguments.add(_text(process / "cmdline"))
                    self.environments.add((_namespace(process), _text(process / "environ")))
            self.rounds += 1


def _text(path: Path) -> str:
    return path.read_bytes().decode("latin-1")


def _namespace(process: Path) -> str:
    return str((process / "ns" / "pid").readlink())
