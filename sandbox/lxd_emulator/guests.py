"""Simulated guests: each a coroutine that does what ``docs/guest-contract.md`` asks of a guest.

They stand in for the virtual machine, the guest's script and the runner application in it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

from sandbox.lxd_emulator import guest_script
from sandbox.lxd_emulator.clock import now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.lxd_emulator.faults import Faults, GuestWay
    from sandbox.lxd_emulator.state import Key

_ATTEMPTS = 3
_PAUSE_S = 0.3
_LAST_SIGNAL_S = 1.0
_SIGNAL_S = 3.0
_RENEWAL_S = 10.0
_LINES = 200
_OK = 200
_NO_CONTENT = 204
_UNAUTHORISED = 401
_CONFLICT = 409


@dataclass(frozen=True, kw_only=True)
class GuestBehaviour:
    """How simulated guests behave when nothing is wrong with them.

    Attributes:
        boot_s: From the instance's start to the guest's first signal, on average.
        boot_spread: How far a boot may be off that, as a share of it; evenly distributed.
        poweroff_s: From the guest's last signal to the end of the instance.
        linger_s: How much longer a guest waits whose failure the host has been told.
        job_speed: Seconds of a job's `sleep` take that many seconds; 0 makes jobs instant.
        poll_s: How long one wait for a job lasts.
        seed: Of the distribution of boot times.
    """

    boot_s: float = 0.3
    boot_spread: float = 0.25
    poweroff_s: float = 0.1
    linger_s: float = 20.0
    job_speed: float = 1.0
    poll_s: int = 25
    seed: int = 0


@dataclass(eq=False)
class _Guest:
    key: Key
    first_start: bool
    way: GuestWay | None
    script: str
    stage: str = "booting"
    result: str = ""  # of its job, in the runner application's words
    console: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def say(self, text: str) -> None:
        self.console.append(f"[{now()}] {text}\n")


class _Failed(Exception):
    """The guest gives up, for a reason that it tells the host."""


class Guests:
    """All running guests. Belongs to the emulator's event loop.

    Args:
        behaviour: How they behave.
        faults: How some of them misbehave.
        ended: Called with a guest's key when it has powered itself off or died.
    """

    def __init__(
        self, behaviour: GuestBehaviour, faults: Faults, ended: Callable[[Key], None]
    ) -> None:
        self.behaviour = behaviour
        self._faults = faults
        self._ended = ended
        self._alive: dict[Key, _Guest] = {}
        # No secrets, only a spread of boot times.
        self._random = random.Random(behaviour.seed)  # noqa: S311
        self._web: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Get ready; all guests share one pool of connections, without a limit."""
        self._web = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=0, use_dns_cache=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            trust_env=False,
        )

    async def close(self) -> None:
        """End all guests, without a word to anyone."""
        tasks = [guest.task for guest in self._alive.values() if guest.task is not None]
        self._alive.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._web is not None:
            await self._web.close()

    def boot(self, key: Key, config: Mapping[str, str], *, first_start: bool) -> None:
        """Start an instance's guest."""
        self.kill(key)
        fault = self._faults.guest(key[1])
        script = config.get("cloud-init.user-data") or config.get("user.user-data") or ""
        guest = _Guest(key, first_start, fault.way if fault else None, script)
        self._alive[key] = guest
        guest.task = asyncio.get_running_loop().create_task(self._live(guest))

    def kill(self, key: Key) -> None:
        """End a guest at once, as if its power was cut; nobody is told."""
        guest = self._forget(key)
        if guest is not None and guest.task is not None:
            guest.task.cancel()

    def crash(self, key: Key) -> bool:
        """End a guest at once, and let LXD notice; returns whether there was one."""
        known = key in self._alive
        self.kill(key)
        if known:
            self._ended(key)
        return known

    def is_alive(self, key: Key) -> bool:
        """Tell whether an instance has a guest that runs."""
        return key in self._alive

    async def end_of(self, key: Key) -> None:
        """Wait until an instance's guest has ended."""
        guest = self._alive.get(key)
        if guest is not None:
            await guest.ended.wait()

    def heeds_shutdown(self, key: Key) -> bool:
        """Tell whether a guest powers off when it is asked to."""
        guest = self._alive.get(key)
        return guest is None or guest.way not in {"ignores-shutdown", "never-boots"}

    def console(self, key: Key) -> str | None:
        """Return what a guest has written on its console; None if none runs."""
        guest = self._alive.get(key)
        return None if guest is None else "".join(guest.console)

    async def answer(self, key: Key) -> bytes:
        """Return what a guest writes when a command is run in it: its diary.

        One that never boots writes nothing and comes to no end before itself.
        """
        guest = self._alive.get(key)
        if guest is not None and guest.way == "never-boots":
            await guest.ended.wait()
        return (self.console(key) or "").encode()

    def stages(self) -> dict[str, str]:
        """Return what each guest is doing, by instance: `PROJECT/NAME`."""
        return {"/".join(key): guest.stage for key, guest in self._alive.items()}

    def _forget(self, key: Key) -> _Guest | None:
        guest = self._alive.pop(key, None)
        if guest is not None:
            guest.ended.set()
        return guest

    async def _live(self, guest: _Guest) -> None:
        if guest.way == "never-boots":
            guest.stage = "dead to the world"
            return
        spread = self._random.uniform(-1, 1) * self.behaviour.boot_spread
        await asyncio.sleep(self.behaviour.boot_s * (1 + spread))
        guest.say("booted")
        try:
            given = guest_script.assignments(guest.script)
        except ValueError as error:
            given = {}
            guest.say(f"the script can't be read: {error}")
        if "JIT_CONFIG" not in given:
            # Not one of the project's guests: it runs until someone stops it.
            guest.stage = "without orders"
            return
        await self._work(guest, given)
        if guest.way == "never-ends":
            guest.stage = "not ending"
            return
        guest.stage = "powering off"
        guest.say("power off")
        await asyncio.sleep(self.behaviour.poweroff_s)
        self._forget(guest.key)
        self._ended(guest.key)

    async def _work(self, guest: _Guest, given: Mapping[str, str]) -> None:
        try:
            _check_orders(guest)
            await self._signal(guest, given, "ready")
            code = await self._run_application(guest, given["JIT_CONFIG"], given)
        except _Failed as failure:
            guest.say(f"guest: failed: {failure}")
            status = await self._signal(guest, given, "failed", {"reason": str(failure)})
            if status == _NO_CONTENT and guest.first_start:
                guest.stage = "waiting to be removed"
                await asyncio.sleep(self.behaviour.linger_s)
        else:
            more = {"exit-code": str(code), "result": guest.result}
            await self._signal(guest, given, "finished", more)

    async def _run_application(
        self, guest: _Guest, jit_config: str, given: Mapping[str, str]
    ) -> int:
        """Do what the runner application does and return its exit code."""
        try:
            registration = guest_script.registration(jit_config)
        except ValueError:
            guest.say("the just-in-time configuration can't be read")
            return 1
        server = registration.server_url + "/_runner"
        token = "deleted" if guest.way == "registration-gone" else registration.token
        credentials = {"Authorization": f"Bearer {token}"}
        status, _ = await self._ask("POST", f"{server}/session", credentials, attempts=60)
        if status != _NO_CONTENT:
            guest.say(f"Failed to create a session: {status}")
            return 5 if status == _CONFLICT else 1
        guest.stage = "idle"
        guest.say("Listening for Jobs")
        while True:
            wait = f"{server}/job?wait={self.behaviour.poll_s}"
            status, text = await self._ask("GET", wait, credentials)
            if status == _OK:
                await self._run_job(guest, server, credentials, text, given)
                if registration.ephemeral:
                    return 0
            elif status == _UNAUTHORISED:
                guest.say("The runner registration has been deleted from the server.")
                return 1
            elif status != _NO_CONTENT:
                await asyncio.sleep(1)

    async def _run_job(
        self,
        guest: _Guest,
        server: str,
        credentials: Mapping[str, str],
        text: str,
        given: Mapping[str, str],
    ) -> None:
        job = guest_script.job(text)
        address = f"{server}/job/{job.fields['id']}"
        guest.stage = "busy"
        guest.say(f"Running job: {job.fields.get('job', '')}")
        status, _ = await self._ask("POST", f"{address}/started", credentials, attempts=5)
        if status != _NO_CONTENT:
            guest.say(f"the job's start was refused: {status}")
            return
        told = {key: job.fields.get(key, "") for key in _TOLD}
        await self._signal(guest, given, "job-started", told)
        if guest.way == "dies-in-job":
            await asyncio.sleep(job.seconds * self.behaviour.job_speed / 2)
            self._die(guest)
        await self._sleep_through(job.seconds * self.behaviour.job_speed, address, credentials)
        await self._signal(guest, given, "job-finished")
        result = "success" if job.succeeds else "failure"
        body = f"result={result}\nlog=run by a simulated guest\n"
        await self._ask("POST", f"{address}/completed", credentials, body=body, attempts=5)
        guest.stage = "finished"
        guest.result = "Succeeded" if job.succeeds else "Failed"
        guest.say(f"Job completed with result: {guest.result}")

    def _die(self, guest: _Guest) -> None:
        """End a guest from within: its coroutine goes no further."""
        guest.say("dies")
        self._forget(guest.key)
        self._ended(guest.key)
        raise asyncio.CancelledError

    async def _sleep_through(
        self, seconds: float, address: str, credentials: Mapping[str, str]
    ) -> None:
        while seconds > _RENEWAL_S:
            await asyncio.sleep(_RENEWAL_S)
            seconds -= _RENEWAL_S
            await self._ask("POST", f"{address}/renew", credentials)
        if seconds > 0:
            await asyncio.sleep(seconds)

    async def _signal(
        self,
        guest: _Guest,
        given: Mapping[str, str],
        signal: str,
        more: Mapping[str, str] | None = None,
    ) -> int:
        """Tell the host something and return its answer's status, 0 if there is none."""
        if guest.way == "never-signals":
            return 0
        lines = {"signal": signal, **(more or {})}
        body = "".join(f"{key}={value}\n" for key, value in lines.items() if value)
        if guest.way == "garbage-signals":
            body = "\x00 no signal at all \n" * 8
        last = signal in {"finished", "failed"}
        status, _ = await self._ask(
            "POST",
            given.get("SIGNAL_URL", ""),
            {"Authorization": f"Bearer {given.get('SIGNAL_TOKEN', '')}"},
            body=body,
            attempts=1 if last else _ATTEMPTS,
            limit_s=_LAST_SIGNAL_S if last else _SIGNAL_S,
        )
        guest.say(f"signal {signal}: {status or 'no answer'}")
        if signal == "ready":
            guest.stage = "ready"
        return status

    async def _ask(
        self,
        method: str,
        address: str,
        headers: Mapping[str, str],
        *,
        body: str | None = None,
        attempts: int = 1,
        limit_s: float | None = None,
    ) -> tuple[int, str]:
        """Make a call until it is answered; status 0 if it never is."""
        if self._web is None:
            raise RuntimeError("guests were started before open()")
        status, text = 0, ""
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(_PAUSE_S)
            try:
                async with self._web.request(
                    method,
                    address,
                    headers={**headers, "Content-Type": "text/plain"},
                    data=body,
                    timeout=aiohttp.ClientTimeout(total=limit_s),
                ) as answer:
                    status = answer.status
                    text = await answer.text() if status == _OK else ""
            except asyncio.TimeoutError:
                # As the real guest: a host that hangs must not hold up a job.
                return 0, ""
            except (aiohttp.ClientError, OSError, ValueError):
                continue
            if status < 500:  # noqa: PLR2004  an answer for good
                break
        return status, text


def _check_orders(guest: _Guest) -> None:
    if not guest.first_start:
        raise _Failed("the instance was started a second time")
    if guest.way == "fails":
        raise _Failed("the emulator was told to fail")


_TOLD = ("repository", "workflow", "run-id", "event", "job")
