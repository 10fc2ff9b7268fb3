"""The actor of upgrades between those that it asks and tells, over a disk in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from fake_actors import APPLICATION, FILENAME, Inbox
from fake_world import World
from under_way import Gate
from waiting import LIMIT_S, eventually

from supervisor.actors.upgrades import UpgradesActor
from supervisor.gateways.application_store import ApplicationStore
from supervisor.messages.tokens import ApplicationOffered, AskApplication
from supervisor.messages.upgrades import (
    AnnounceApplication,
    ApplicationChanged,
    CheckUpgrades,
    UpgradesOrdered,
)
from supervisor.supervision import ChildSpec, Strategy
from supervisor.upgrades.application import Application
from supervisor.web.proxies import Proxies
from supervisor.work import application as application_work
from supervisor.work.application import NotObtained, Obtained, Progress

NEWER = Application("https://github.example/newer", "1" * 64, FILENAME.replace("300", "301"))
NEWEST = Application("https://github.example/newest", "2" * 64, FILENAME.replace("300", "302"))
VERIFYING = "the one that is there is being verified"


class Disk:
    """What the worker finds and gets, in its place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.verified: Application | None = None
        self.failure = ""
        self.refused = False
        self.error: Exception | None = None
        self.obtained: list[Application] = []
        self.proxies: list[Proxies] = []
        self.pruned: list[frozenset[str]] = []
        self.gates: dict[str, Gate] = {}
        monkeypatch.setattr(application_work, "verify_current", self._verify)
        monkeypatch.setattr(application_work, "obtain", self._obtain)
        monkeypatch.setattr(application_work, "prune", self._prune)

    def hold(self, call: str) -> Gate:
        """Have calls hang until the returned event is set."""
        return self.gates.setdefault(call, Gate())

    def _enter(self, call: str) -> None:
        if gate := self.gates.get(call):
            assert gate.wait(LIMIT_S)

    def _verify(self, _store: ApplicationStore) -> Application | None:
        self._enter("verify")
        if self.error:
            error, self.error = self.error, None
            raise error
        return self.verified

    def _obtain(
        self, _store: ApplicationStore, offer: Application, proxies: Proxies, _progress: Progress
    ) -> Obtained | NotObtained:
        self.obtained.append(offer)
        self.proxies.append(proxies)
        self._enter("obtain")
        if self.failure:
            return NotObtained(offer, self.failure, self.refused)
        was_there = self.verified is not None and self.verified.sha256 == offer.sha256
        self.verified = offer
        return Obtained(offer, 1.0, was_there)

    def _prune(self, _store: ApplicationStore, in_use: frozenset[str]) -> tuple[str, ...]:
        self.pruned.append(in_use)
        return ()


class Play:
    """The actor, between `tokens`, and those that make runners."""

    def __init__(self, world: World, answer: object = None) -> None:
        self.world = world
        self.answer: object = answer or ApplicationOffered(APPLICATION)
        self.asked = 0
        self.fleet: list[Any] = []
        self.image: list[Any] = []
        system = world.system
        world.run(
            ChildSpec("tokens", partial(_Tokens.start, system, self)),
            ChildSpec("upgrades", partial(UpgradesActor.start, system, world.parts)),
            ChildSpec("image", partial(Inbox.start, system, self.image)),
            ChildSpec("fleet", partial(Inbox.start, system, self.fleet)),
            strategy=Strategy.ONE_FOR_ONE,
        )
        # Who comes after it asks at its own start.
        system.directory.tell("upgrades", AnnounceApplication())

    def tell(self, message: object) -> None:
        self.world.tell("upgrades", message)

    def taken(self, message: object) -> None:
        """Tell it, and wait until that was taken in."""
        self.tell(message)
        eventually(lambda: not self.world.waiting("upgrades"))

    def order(self) -> UpgradesOrdered:
        ref = self.world.system.directory.ref("upgrades")
        assert ref
        ordered: UpgradesOrdered = ref.ask(CheckUpgrades(), timeout=LIMIT_S)
        return ordered

    def told(self, change: ApplicationChanged) -> None:
        """Wait until this is the last that the fleet was told."""
        eventually(lambda: self.fleet[-1:] == [change])

    def has(self, application: Application) -> None:
        """Wait until it is told that this one is in use, and all is well."""
        self.told(ApplicationChanged(application))
        eventually(lambda: not self.looks_now())

    def shown(self) -> tuple[str, str]:
        """What is published of the application; on the host all is as it should be."""
        state, reason = self.world.shown("upgrades")
        return state, re.sub(r"; host: [^;]*UTC|; host: is being looked at", "", reason)

    def looks_now(self) -> bool:
        return self.standing()["progress"] != "" or self.subject().looks != self.asked

    def subject(self) -> Any:
        return self.world.details("upgrades")["subjects"][0]

    def standing(self) -> Mapping[str, Any]:
        return dict(vars(self.subject()))

    def look_ends(self, count: int) -> None:
        eventually(lambda: self.subject().looks == count)

    @property
    def warnings(self) -> tuple[str, ...]:
        found: tuple[str, ...] = self.world.details("upgrades")["warnings"]
        return found


class _Tokens(Inbox):
    """Answers what it is told to; nothing while that is empty."""

    def __init__(self, system: Any, play: Play) -> None:
        super().__init__(system, [])
        self._play = play

    def on_receive(self, message: Any) -> Any:
        assert isinstance(message, AskApplication)
        self._play.asked += 1
        if self._play.answer:
            self.system.directory.tell("upgrades", self._play.answer)
