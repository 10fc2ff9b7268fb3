"""A policy service that somebody else runs: examined, and asked for tokens in advance."""

from functools import partial

from supervisor.actors.policy_examination import Examinations
from supervisor.actors.policy_health import PolicyHealth
from supervisor.parts import Parts
from supervisor.supervision import System
from supervisor.throttling.waits import doubled
from supervisor.work import policy as policy_work
from supervisor.work.policy import Examined

_INTERVAL_S = 5.0
_AGAIN_S = 0.5
_MOST_AGAIN_S = 60.0
_MOST_TOKENS, _LEAST_TOKENS = 20, 2


class ServiceElsewhere:
    """Sees to it that guests get tokens which that service has issued.

    A part of the policy's actor, in its thread.

    Args:
        system: has the clock.
        parts: what the actors share.
        examinations: of the service.
        health: what is told of it.
    """

    def __init__(
        self, system: System, parts: Parts, examinations: Examinations, health: PolicyHealth
    ) -> None:
        self._clock = system.clock
        self._parts = parts
        self._examinations = examinations
        self._health = health
        self._failures = 0

    def ensure(self) -> None:
        """See whether it is well with what is configured: others see to it."""
        self.examine()

    def examine(self) -> None:
        """Have it examined, and the tokens filled up."""
        if self._examinations.under_way:
            return
        config = self._parts.settings.config
        wanted = self._wanted_tokens() - self._stocked()
        self._examinations.begin(partial(policy_work.examine_external, config, wanted))

    def examined(self, found: Examined) -> None:
        """Take what was found."""
        self._examinations.under_way = False
        self._parts.tokens.put(found.tokens, self._clock.now())
        url = self._parts.settings.config.policy.url or ""
        fault = found.fault or found.trouble
        if fault:
            self._failures += 1
            self._health.ill(f"{url}: {fault}", url)
            self._examinations.after(doubled(_AGAIN_S, self._failures, _MOST_AGAIN_S))
            return
        self._failures = 0
        self._health.well(f"jobs are checked at {url}", url)
        self._examinations.after(_INTERVAL_S)

    def token_taken(self) -> None:
        """Have more tokens issued, if half of them are gone."""
        if self._failures:
            return  # it is asked again when it is time
        if self._stocked() <= self._wanted_tokens() // 2:
            self.examine()

    def _stocked(self) -> int:
        return self._parts.tokens.stocked(self._clock.now())

    def _wanted_tokens(self) -> int:
        """Say how many tokens to have in advance: as many as guests may want at once."""
        wanted = self._parts.settings.config.virtual_machines
        return min(_MOST_TOKENS, max(_LEAST_TOKENS, wanted))
