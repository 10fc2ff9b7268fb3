"""The registered runners: found by number, name and credential."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.github.model import Label, Runner, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta


class NameTakenError(Exception):
    """A runner of that name is registered in the scope."""


class RunnerBusyError(Exception):
    """The runner has a job and can't be deleted."""


class SessionRefusedError(Exception):
    """The credential is unknown, used up, or its runner was deleted."""


def new_token(prefix: str) -> str:
    """Return an unguessable token with a prefix that tells what it is."""
    return f"{prefix}_{secrets.token_urlsafe(30)}"


class Registrations:
    """All runners.

    Args:
        make_token: makes a runner's credential; replaceable so that tests can name it.
    """

    def __init__(self, make_token: Callable[[], str]) -> None:
        self._make_token = make_token
        self._runners: dict[int, Runner] = {}
        self._by_token: dict[str, int] = {}
        self._by_name: dict[tuple[Scope, str], int] = {}
        self._next_runner_id = 1

    def runners(self, scope: Scope | None = None) -> Iterator[Runner]:
        """Yield the registered runners, oldest first."""
        return (r for r in self._runners.values() if scope is None or r.scope == scope)

    def runner(self, runner_id: int) -> Runner | None:
        """Return the runner of that number, if it is registered."""
        return self._runners.get(runner_id)

    def runner_named(self, scope: Scope, name: str) -> Runner | None:
        """Return the scope's runner of that name; case does not matter."""
        runner_id = self._by_name.get((scope, name.casefold()))
        return None if runner_id is None else self._runners[runner_id]

    def register(
        self,
        scope: Scope,
        name: str,
        labels: tuple[Label, ...],
        now: datetime,
        *,
        group_id: int = 1,
        ephemeral: bool = True,
        work_folder: str = "_work",
    ) -> Runner:
        """Add a runner, offline until its first session.

        Raises:
            NameTakenError: the scope has a runner of that name.
        """
        key = (scope, name.casefold())
        if key in self._by_name:
            raise NameTakenError(name)
        runner = Runner(
            id=self._next_runner_id,
            name=name,
            scope=scope,
            labels=labels,
            token=self._make_token(),
            created_at=now,
            group_id=group_id,
            ephemeral=ephemeral,
            work_folder=work_folder,
        )
        self._next_runner_id += 1
        self._runners[runner.id] = runner
        self._by_token[runner.token] = runner.id
        self._by_name[key] = runner.id
        return runner

    def delete_runner(self, runner_id: int) -> None:
        """Remove an idle runner's registration.

        Raises:
            KeyError: no such runner.
            RunnerBusyError: it has a job.
        """
        if self._runners[runner_id].busy:
            raise RunnerBusyError(self._runners[runner_id].name)
        self.forget(runner_id)

    def set_labels(self, runner_id: int, labels: tuple[Label, ...]) -> Runner:
        """Replace a runner's labels.

        Raises:
            KeyError: no such runner.
        """
        return self.keep(replace(self._runners[runner_id], labels=labels))

    def set_group(self, runner_id: int, group_id: int) -> Runner:
        """Move a runner to another group.

        Raises:
            KeyError: no such runner.
        """
        return self.keep(replace(self._runners[runner_id], group_id=group_id))

    def rename(self, runner_id: int, name: str) -> Runner:
        """Give a runner another name.

        Raises:
            KeyError: no such runner.
            NameTakenError: its scope has another runner of that name.
        """
        runner = self._runners[runner_id]
        key = (runner.scope, name.casefold())
        if self._by_name.get(key, runner_id) != runner_id:
            raise NameTakenError(name)
        del self._by_name[(runner.scope, runner.name.casefold())]
        self._by_name[key] = runner_id
        return self.keep(replace(runner, name=name))

    def shift(self, by: timedelta) -> None:
        """Note that the clock was set: nobody has been silent for longer because of that."""
        for runner in list(self._runners.values()):
            if runner.heard_at is not None:
                self.keep(replace(runner, heard_at=runner.heard_at + by))

    def by_token(self, token: str) -> Runner:
        """Return the runner a credential belongs to.

        Raises:
            SessionRefusedError: it belongs to none.
        """
        runner_id = self._by_token.get(token)
        if runner_id is None:
            raise SessionRefusedError("no such registration")
        return self._runners[runner_id]

    def keep(self, runner: Runner) -> Runner:
        """Keep a runner as it is now; its name and credential are as they were."""
        self._runners[runner.id] = runner
        return runner

    def forget(self, runner_id: int) -> None:
        """Remove a registration, busy or not."""
        runner = self._runners.pop(runner_id)
        del self._by_token[runner.token]
        del self._by_name[(runner.scope, runner.name.casefold())]
