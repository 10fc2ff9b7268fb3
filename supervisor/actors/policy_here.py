"""A policy service that this host runs: started, examined, and started anew."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pykka
from loguru import logger

from supervisor import __version__
from supervisor.actors.policy_examination import Examinations
from supervisor.actors.policy_health import PolicyHealth
from supervisor.actors.policy_package import PolicyPackage
from supervisor.gateways.policy_process import PolicyProcess, Seen
from supervisor.lifecycle import JobUnchecked
from supervisor.messages.runner import Happened
from supervisor.parts import Parts
from supervisor.policy import unchecked
from supervisor.policy.unchecked import Unchecked
from supervisor.supervision import System, Timer
from supervisor.throttling.waits import doubled
from supervisor.work import policy as policy_work
from supervisor.work.policy import Examined, NotServed, Served

_LOOK_INTERVAL_S = 60.0
_EXAMINE_INTERVAL_S = 5.0
_AGAIN_S = 0.5
"""After a failure, doubled with each."""
_STARTING_AGAIN_S = 0.25
_START_LIMIT_S = 30.0
_MOST_MISSES = 3
_SOUND_S = 60.0
"""After so long without a failure, earlier ones are forgotten."""


class Ensure:
    """It is time to see to it that the service runs with what is configured."""


@dataclass(frozen=True)
class Ended:
    """A process of the service has ended."""

    pid: int
    epitaph: str


class ServiceHere:
    """Has one process answer, the one that is right for what is configured.

    A part of the policy's actor, in its thread. Two kinds of work are under way at most, one of
    each: one sees to it that the service runs with what is configured, the other examines it. The
    service itself outlives the actor, however that ends: it is the daemon that ends it.

    Args:
        system: has the clock.
        parts: what the actors share.
        ref: the actor, which is told the outcomes of work and hands them on.
        tell_after: the actor's.
        examinations: of the service.
        health: what is told of it.
        package: what is run; None for the service built in.
    """

    def __init__(
        self,
        system: System,
        parts: Parts,
        ref: pykka.ActorRef[Any],
        tell_after: Callable[[float, object], Timer],
        examinations: Examinations,
        health: PolicyHealth,
        package: PolicyPackage | None = None,
    ) -> None:
        self._system = system
        self._parts = parts
        self._ref = ref
        self._tell_after = tell_after
        self._examinations = examinations
        self._health = health
        self._package = package
        # What is there.
        self._served: Served | None = None
        self._before: Served | None = None
        self._pid = 0
        self._has_answered = False
        self._started_s = 0.0
        self._failed_s = 0.0
        self._failures = 0
        self._misses = 0
        self._seen: Seen | None = None
        self._ended_for = ""
        self._unchecked = Unchecked()
        # What is under way.
        self._ensuring = False
        self._ensure_again = False
        self._next_look: Timer | None = None

    # It runs with what is configured

    def ensure(self) -> None:
        """Have it started, or started anew, if what there is is not what is configured."""
        self._ensure_again = self._ensuring
        if self._ensuring:
            return  # for settings that may be older: it is looked at again after that
        package = self._package
        self._health.version = package.version if package else __version__
        if package and not package.program:
            self._lack(package)
            return
        self._ensuring = True
        parts, directory = self._parts, self._system.directory

        def ended(process: PolicyProcess) -> None:
            # To whoever looks after it then.
            directory.tell("policy", Ended(process.pid, process.epitaph()))

        work = partial(
            policy_work.ensure,
            parts.lxd,
            parts.policy,
            parts.settings.config,
            self._system.clock.now(),
            ended,
            package.program if package else (),
        )
        parts.serving.submit(work, self._ref)

    def _lack(self, package: PolicyPackage) -> None:
        """Wait for a package; when there is one, that is told."""
        if package.is_known:
            self._not_served(NotServed(f"policy.package: {package.reason}"))
        else:
            self._health.say("waiting", package.reason)

    def take(self, news: Served | NotServed | Ended) -> None:
        """Take in what became of its process."""
        match news:
            case Served():
                self._serve(news)
            case NotServed():
                self._not_served(news)
            case Ended():
                self._ended(news)

    def _serve(self, served: Served) -> None:
        """Go on with a service that is there."""
        if self._served and self._has_answered:
            self._before = self._served
        self._served, self._health.warnings = served, ()
        self._ensuring = False
        if not self._parts.tokens.signs:
            # Such as after a start of the daemon: guests ask now, and show it to the service later.
            self._parts.tokens.sign_with(served.signer)
        if served.pid != self._pid:
            self._begin(served)
        left = served.next_change - self._system.clock.now()
        self._look_after(max(_AGAIN_S, min(_LOOK_INTERVAL_S, left.total_seconds())))
        process = self._parts.policy.process
        if process and process.pid == served.pid and not process.alive:
            # When that was told, it was nobody's yet.
            self._ended(Ended(served.pid, process.epitaph()))
        else:
            self.examine()
        self._continue()

    def _begin(self, served: Served) -> None:
        """Wait for the first answer of another process."""
        logger.info("the policy service is process {}, at {}", served.pid, served.base)
        self._pid = served.pid
        self._see(None)
        self._has_answered, self._misses, self._ended_for = False, 0, ""
        self._started_s = self._system.clock.monotonic()
        self._examinations.outdate()  # what is being examined is the one before

    def _not_served(self, failure: NotServed) -> None:
        """Go on without what could not be started."""
        self._ensuring = False
        process = self._parts.policy.process
        if process and process.alive and self._has_answered:
            if (failure.reason,) != self._health.warnings:
                logger.warning("the policy service stays as it was: {}", failure.reason)
            self._health.warnings = (failure.reason,)
            self._look_after(_EXAMINE_INTERVAL_S)
        else:
            self._health.ill(failure.reason, cause=failure.cause)
            self._failed()
            self._look_after(doubled(_AGAIN_S, self._failures, _LOOK_INTERVAL_S))
        self._continue()

    def _continue(self) -> None:
        if self._ensure_again:
            self.ensure()

    def _ended(self, message: Ended) -> None:
        """Have another started for one that has ended."""
        service = self._parts.policy
        if message.pid != self._pid:
            if self._health.told.healthy and not (self._has_answered or service.predecessor):
                # The one whose place is being taken.
                self._health.ill(message.epitaph)
            return
        reason = self._ended_for or message.epitaph
        if self._package:
            self._package.failed(reason)
        if self._served and service.fall_back(message.pid):
            self._go_on_with_the_predecessor(self._served, reason)
        else:
            self._pid, self._has_answered = 0, False
            self._see(None)
            self._health.ill(reason)
        # The first time at once.
        delay_s = doubled(_AGAIN_S, self._failures, _LOOK_INTERVAL_S)
        self._failed()
        self._look_after(delay_s)

    def _go_on_with_the_predecessor(self, failed: Served, reason: str) -> None:
        """Keep the process whose place another could not take."""
        logger.warning("the policy service stays as it was: {}", reason)
        process = self._parts.policy.process
        # For this credential another has been tried.
        self._served = replace(self._before or failed, stamp=failed.stamp)
        self._pid = process.pid if process else 0
        self._has_answered, self._misses, self._ended_for = True, 0, ""
        self._see(None)
        self._health.warnings = (reason,)
        self._examinations.outdate()
        self.examine()

    def _failed(self) -> None:
        self._failures += 1
        self._failed_s = self._system.clock.monotonic()

    def _look_after(self, delay_s: float) -> None:
        if self._next_look:
            self._next_look.cancel()
        self._next_look = self._tell_after(delay_s, Ensure())

    # It does what it should

    def examine(self) -> None:
        """Have it examined, if there is one, and nobody is at it."""
        if self._examinations.under_way or not (self._served and self._pid):
            return
        parts, base = self._parts, self._served.base
        work = partial(
            policy_work.examine,
            parts.policy,
            parts.settings.config,
            base,
            parts.verdicts,
            self._system.clock,
        )
        self._examinations.begin(work)

    def examined(self, found: Examined) -> None:
        """Take what was found."""
        self._examinations.under_way = False
        if found.ticket != self._examinations.ticket:
            self.examine()
        elif self._served:
            self._take(found, self._served)

    def _take(self, found: Examined, served: Served) -> None:
        self._health.tally = found.tally
        self._end_unchecked()
        if found.stamp != served.stamp:
            self._look_after(0)
        if not self._pid:
            return  # it has ended meanwhile
        fault = found.fault or self._stall(found.seen)
        if fault:
            self._miss(fault)
            return
        self._misses = 0
        self._see(found.seen)
        if not self._has_answered:
            self._has_answered = True
            self._parts.tokens.sign_with(served.signer)
            self._parts.policy.settle()
        if self._is_sound():
            self._failures = 0
        self._say(found.trouble, served.base)
        is_odd = found.seen and (found.seen.master_stopped or found.seen.stopped)
        self._examinations.after(_AGAIN_S if is_odd else _EXAMINE_INTERVAL_S)

    def _say(self, trouble: str, base: str) -> None:
        """Say how a service is that does as such a service does."""
        if trouble:
            self._health.ill(f"the policy service can't check jobs: {trouble}", base)
        else:
            self._health.well(f"it checks jobs at {base}", base)
        if self._package and trouble:
            self._package.troubled(trouble)
        elif self._package:
            self._package.well()

    def _end_unchecked(self) -> None:
        """End the runners whose jobs run though the service has not let them."""
        parts, now_s = self._parts, self._system.clock.monotonic()
        self._unchecked = unchecked.look(
            self._unchecked,
            parts.roster.all(),
            parts.verdicts.has_allowed,
            parts.verdicts.complete_since,
            now_s,
        )
        for name in self._unchecked.overdue(now_s):
            self._system.directory.tell(name, Happened(JobUnchecked()))

    def _is_sound(self) -> bool:
        since = self._system.clock.monotonic() - self._failed_s
        return not self._health.warnings and since > _SOUND_S

    def _stall(self, seen: Seen | None) -> str:
        """Say that the master does nothing; end workers that don't. Twice seen is no chance."""
        before = self._seen
        self._see(seen)
        process = self._parts.policy.process
        if not (before and seen and process):
            return ""
        for pid in before.stopped & seen.stopped:
            logger.warning("a worker of the policy service is stopped: ending it, process {}", pid)
            process.kill_worker(pid)
        if before.master_stopped and seen.master_stopped:
            self._misses = _MOST_MISSES
            return "its first process is stopped"
        return ""

    def _miss(self, fault: str) -> None:
        """Note that it does not do what it should: it may be starting, busy, or hang."""
        is_starting = self._system.clock.monotonic() - self._started_s < _START_LIMIT_S
        if is_starting and not self._has_answered and self._misses < _MOST_MISSES:
            if not self._health.told.healthy:
                self._health.say("waiting", "the policy service is starting")
            self._examinations.after(_STARTING_AGAIN_S)
            return
        self._misses += 1
        reason = f"the policy service does not answer as it should: {fault}"
        if not self._parts.policy.predecessor:
            self._health.ill(reason)
        process = self._parts.policy.process
        if self._misses >= _MOST_MISSES and process:
            logger.warning("the policy service hangs: ending it, process {}", process.pid)
            self._misses, self._ended_for = 0, reason
            process.kill()  # its end is told, and another is started
        self._examinations.after(_AGAIN_S)

    def _see(self, seen: Seen | None) -> None:
        self._seen = seen
        self._health.workers = seen.workers if seen else None
