"""nftables, through its program: tables put in place, listed and deleted, and watched without it.

All calls block and have time limits, and raise nothing but `NftablesError`.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from supervisor.causes import Cause, CausedError
from supervisor.gateways import child_environment, nftables_notices
from supervisor.gateways.nftables_notices import Listen, Monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_FAMILY = "inet"
_GONE = "No such file or directory"


class NftablesError(CausedError):
    """Something could not be done. The message says what was tried and what to do."""


class Nftables:
    """The kernel's tables, of the family inet if no other is named.

    Args:
        command: The program, and what is to be called before it.
        timeout_s: The limit of each call.
        listen: Opens what the kernel tells of changes on: in the network namespace that the command
            leads to.
    """

    def __init__(
        self,
        command: Sequence[str] = ("nft",),
        timeout_s: float = 30,
        listen: Listen = nftables_notices.listen,
    ) -> None:
        self._command = tuple(command)
        self._timeout_s = timeout_s
        self._listen = listen

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

    def delete_chain(self, table: str, name: str, family: str = _FAMILY) -> bool:
        """Delete a chain with its rules, and tell whether there was one."""
        chain = ("chain", family, table, name)
        aim = f"delete the chain {name}"
        return self._run_if_there(aim, "flush", *chain, ";", "delete", *chain) is not None

    def monitor(self, changed: Callable[[], object], about: str) -> Monitor:
        """Watch a table, from now on.

        Args:
            changed: Called in a thread of its own after each change of the table, and now and then
                while changes can't be heard of.
            about: The table's name.
        """
        return Monitor(self._listen, changed, about)

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
                env=child_environment.clean(),
            )
        except OSError as error:
            raise _not_started(aim, self._command, error) from error
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


def _not_started(aim: str, command: Sequence[str], error: OSError) -> NftablesError:
    if isinstance(error, FileNotFoundError):
        words = f"could not {aim}: there is no program {command[0]}; install nftables"
        return NftablesError(words, Cause.NFTABLES_MISSING)
    return NftablesError(f"could not {aim}: {command[0]}: {error.strerror}")


def _hint(words: str) -> str:
    if "Operation not permitted" in words:
        return "; the daemon must be root, or have CAP_NET_ADMIN"
    if "Protocol not supported" in words or "Unable to initialize Netlink" in words:
        return "; this kernel has no nftables (modprobe nf_tables)"
    return ""
