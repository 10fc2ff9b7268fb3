"""The policy service, which says whether a job may run: started, examined, and started anew."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from loguru import logger
from pykka import ActorDeadError

from supervisor import __version__, policy_work, unchecked
from supervisor.gateways.decision_log import Tally
from supervisor.gateways.policy_process import PolicyProcess, Seen
from supervisor.lifecycle import JobUnchecked
from supervisor.messages import AnnouncePolicy, ConfigChanged, Happened, PolicyChanged
from supervisor.parts import Parts
from supervisor.policy_work import Examined, NotServed, Served
from supervisor.supervision import Actor, System, Timer, handles
from supervisor.unchecked import Unchecked
from supervisor.waits import doubled
from supervisor.workers import WorkFailed

_LOOK_INTERVAL_S = 60.0
_EXAMINE_INTERVAL_S = 5.0
_AGAIN_S = 0.5
"""After a failure, doubled with each."""
_STARTING_AGAIN_S = 0.25
_START_LIMIT_S = 30.0
_ANSWER_LIMIT_S = 15.0
"""Longer than an examination takes whose every step hits its own limit."""
_MOST_MISSES = 3
_SOUND_S = 60.0
"""After so long without a failure, earlier ones are forgotten."""
_MOST_TOKENS, _LEAST_TOKENS = 20, 2
_OFF = (
    "policy.mode: off: every job runs, whoever wrote it: set builtin, unless all who can have jobs "
    "run here may have root on this network's guests"
)


class _Ensure:
    """It is time to see to it that the service runs with what is configured."""


class _Examine:
    """It is time to see whether the service does what it should."""


class _TokenTaken:
    """A guest has got a token that another service has issued."""


@dataclass(frozen=True)
class _Late:
    """An examination takes too long."""

    ticket: int


@dataclass(frozen=True)
class _Ended:
    """A process of the service has ended."""

    pid: int
    epitaph: str


class PolicyActor(Actor):
    """Tells the fleet whether jobs can be checked; while they can't, no runner is made.

    Two kinds of work are under way at most, one of each: one sees to it that the service runs with
    what is configured, the other examines it. The service itself outlives this actor, however that
    ends: it is the daemon that ends it.
    """

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._told = PolicyChanged(
            healthy=False, reason="the policy service has not been looked at yet"
        )
        self._healthy_at: datetime | None = None
        self._warnings: tuple[str, ...] = ()
        self._tally = Tally()
        self._unchecked = Unchecked()
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
        # What is under way.
        self._ensuring = False
        self._ensure_again = False
        self._examining = False
        self._ticket = 0
        self._next_look: Timer | None = None
        self._next_examination: Timer | None = None

    def on_start(self) -> None:
        """Start the service, or take over the one that there is."""
        self.publish("waiting", self._told.reason, healthy=False)
        self._parts.tokens.when_taken(self._teller(_TokenTaken()))
        self._look(_Ensure())

    @handles(AnnouncePolicy)
    def _announce(self, _message: AnnouncePolicy) -> None:
        self.system.directory.tell("fleet", self._told)

    @handles(ConfigChanged)
    def _config_changed(self, _message: ConfigChanged) -> None:
        self._look(_Ensure())

    @handles(_Ensure)
    def _look(self, _message: _Ensure) -> None:
        mode = self._parts.settings.config.policy.mode
        if mode == "builtin":
            self._ensure()
        elif mode == "external":
            self._examine(_Examine())
        else:
            self._warnings = (_OFF,)
            self._well("ready", "policy.mode: off: no job is checked", "")

    # The service runs with what is configured

    def _ensure(self) -> None:
        self._ensure_again = self._ensuring
        if self._ensuring:
            return  # for settings that may be older: it is looked at again after that
        self._ensuring = True
        parts, directory = self._parts, self.system.directory

        def ended(process: PolicyProcess) -> None:
            # To whoever looks after it then.
            directory.tell("policy", _Ended(process.pid, process.epitaph()))

        work = partial(
            policy_work.ensure,
            parts.lxd,
            parts.policy,
            parts.settings.config,
            self.system.clock.now(),
            ended,
        )
        parts.serving.submit(work, self.actor_ref)

    @handles(Served)
    def _is_served(self, served: Served) -> None:
        if self._served and self._has_answered:
            self._before = self._served
        self._served, self._warnings = served, ()
        self._ensuring = False
        if not self._parts.tokens.signs:
            # Such as after a start of the daemon: guests ask now, and show it to the service later.
            self._parts.tokens.sign_with(served.signer)
        if served.pid != self._pid:
            self._begin(served)
        left = served.next_change - self.system.clock.now()
        self._look_after(max(_AGAIN_S, min(_LOOK_INTERVAL_S, left.total_seconds())))
        process = self._parts.policy.process
        if process and process.pid == served.pid and not process.alive:
            # When that was told, it was nobody's yet.
            self._process_ended(_Ended(served.pid, process.epitaph()))
        else:
            self._examine(_Examine())
        self._continue()

    def _begin(self, served: Served) -> None:
        """Wait for the first answer of another process."""
        logger.info("the policy service is process {}, at {}", served.pid, served.base)
        self._pid, self._seen = served.pid, None
        self._has_answered, self._misses, self._ended_for = False, 0, ""
        self._started_s = self.system.clock.monotonic()
        self._ticket += 1  # what is being examined is the one before

    @handles(NotServed)
    def _is_not_served(self, failure: NotServed) -> None:
        self._ensuring = False
        process = self._parts.policy.process
        if process and process.alive and self._has_answered:
            if (failure.reason,) != self._warnings:
                logger.warning("the policy service stays as it was: {}", failure.reason)
            self._warnings = (failure.reason,)
            self._look_after(_EXAMINE_INTERVAL_S)
        else:
            self._ill(failure.reason)
            self._failed()
            self._look_after(doubled(_AGAIN_S, self._failures, _LOOK_INTERVAL_S))
        self._continue()

    def _continue(self) -> None:
        if self._ensure_again:
            self._ensure()

    @handles(_Ended)
    def _process_ended(self, message: _Ended) -> None:
        service = self._parts.policy
        if message.pid != self._pid:
            if self._told.healthy and not (self._has_answered or service.predecessor):
                # The one whose place is being taken.
                self._ill(message.epitaph)
            return
        reason = self._ended_for or message.epitaph
        if self._served and service.fall_back(message.pid):
            self._go_on_with_the_predecessor(self._served, reason)
        else:
            self._pid, self._has_answered = 0, False
            self._ill(reason)
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
        self._has_answered, self._misses, self._ended_for, self._seen = True, 0, "", None
        self._warnings = (reason,)
        self._ticket += 1
        self._examine(_Examine())

    def _failed(self) -> None:
        self._failures += 1
        self._failed_s = self.system.clock.monotonic()

    def _look_after(self, delay_s: float) -> None:
        if self._next_look:
            self._next_look.cancel()
        self._next_look = self.tell_after(delay_s, _Ensure())

    # It does what it should

    @handles(_Examine)
    def _examine(self, _message: _Examine) -> None:
        if self._examining:
            return
        work = self._examination()
        if work is None:
            return
        self._examining = True
        if self._next_examination:
            self._next_examination.cancel()
            self._next_examination = None
        self._parts.examining.submit(work, self.actor_ref)
        self.tell_after(_ANSWER_LIMIT_S, _Late(self._ticket))

    def _examination(self) -> Callable[[], Examined] | None:
        parts, config, now = self._parts, self._parts.settings.config, self.system.clock.now()
        self._ticket += 1
        if config.policy.mode == "external":
            wanted = self._wanted_tokens() - parts.tokens.stocked(now)
            return partial(policy_work.examine_external, config, self._ticket, wanted)
        if not (self._served and self._pid):
            return None
        return partial(
            policy_work.examine,
            parts.policy,
            config,
            self._served.base,
            self._ticket,
            parts.verdicts,
            now,
        )

    @handles(Examined)
    def _examined(self, found: Examined) -> None:
        self._examining = False
        if self._served is None:
            self._examined_elsewhere(found)
        elif found.ticket == self._ticket:
            self._examined_here(found, self._served)
        else:
            self._examine(_Examine())

    def _examined_here(self, found: Examined, served: Served) -> None:
        self._tally = found.tally
        self._end_unchecked()
        if found.stamp != served.stamp:
            self._look_after(0)
        if not self._pid:
            return  # it has ended meanwhile
        fault = found.fault or self._stall(found.seen)
        if fault:
            self._miss(fault)
            return
        self._seen, self._misses = found.seen, 0
        if not self._has_answered:
            self._has_answered = True
            self._parts.tokens.sign_with(served.signer)
            self._parts.policy.settle()
        if (
            self._failures
            and not self._warnings
            and self.system.clock.monotonic() - self._failed_s > _SOUND_S
        ):
            self._failures = 0
        if found.trouble:
            self._ill(f"the policy service can't check jobs: {found.trouble}", served.base)
        else:
            self._well("ready", f"it checks jobs at {served.base}", served.base)
        is_odd = found.seen and (found.seen.master_stopped or found.seen.stopped)
        self._examine_after(_AGAIN_S if is_odd else _EXAMINE_INTERVAL_S)

    def _end_unchecked(self) -> None:
        """End the runners whose jobs run though the service has not let them."""
        parts, now_s = self._parts, self.system.clock.monotonic()
        if parts.settings.config.policy.mode != unchecked.BUILTIN:
            return  # the log is another service's
        self._unchecked = unchecked.look(
            self._unchecked,
            parts.roster.all(),
            parts.verdicts.has_passed,
            parts.verdicts.complete_since,
            now_s,
        )
        for name in self._unchecked.overdue(now_s):
            self.system.directory.tell(name, Happened(JobUnchecked()))

    def _stall(self, seen: Seen | None) -> str:
        """Say that the master does nothing; end workers that don't. Twice seen is no chance."""
        before, self._seen = self._seen, seen
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
        is_starting = self.system.clock.monotonic() - self._started_s < _START_LIMIT_S
        if is_starting and not self._has_answered and self._misses < _MOST_MISSES:
            if not self._told.healthy:
                self._say("waiting", "the policy service is starting")
            self._examine_after(_STARTING_AGAIN_S)
            return
        self._misses += 1
        reason = f"the policy service does not answer as it should: {fault}"
        if not self._parts.policy.predecessor:
            self._ill(reason)
        process = self._parts.policy.process
        if self._misses >= _MOST_MISSES and process:
            logger.warning("the policy service hangs: ending it, process {}", process.pid)
            self._misses, self._ended_for = 0, reason
            process.kill()  # its end is told, and another is started
        self._examine_after(_AGAIN_S)

    @handles(_Late)
    def _late(self, message: _Late) -> None:
        if self._examining and message.ticket == self._ticket:
            self._ill("the policy service takes too long to answer")

    def _examine_after(self, delay_s: float) -> None:
        if self._next_examination:
            self._next_examination.cancel()
        self._next_examination = self.tell_after(delay_s, _Examine())

    # It is somewhere else

    def _examined_elsewhere(self, found: Examined) -> None:
        now = self.system.clock.now()
        self._parts.tokens.put(found.tokens, now)
        url = self._parts.settings.config.policy.url or ""
        fault = found.fault or found.trouble
        if fault:
            self._failed()
            self._ill(f"{url}: {fault}", url)
            self._examine_after(doubled(_AGAIN_S, self._failures, _LOOK_INTERVAL_S))
            return
        self._failures = 0
        self._well("ready", f"jobs are checked at {url}", url)
        self._examine_after(_EXAMINE_INTERVAL_S)

    @handles(_TokenTaken)
    def _token_taken(self, _message: _TokenTaken) -> None:
        if self._failures:
            return  # it is asked again when it is time
        stocked = self._parts.tokens.stocked(self.system.clock.now())
        if stocked <= self._wanted_tokens() // 2:
            self._examine(_Examine())

    def _wanted_tokens(self) -> int:
        """Say how many tokens to have in advance: as many as guests may want at once."""
        wanted = self._parts.settings.config.virtual_machines
        return min(_MOST_TOKENS, max(_LEAST_TOKENS, wanted))

    # What others are told

    def _well(self, state: str, reason: str, base: str) -> None:
        self._healthy_at = self._healthy_at or self.system.clock.now()
        self._tell(PolicyChanged(healthy=True, base=base))
        self._say(state, reason)

    def _ill(self, reason: str, base: str = "") -> None:
        change = PolicyChanged(healthy=False, reason=reason, base=base)
        if change != self._told:
            logger.warning("{}", reason)
        self._healthy_at = None
        self._tell(change)
        self._say("failing", reason)

    def _tell(self, change: PolicyChanged) -> None:
        if change != self._told:
            self._told = change
            self._announce(AnnouncePolicy())

    def _say(self, state: str, reason: str) -> None:
        mode = self._parts.settings.config.policy.mode
        self.publish(
            state,
            reason,
            mode=mode,
            healthy=self._told.healthy,
            healthy_since=self._healthy_at.isoformat() if self._healthy_at else None,
            version=__version__ if mode == "builtin" else None,
            workers=self._seen.workers if self._seen and self._pid else None,
            counts=self._tally.counts,
            counted_since=self._tally.since or None,
            decisions=self._parts.verdicts.last(),
            guests=self._parts.verdicts.guests,
            warnings=self._warnings,
        )

    def _teller(self, message: object) -> Callable[[], None]:
        ref = self.actor_ref

        def tell() -> None:
            with suppress(ActorDeadError):
                ref.tell(message)

        return tell

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error
