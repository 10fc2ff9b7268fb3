"""The sandbox GitHub as a server in a thread of its own."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import threading
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.github import admin, runner_protocol
from sandbox.github.faults import Faults
from sandbox.github.hub import Clock, Hub, utc_now
from sandbox.github.middleware import (
    ANONYMOUS,
    anonymous,
    misbehave,
    speak_github,
    tell_time,
)
from sandbox.github.rest import general, groups, registration, runners, runs
from sandbox.github.rest.call import FAULTS, HUB, OFFER, Offer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from sandbox.github.credentials import Access, App, Grant
    from sandbox.github.model import Job, JobRequest, Runner, RunnerGroup, Visibility

_START_LIMIT_S = 10.0
_LARGEST_BODY = 32 * 1024 * 1024
_BACKLOG = 2048
_TARBALL_NAME = re.compile(r"actions-runner-linux-x64-(?P<version>\d+\.\d+\.\d+)\.tar\.gz")


class SandboxGitHub:
    """A local GitHub: a context manager that serves while it is entered.

    Its public methods may be called from any thread.

    Args:
        host: address or addresses to listen at; the first one is in `url`.
        port: the port; 0 for one that is free.
        org: an organisation to begin with; others are made by `add_organization` and `queue`.
        token: a token that may do everything.
        tarball: the runner application, named `actions-runner-linux-x64-VERSION.tar.gz`.
        guest_url: where guests reach the server, if not at the address that their runner's
            registration was asked at; it goes into JIT configurations and download addresses.
        offline_after: how long a runner may be silent before it is taken for lost.
        rate_limit: requests per hour and token.
        clock: tells the time.

    Raises:
        ValueError: the tarball's name tells no version.
        OSError: an address can't be had (on entering).

    Example:
        >>> with SandboxGitHub(org="acme", token="made-up") as github:
        ...     job = github.queue(JobRequest(script="echo hi", repository="acme/demo"))
        ...     job.status
        'queued'
    """

    def __init__(
        self,
        host: str | Sequence[str] = "127.0.0.1",
        port: int = 0,
        *,
        org: str = "acme",
        token: str = "sandbox-token",  # noqa: S107  a made-up one, for a made-up GitHub
        tarball: Path | None = None,
        guest_url: str | None = None,
        offline_after: timedelta = timedelta(seconds=30),
        rate_limit: int = 1_000_000,
        clock: Clock = utc_now,
    ) -> None:
        self.hosts = (host,) if isinstance(host, str) else tuple(host)
        self.port = port
        self.org = org
        self.token = token
        self.faults = Faults()
        self.hub = Hub(clock, offline_after, rate_limit)
        self.hub.credentials.add_token(token)
        with self.hub.change() as state:
            state.directory.add_organization(org)
        self._offer = _offer(tarball, guest_url)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None

    # Life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen and serve; returns when the first request can come.

        Raises:
            OSError: an address can't be had.
            RuntimeError: it serves already, or did not come up in 10 s.
        """
        if self._thread is not None:
            raise RuntimeError("the sandbox GitHub serves already")
        self._thread = threading.Thread(target=self._run, name="sandbox-github", daemon=True)
        self._thread.start()
        came_up = self._started.wait(_START_LIMIT_S)
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise self._failure
        if not came_up:
            raise RuntimeError(f"the sandbox GitHub did not come up within {_START_LIMIT_S} s")

    def stop(self) -> None:
        """Close all connections and end the thread; the state can still be looked at."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    # Addresses

    @property
    def url(self) -> str:
        """The REST API's address: PyGithub's `base_url`."""
        return f"http://{_bracketed(self.hosts[0])}:{self.port}"

    def url_at(self, host: str) -> str:
        """Return the address by which a client reaches the server at another of its hosts."""
        return f"http://{_bracketed(host)}:{self.port}"

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

    def add_group(
        self,
        org: str,
        name: str,
        visibility: Visibility = "all",
        repositories: Collection[str] = (),
    ) -> RunnerGroup:
        """Make a runner group; `repositories` are those that a `selected` group is open to."""
        with self.hub.change() as state:
            scope = state.directory.add_organization(org)
            return state.directory.add_group(
                scope, name, visibility=visibility, repositories=repositories
            )

    def add_token(self, token: str, access: Access = "write") -> Grant:
        """Make a token known: `write`, `read`, or `none` for no access to runners at all."""
        with self.hub.change():
            return self.hub.credentials.add_token(token, access)

    def add_app(self, app: App) -> None:
        """Make an installed app known."""
        with self.hub.change():
            self.hub.credentials.add_app(app)

    # The thread

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  handed to the thread that waits in start()
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.hub.attach(self._loop)
        app = self._application()
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await runner.setup()
        sweeping = asyncio.create_task(runner_protocol.sweep(app))
        try:
            for bound in self._bind():
                await web.SockSite(runner, bound, backlog=_BACKLOG).start()
            self._started.set()
            await self._stop.wait()
        finally:
            sweeping.cancel()
            await runner.cleanup()

    def _bind(self) -> list[socket.socket]:
        sockets: list[socket.socket] = []
        try:
            for host in self.hosts:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                bound = socket.socket(family, socket.SOCK_STREAM)
                sockets.append(bound)
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind((host, self.port))
                self.port = bound.getsockname()[1]
        except OSError:
            for bound in sockets:
                bound.close()
            raise
        return sockets

    def _application(self) -> web.Application:
        app = web.Application(
            middlewares=[tell_time, misbehave, speak_github], client_max_size=_LARGEST_BODY
        )
        app[HUB] = self.hub
        app[FAULTS] = self.faults
        app[OFFER] = self._offer
        app[ANONYMOUS] = anonymous()
        for chapter in (general, registration, runners, groups, runs, runner_protocol, admin):
            chapter.add(app)
        return app


def _offer(tarball: Path | None, guest_url: str | None) -> Offer:
    guest_url = guest_url.rstrip("/") if guest_url else None
    if tarball is None:
        return Offer(guest_url=guest_url)
    named = _TARBALL_NAME.fullmatch(tarball.name)
    if named is None:
        raise ValueError(
            f"{tarball} must be named actions-runner-linux-x64-VERSION.tar.gz, like GitHub's"
        )
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
    return Offer(tarball, tarball.name, digest, named["version"], guest_url)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
