"""What a test may arrange and look at: who exists, what they may do, what runners do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sandbox.github.model import Label
from sandbox.github.repository_staging import RepositoryStaging

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from sandbox.github.app_jwt import Access, App
    from sandbox.github.credentials import Grant
    from sandbox.github.model import Job, JobRequest, Runner, RunnerGroup, Visibility
    from sandbox.github.permissions import Level


class Staging(RepositoryStaging):
    """The part of the sandbox GitHub that needs no server. Any thread may call it.

    Where a method takes a `scope`, that is `acme`, `acme/demo` or `enterprises/big`.
    """

    # What it holds

    def queue(self, request: JobRequest) -> Job:
        """Queue a job; a waiting runner that suits it gets it at once."""
        return self.hub.queue(request)

    def jobs(self) -> tuple[Job, ...]:
        """Return all jobs, oldest first."""
        with self.hub.view() as state:
            return tuple(state.jobs())

    def job(self, job_id: int) -> Job:
        """Return one job.

        Raises:
            KeyError: no such job.
        """
        with self.hub.view() as state:
            job = state.job(job_id)
        if job is None:
            raise KeyError(job_id)
        return job

    def runners(self) -> tuple[Runner, ...]:
        """Return all registered runners, oldest first."""
        with self.hub.view() as state:
            return tuple(state.runners())

    def wait_for(self, predicate: Callable[[], bool], limit_s: float) -> bool:
        """Wait until a predicate holds; it is asked anew whenever something changes.

        Args:
            predicate: asks this object, or anything else: it is also called once a second.
            limit_s: seconds to wait at most.

        Returns:
            Whether it held in time.
        """
        return self.hub.wait_for(predicate, limit_s)

    # What it is made of

    def add_organization(self, name: str) -> None:
        """Make an organisation."""
        with self.hub.change() as state:
            state.directory.add_organization(name)

    def add_repository(self, full_name: str) -> None:
        """Make a repository `owner/name`, and its owner."""
        with self.hub.change() as state:
            state.directory.add_repository(full_name)

    def add_enterprise(self, name: str, organizations: Collection[str] = ()) -> str:
        """Make an enterprise, or add organisations to it; return its scope's name.

        Raises:
            ValueError: an organisation is another enterprise's.
        """
        with self.hub.change() as state:
            return state.directory.add_enterprise(name, organizations).name

    def add_group(
        self,
        scope: str,
        name: str,
        visibility: Visibility = "all",
        selected: Collection[str] = (),
        *,
        hosted: bool = False,
    ) -> RunnerGroup:
        """Make a runner group of an organisation or an enterprise.

        Args:
            scope: whose; an organisation is made if it is new.
            name: the group's name.
            visibility: who may use it.
            selected: whom a `selected` group is open to: repositories `owner/name`, or an
                enterprise's organisations.
            hosted: whether it is for GitHub-hosted runners only.
        """
        with self.hub.change() as state:
            known = state.directory.scope(scope)
            owner = known if known is not None else state.directory.add_organization(scope)
            return state.directory.add_group(
                owner, name, visibility=visibility, selected=selected, hosted=hosted
            )

    # Runners

    def add_runner(
        self,
        scope: str,
        name: str,
        labels: Collection[str] = ("self-hosted",),
        *,
        group_id: int = 1,
        ephemeral: bool = False,
        online: bool = False,
    ) -> Runner:
        """Register a runner, as somebody else would with `config.sh`.

        Raises:
            KeyError: no such scope.
            NameTakenError: the scope has a runner of that name.
        """
        with self.hub.change() as state:
            owner = state.directory.scope(scope)
            if owner is None:
                raise KeyError(scope)
            runner = state.register(
                owner,
                name,
                tuple(Label(label) for label in labels),
                self.hub.clock(),
                group_id=group_id,
                ephemeral=ephemeral,
            )
            return state.go_online(runner.id) if online else runner

    def rename_runner(self, runner_id: int, name: str) -> Runner:
        """Give a runner another name.

        Raises:
            KeyError: no such runner.
            NameTakenError: its scope has another runner of that name.
        """
        with self.hub.change() as state:
            return state.rename(runner_id, name)

    def set_online(self, runner_id: int) -> Runner:
        """Show a runner online, although no program holds its session.

        Raises:
            KeyError: no such runner.
        """
        with self.hub.change() as state:
            return state.go_online(runner_id)

    def set_offline(self, runner_id: int, *, keep_job: bool = False) -> None:
        """Show a runner offline, with `keep_job` busy still.

        GitHub does the latter for some minutes after a machine died.

        Raises:
            KeyError: no such runner.
        """
        with self.hub.change() as state:
            state.go_offline(runner_id, self.hub.clock(), keep_job=keep_job)
        self.hub.wake()

    def hand_out(self, runner_id: int) -> Job | None:
        """Give an online runner a waiting job that suits it: it is busy from then on."""
        return self.hub.hand_out(runner_id)

    # Credentials and time

    def add_token(
        self,
        token: str,
        access: Access = "write",
        scopes: Collection[str] = (),
        expires_at: datetime | None = None,
        permissions: Mapping[str, Level] | None = None,
    ) -> Grant:
        """Make a token known: `write`, `read`, or `none` for no access to runners at all.

        One that begins with `ghp_` is a classic one: what it may do is told by its `scopes`. Every
        other one is fine-grained: its `permissions`, if given, are all that it may do.
        """
        with self.hub.change():
            return self.hub.credentials.add_token(token, access, scopes, expires_at, permissions)

    def revoke(self, token: str) -> None:
        """Forget a token: whoever uses it gets 401 from now on."""
        with self.hub.change():
            self.hub.credentials.revoke(token)

    def add_app(self, app: App) -> None:
        """Make an app's installation known, or change it."""
        with self.hub.change():
            self.hub.credentials.add_app(app)

    def remove_app(self, installation_id: int) -> None:
        """Take an app's installation away, and with it its tokens."""
        with self.hub.change():
            self.hub.credentials.remove_app(installation_id)

    def suspend(self, installation_id: int, suspended: bool = True) -> None:
        """Suspend an app's installation, or take it up again.

        Raises:
            KeyError: no such installation.
        """
        with self.hub.change():
            self.hub.credentials.suspend(installation_id, suspended)

    def skew_clock(self, by: timedelta) -> None:
        """Set the server's clock ahead of the true one, or behind it.

        Dates, rate limits, what expires and the times in an app's JWT go by it; no runner is taken
        for lost because of the jump.
        """
        self.hub.skew(by)
