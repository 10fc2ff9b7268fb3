"""What the image's actor has a worker do: a part of that actor, in its thread."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pykka

from supervisor.images.choice import Wish
from supervisor.images.needs import Needs
from supervisor.lifecycle import Stage
from supervisor.parts import Parts
from supervisor.runners.blueprints import image_settings_of, network_of
from supervisor.runners.visitors import Trial
from supervisor.upgrades.application import Application
from supervisor.work import image_upkeep
from supervisor.work.image import ImageWork
from supervisor.work.image_upkeep import Build, BuildLogs
from supervisor.workers import Work

_BEING_MADE = frozenset({Stage.REQUESTED, Stage.CREATING})
_UNREAD = timedelta(minutes=1)
"""For so long the fleet may not have read yet that runners start from another image."""


@dataclass(frozen=True)
class Step:
    """The worker's message: what a build is at."""

    text: str


class Errands:
    """Makes each piece of work for the configuration and what a build needs at that moment.

    Args:
        parts: what the actors share.
        ref: the actor, which is told the outcomes.
    """

    def __init__(self, parts: Parts, ref: pykka.ActorRef[Any]) -> None:
        self._parts = parts
        self._ref = ref
        self._former: dict[str, datetime] = {}

    def note_former(self, fingerprint: str, now: datetime) -> None:
        """Note that runners start from another image now."""
        self._former[fingerprint] = now

    def tend(self, needs: Needs, current: str, now: datetime) -> Work:
        """Have what is not needed removed."""
        spared = frozenset({current, *self._may_be_in_use(now)}) - {""}
        return partial(image_upkeep.tidy, self._work(needs), spared)

    def see(self, needs: Needs) -> Work:
        """Have it seen which images there are."""
        alias = self._parts.settings.config.lxd.image or ""
        return partial(image_upkeep.see, self._work(needs), alias)

    def look(self, needs: Needs, current: str) -> Work | None:
        """Have it found out what is wanted; None if that is not known before something comes."""
        application = needs.application.application
        if application is None:
            return None
        return partial(self._work(needs).look, application, current=current)

    def build(self, needs: Needs, wish: Wish, now: datetime) -> Work | None:
        """Have an image built; None if that can't be before something comes."""
        config, application = self._parts.settings.config, needs.application.application
        if application is None or needs.lacking(config):
            return None
        wanted = Build(
            application,
            self._parts.applications,
            self._trial(needs, application),
            wish,
        )
        logs = BuildLogs(self._parts.build_logs, config.logs)
        told = _teller(self._ref)
        return partial(image_upkeep.build, self._work(needs), wanted, logs, now, told)

    def _work(self, needs: Needs) -> ImageWork:
        config, filters_ipv6 = self._parts.settings.config, needs.firewall.filters_ipv6
        settings = image_settings_of(config, ipv6_filtering=filters_ipv6 is not False)
        return ImageWork(self._parts.lxd, settings)

    def _trial(self, needs: Needs, application: Application) -> Trial:
        config = self._parts.settings.config
        network = network_of(config)
        return Trial(self._parts.visitors, config, needs.signals, application, network)

    def _may_be_in_use(self, now: datetime) -> frozenset[str]:
        """Name former images of which instances may be ordered that LXD does not show yet."""
        stages = {entry.life.stage for entry in self._parts.roster.all()}
        limits = self._parts.settings.config.limits
        longest = _UNREAD
        if stages & _BEING_MADE:
            longest = max(longest, limits.requested + limits.creating)
        self._former = {
            fingerprint: since
            for fingerprint, since in self._former.items()
            if now - since < longest
        }
        return frozenset(self._former)


def _teller(ref: pykka.ActorRef[Any]) -> Callable[[str], None]:
    """Make what tells an incarnation of a build's steps, in the worker's thread."""

    def tell(step: str) -> None:
        with suppress(pykka.ActorDeadError):
            ref.tell(Step(step))

    return tell
