"""The sandbox GitHub's whole state and its transitions.

Pure: no clock, no thread, no I/O. Each transition is told the time and either happens in full or
raises. One thread at a time may use a `State`; `sandbox.github.hub` sees to that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.github.model import Job, JobConclusion, JobRequest, Runner
from sandbox.github.registrations import Registrations, SessionRefusedError, new_token
from sandbox.github.repositories import Repositories
from sandbox.github.waiting import WaitingJobs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from datetime import datetime, timedelta

    from sandbox.github.directory import Directory


class SessionOpenError(Exception):
    """The runner's session is open already."""


class NotItsJobError(Exception):
    """The runner reported on a job that it was not handed."""


class State(Registrations):
    """Runners, jobs and who has which.

    Args:
        directory: the organisations, repositories and groups.
        make_token: makes a runner's credential; replaceable so that tests can name it.
    """

    def __init__(
        self, directory: Directory, make_token: Callable[[], str] = lambda: new_token("sbr")
    ) -> None:
        super().__init__(make_token)
        self.directory = directory
        self.repositories = Repositories(directory)
        self._jobs: dict[int, Job] = {}
        self._waiting = WaitingJobs()
        self._next_job_id = 1

    # Sessions

    def go_online(self, runner_id: int) -> Runner:
        """Take a runner online without a session: it is never taken for lost.

        Raises:
            KeyError: no such runner.
        """
        runner = self._runners[runner_id]
        return self.keep(replace(runner, online=True, token_used=True, heard_at=None, os="linux"))

    def go_offline(self, runner_id: int, now: datetime, *, keep_job: bool = False) -> None:
        """Take a runner offline.

        Args:
            runner_id: which one.
            now: the time.
            keep_job: show it busy still, as GitHub does for minutes after a machine died.

        Raises:
            KeyError: no such runner.
        """
        runner = self._runners[runner_id]
        if keep_job:
            self.keep(replace(runner, online=False))
        else:
            self._lose(runner, now, "The runner lost communication with the server.")

    def open_session(
        self,
        token: str,
        now: datetime,
        *,
        session: str | None = None,
        os: str = "linux",
        version: str | None = None,
    ) -> Runner:
        """Take a runner online.

        A runner that names its session may open it twice: the first answer may have been lost.

        Raises:
            SessionRefusedError: unknown token, or an ephemeral runner's second session.
            SessionOpenError: its session is open.
        """
        runner = self.by_token(token)
        if runner.online and (session is None or session != runner.session):
            raise SessionOpenError(runner.name)
        if not runner.online and runner.token_used and runner.ephemeral:
            raise SessionRefusedError("this registration had its session")
        return self.keep(
            replace(
                runner,
                online=True,
                token_used=True,
                session=session,
                heard_at=now,
                os=os,
                version=version,
            )
        )

    def in_session(self, token: str, now: datetime) -> Runner:
        """Note that a runner was heard of in its open session.

        Raises:
            SessionRefusedError: no such runner, or its session is not open.
        """
        runner = self.by_token(token)
        if not runner.online:
            raise SessionRefusedError("no session is open")
        return self.keep(replace(runner, heard_at=now))

    def close_session(self, token: str, now: datetime) -> None:
        """Take a runner offline; a job that it still has ends as if it had vanished.

        Raises:
            SessionRefusedError: no such runner.
        """
        self._lose(self.by_token(token), now, "The runner closed its session.")

    def expire(
        self, now: datetime, limit: timedelta, polling: Collection[int] = ()
    ) -> list[Runner]:
        """Take those runners offline that were not heard of for longer than `limit`.

        Args:
            now: the time.
            limit: how long a session may be silent.
            polling: runners whose long poll is open: they are heard of.

        Returns:
            The runners as they were before.
        """
        silent = [
            runner
            for runner in self._runners.values()
            if runner.online
            and runner.id not in polling
            and runner.heard_at is not None
            and now - runner.heard_at > limit
        ]
        for runner in silent:
            self._lose(runner, now, "The runner lost communication with the server.")
        return silent

    # Jobs

    def jobs(self) -> Iterator[Job]:
        """Yield all jobs, oldest first."""
        return iter(self._jobs.values())

    def job(self, job_id: int) -> Job | None:
        """Return the job of that number."""
        return self._jobs.get(job_id)

    def queue(self, request: JobRequest, now: datetime) -> Job:
        """Add a job, to the workflow run that is asked for; its repository is made if it is new."""
        self.directory.add_repository(request.repository)
        job = Job(
            id=self._next_job_id,
            run_id=request.run_id or 1_000_000 + self._next_job_id,
            repository=request.repository,
            workflow=request.workflow,
            name=request.name,
            event=request.event,
            sha=request.sha,
            labels=request.labels,
            script=request.script,
            queued_at=now,
            ref=request.ref,
            head_ref=request.head_ref,
            base_ref=request.base_ref,
            actor=request.actor,
            payload=request.payload or "",
            always=request.always,
        )
        self._next_job_id += 1
        self._jobs[job.id] = job
        self._waiting.add(job)
        return job

    def hand_out(self, runner_id: int, now: datetime) -> Job | None:
        """Give an online runner its job: the one it has already, else the oldest that suits it.

        A runner that has not reported its job's start may ask again (its answer may have been
        lost) and gets the same job. Once it has started one, it gets no other.
        """
        runner = self._runners.get(runner_id)
        if runner is None or not runner.online:
            return None
        if runner.job_id is not None:
            job = self._jobs[runner.job_id]
            return job if job.status == "queued" else None
        job_id = self._waiting.take(lambda job: self._suits(runner, job))
        if job_id is None:
            return None
        job = replace(
            self._jobs[job_id],
            runner_id=runner.id,
            runner_name=runner.name,
            runner_group_id=runner.group_id,
            runner_group_name=self._group_name(runner),
            handed_out_at=now,
        )
        self._jobs[job.id] = job
        self.keep(replace(runner, job_id=job.id))
        return job

    def start_job(self, token: str, job_id: int, now: datetime) -> Job:
        """Note that a runner began its job; saying so twice changes nothing.

        Raises:
            SessionRefusedError: no such runner, or its session is not open.
            NotItsJobError: that job is not its own.
        """
        job = self._own_job(token, job_id, now)
        if job.status == "queued":
            job = self._jobs[job_id] = replace(job, status="in_progress", started_at=now)
        return job

    def complete_job(
        self, token: str, job_id: int, conclusion: JobConclusion, log: str, now: datetime
    ) -> Job:
        """Note a job's end; an ephemeral runner's registration goes with it.

        Raises:
            SessionRefusedError: no such runner, or its session is not open.
            NotItsJobError: that job is not its own.
        """
        job = self._own_job(token, job_id, now)
        return self._end(job, conclusion, log, now)

    def cancel_job(self, job_id: int, now: datetime) -> Job:
        """Cancel a job that no runner has; one that runs is left alone.

        Raises:
            KeyError: no such job.
        """
        job = self._jobs[job_id]
        if not job.waits_for_a_runner:
            return job
        self._waiting.remove(job)
        job = self._jobs[job_id] = replace(
            job, status="completed", conclusion="cancelled", completed_at=now
        )
        return job

    # Inside

    def _suits(self, runner: Runner, job: Job) -> bool:
        names = runner.label_names
        return all(label.casefold() in names for label in job.labels) and self.directory.admits(
            runner.scope, runner.group_id, job.repository
        )

    def _group_name(self, runner: Runner) -> str:
        group = self.directory.group(runner.scope, runner.group_id)
        return group.name if group else "Default"

    def _own_job(self, token: str, job_id: int, now: datetime) -> Job:
        runner = self.in_session(token, now)
        if runner.job_id != job_id:
            raise NotItsJobError(f"job {job_id} was not handed to {runner.name}")
        return self._jobs[job_id]

    def _end(self, job: Job, conclusion: JobConclusion, log: str, now: datetime) -> Job:
        ended = self._jobs[job.id] = replace(
            job,
            status="completed",
            conclusion=conclusion,
            log=log,
            started_at=job.started_at or now,
            completed_at=now,
        )
        runner = self._runners[job.runner_id] if job.runner_id is not None else None
        if runner is not None and runner.ephemeral:
            self.forget(runner.id)
        elif runner is not None:
            self.keep(replace(runner, job_id=None))
        return ended

    def _lose(self, runner: Runner, now: datetime, why: str) -> None:
        offline = self.keep(replace(runner, online=False))
        if offline.job_id is None:
            return
        had = self._jobs[offline.job_id]
        job = replace(had, lost_by=(*had.lost_by, runner.name))
        if job.status == "in_progress":
            self._end(job, "failure", f"{job.log}{why}\n", now)
            return
        self.keep(replace(offline, job_id=None))
        waiting = self._jobs[job.id] = replace(
            job,
            runner_id=None,
            runner_name=None,
            runner_group_id=None,
            runner_group_name=None,
            handed_out_at=None,
            requeues=job.requeues + 1,
        )
        self._waiting.add(waiting)
