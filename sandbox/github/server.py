"""The sandbox GitHub as a server in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.github import admin, download, runner_protocol
from sandbox.github.budget import Limits
from sandbox.github.calls import CallLog
from sandbox.github.credentials import Grant
from sandbox.github.faults import Faults
from sandbox.github.hub import Clock, Hub, utc_now
from sandbox.github.middleware import (
    ANONYMOUS,
    APPS,
    anonymous,
    deliver,
    misbehave,
    record,
    set_date,
    speak_github,
)
from sandbox.github.releases import Release, Releases
from sandbox.github.rest import (
    general,
    groups,
    members,
    pulls,
    registration,
    repositories,
    runners,
    runs,
)
from sandbox.github.rest.call import CALLS, DOWNLOADS, FAULTS, HUB, OFFER, Offer
from sandbox.github.staging import Staging

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from sandbox.github.calls import Call

_START_LIMIT_S = 10.0
_LARGEST_BODY = 32 * 1024 * 1024
_BACKLOG = 2048
_CHAPTERS = (
    general,
    registration,
    runners,
    groups,
    members,
    runs,
    repositories,
    pulls,
    runner_protocol,
    admin,
    download,
)


class SandboxGitHub(Staging):
    """A local GitHub: a context manager that serves while it is entered.

    Its public methods may be called from any thread.

    Args:
        host: address or addresses to listen at; the first one is in `url`.
        port: the port; 0 for one that is free.
        org: an organisation to begin with; others are made by `add_organization` and `queue`.
        token: a token that may do everything.
        tarball: the runner application to begin with, named
            `actions-runner-linux-x64-VERSION.tar.gz` (or arm64); others come by `release`.
        guest_url: where guests reach the server, if not at the address that their runner's
            registration was asked at; it goes into JIT configurations and download addresses.
        offline_after: how long a runner may be silent before it is taken for lost.
        rate_limit: requests per hour and token; None for an Enterprise Server without limits.
        secondary_limit: points per minute and token (reading costs 1, writing 5), or no limit.
        clock: tells the time.
        clock_skew: how far GitHub's clock is ahead of that one.

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
        rate_limit: int | None = 1_000_000,
        secondary_limit: int | None = None,
        clock: Clock = utc_now,
        clock_skew: timedelta = timedelta(0),
    ) -> None:
        self.hosts = (host,) if isinstance(host, str) else tuple(host)
        self.port = port
        self.org = org
        self.token = token
        self.faults = Faults()
        self._limits = Limits(rate_limit, secondary_limit)
        super().__init__(Hub(clock, offline_after, self._limits))
        self._calls = CallLog()
        self.skew_clock(clock_skew)
        self.hub.credentials.add_token(token)
        with self.hub.change() as state:
            state.directory.add_organization(org)
        self._offer = Offer(Releases(), guest_url.rstrip("/") if guest_url else None)
        self._downloads = CallLog()
        if tarball is not None:
            self.release(tarball)
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

    # The runner application

    def release(self, tarball: Path, sha256: str | None = None) -> Release:
        """Publish a release: it is the one offered from now on, for the architecture in its name.

        Older ones can be downloaded still.

        Args:
            tarball: named `actions-runner-linux-x64-VERSION.tar.gz`, or with arm64.
            sha256: what is announced of it; None for what it has, empty for nothing.

        Raises:
            ValueError: its name tells no version.
            OSError: it can't be read.
        """
        return self._offer.releases.publish(tarball, sha256)

    def offered(self, architecture: str) -> Release | None:
        """Return the release that is offered for an architecture, in GitHub's words."""
        return self._offer.releases.offered(architecture)

    def downloads(self) -> tuple[Call, ...]:
        """Return the requests for tarballs, whole (200) or in part (206), in their order."""
        return self._downloads.calls()

    # What was asked

    def calls(self) -> tuple[Call, ...]:
        """Return the calls of the REST API, in the order in which they were answered."""
        return self._calls.calls()

    def clear_calls(self) -> None:
        """Forget the calls and the downloads so far."""
        self._calls.clear()
        self._downloads.clear()

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
            sockets = self._bind()
            self.hub.base_url = self._offer.guest_url or self.url
            for bound in sockets:
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
            middlewares=[deliver, record, misbehave, speak_github], client_max_size=_LARGEST_BODY
        )
        app.on_response_prepare.append(set_date)
        app[HUB] = self.hub
        app[FAULTS] = self.faults
        app[OFFER] = self._offer
        app[CALLS] = self._calls
        app[DOWNLOADS] = self._downloads
        app[ANONYMOUS] = anonymous(self._limits)
        app[APPS] = Grant("none", self._limits.budget())
        for chapter in _CHAPTERS:
            chapter.add(app)
        return app


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
