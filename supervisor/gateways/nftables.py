"""nftables, through its program: tables put in place, listed, deleted and watched.

All calls block and have time limits, and raise nothing but `NftablesError`.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_FAMILY = "inet"
_GONE = "No such file or directory"
_END_LIMIT_S = 5.0
_GATHER_S = 0.1
_CHUNK = 1 << 16
# What nft says when the kernel had more to tell than it could take: the table may have changed.
_MISSED = b"# ERROR"


class NftablesError(Exception):
    """Something could not be done. The message says what was tried and what to do."""


class Nftables:
    """The kernel's tables, of the family inet if no other is named.

    Args:
        command: The program, and what is to be called before it.
        timeout_s: The limit of each call.
    """

    def __init__(self, command: Sequence[str] = ("nft",), timeout_s: float = 30) -> None:
        self._command = tuple(command)
        self._timeout_s = timeout_s

    def apply(self, script: str) -> None:
        """Carry out a script as one transaction: all of it, or nothing."""
        self._run("put the firewall's table in place", "-f", "-", script=script)

    def table(self, name: str, family: str = _FAMILY) -> Mapping[str, Any] | None:
        """List a table; None if there is none of this name."""
        listed = self._run_if_there(
            f"list the table {name}", "--json", "list", "table", family, name
        )
        return None if listed is None else self._parsed(listed)

    def tables(self) -> list[str]:
        """List the names of all tables."""
        listed = self._parsed(self._run("list tables", "--json", "list", "tables", _FAMILY))
        return [entry["table"]["name"] for entry in listed["nftables"] if "table" in entry]

    def tables_with_chains(self) -> list[str]:
        """List the names of the tables that have chains: at once, whatever their sets hold."""
        # For a list of tables nft reads all elements of all their sets.
        listed = self._parsed(self._run("list chains", "--json", "list", "chains", _FAMILY))
        chains = (entry["chain"] for entry in listed["nftables"] if "chain" in entry)
        return list(dict.fromkeys(chain["table"] for chain in chains))

    def delete(self, name: str) -> bool:
        """Delete a table, and tell whether there was one."""
        return (
            self._run_if_there(f"delete the table {name}", "delete", "table", _FAMILY, name)
            is not None
        )

    def monitor(
        self, changed: Callable[[], object], lost: Callable[[], object], about: str
    ) -> Monitor:
        """Watch a table.

        Args:
            changed: Called in a thread of its own after each change of the table.
            lost: Called there once, when nothing is heard any more: what changes then is missed.
                Not after `close`.
            about: The table's name.
        """
        return Monitor(self._command, changed, lost, about)

    def _run_if_there(self, aim: str, *arguments: str) -> str | None:
        try:
            return self._run(aim, *arguments)
        except _NotThere:
            return None

    def _run(self, aim: str, *arguments: str, script: str = "") -> str:
        try:
            done = subprocess.run(
                (*self._command, *arguments),
                input=script,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=self._timeout_s,
                env={**os.environ, "LC_ALL": "C"},
            )
        except OSError as error:
            raise NftablesError(_not_started(aim, self._command, error)) from error
        except subprocess.TimeoutExpired as error:
            raise NftablesError(
                f"could not {aim}: nft takes more than {self._timeout_s:g} s"
            ) from error
        if done.returncode == 0:
            return done.stdout
        # The first line tells what is wrong; the others show where in the script.
        words = next(iter(done.stderr.splitlines()), "") or f"exit code {done.returncode}"
        if _GONE in words and not script:
            raise _NotThere(f"could not {aim}: {words}")
        raise NftablesError(f"could not {aim}: {words}{_hint(words)}")

    def _parsed(self, listed: str) -> Mapping[str, Any]:
        try:
            document = json.loads(listed)
        except ValueError as error:
            raise NftablesError(
                "could not read nft's list: it is no JSON; is nft built without it?"
            ) from error
        if not isinstance(document, dict):
            raise NftablesError("could not read nft's list: it is no JSON object")
        return document


class _NotThere(NftablesError):
    """What was asked for is not there."""


class Monitor:
    """Watches a table by a child process, until it is closed.

    It takes a moment until the child hears: who must miss nothing looks at the table after that.
    A child that outlives this process ends with the next change that it can tell nobody of.
    """

    def __init__(
        self,
        command: Sequence[str],
        changed: Callable[[], object],
        lost: Callable[[], object],
        about: str,
    ) -> None:
        try:
            self._process = subprocess.Popen(
                (*command, "--json", "monitor"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise NftablesError(_not_started("watch the firewall", command, error)) from error
        self._changed = changed
        self._lost = lost
        self._about = f'"{about}"'.encode()
        self._closed = False
        self._thread = Thread(target=self._watch, name="nft-monitor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; nothing is called any more after this has returned."""
        self._closed = True
        self._process.terminate()
        try:
            self._process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(_END_LIMIT_S)

    def _watch(self) -> None:
        for said in self._said():
            if not self._closed and (self._about in said or _MISSED in said):
                self._changed()
        self._process.wait()
        if not self._closed:
            self._lost()

    def _said(self) -> Iterator[bytes]:
        """Gather what is said at one time: each of 50,000 elements has a line of its own."""
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        with self._process.stdout as lines:
            while first := os.read(lines.fileno(), _CHUNK):
                said, ends = first, time.monotonic() + _GATHER_S
                while (left_s := ends - time.monotonic()) > 0:
                    if select.select([lines], [], [], left_s)[0]:
                        more = os.read(lines.fileno(), _CHUNK)
                        if not more:
                            break
                        said += more
                yield said


def _not_started(aim: str, command: Sequence[str], error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"could not {aim}: there is no program {command[0]}; install nftables"
    return f"could not {aim}: {command[0]}: {error.strerror}"


def _hint(words: str) -> str:
    if "Operation not permitted" in words:
        return "; the daemon must be root, or have CAP_NET_ADMIN"
    if "Protocol not supported" in words or "Unable to initialize Netlink" in words:
        return "; this kernel has no nftables (modprobe nf_tables)"
    return ""
