"""A GitHub of dictionaries, and an actor that asks it, in the place of the one for tokens."""

from __future__ import annotations

from supervisor import lifecycle
from supervisor.messages.runner import Happened
from supervisor.messages.tokens import (
    AnnounceGitHub,
    DeleteRegistration,
    ForgetAhead,
    GitHubChanged,
    InquireJob,
    JitConfigFailed,
    JitConfigMade,
    ListRegistrations,
    RegisterAhead,
    RegistrationsListed,
    RequestJitConfig,
)
from supervisor.planning import Registration
from supervisor.supervision import Actor, System, handles

PLACE = "https://github.com/acme"


class FakeGitHub:
    """What GitHub holds, and how it behaves."""

    def __init__(self) -> None:
        self.registered: dict[int, Registration] = {}
        self.asked: list[str] = []
        self.deleted: list[str] = []
        self.deleted_at: list[str] = []
        self.places = frozenset({PLACE})
        self.ahead: list[str] = []
        self.busy: set[str] = set()
        self.refuses = ""
        self.down = ""
        self.keeps = ""
        self.silent = False
        self.tickets: list[int] = []
        self.inquiries: list[InquireJob] = []

    @property
    def listings(self) -> int:
        """How often the list was asked for."""
        return len(self.tickets)

    def add(
        self, name: str, place: str = PLACE, *, online: bool = False, busy: bool = False
    ) -> int:
        number = len(self.asked) + len(self.registered) + 1000
        self.registered[number] = Registration(number, name, online, busy, place=place)
        return number


class FakeTokens(Actor):
    """Answers for GitHub from a dictionary; what it is told is kept."""

    def __init__(self, system: System, github: FakeGitHub) -> None:
        super().__init__(system)
        self._github = github

    @handles(RequestJitConfig)
    def _register(self, message: RequestJitConfig) -> None:
        github = self._github
        github.asked.append(message.name)
        if github.silent:
            return
        answer: JitConfigMade | JitConfigFailed
        if github.refuses:
            answer = JitConfigFailed(github.refuses)
            closed = GitHubChanged(open=False, proven=False, reason=github.refuses)
            self.system.directory.tell("fleet", closed)
        else:
            answer = JitConfigMade(
                github.add(message.name, message.place), "c2VjcmV0", message.place
            )
        self.system.directory.tell(message.name, answer)

    @handles(AnnounceGitHub)
    def _announce(self, _message: AnnounceGitHub) -> None:
        self.system.directory.tell("fleet", GitHubChanged(open=True))

    @handles(RegisterAhead)
    def _register_ahead(self, message: RegisterAhead) -> None:
        self._github.ahead.append(message.name)

    @handles(ForgetAhead)
    def _forget_ahead(self, _message: ForgetAhead) -> None:
        self._github.ahead.clear()

    @handles(DeleteRegistration)
    def _delete(self, message: DeleteRegistration) -> None:
        github = self._github
        github.deleted.append(message.name)
        github.deleted_at.append(message.place)
        event: lifecycle.Event
        if message.name in github.busy:
            event = lifecycle.UnregistrationRefused(busy=True)
        elif github.keeps:
            event = lifecycle.UnregistrationRefused(busy=False, reason=github.keeps)
        else:
            github.registered.pop(message.runner_id, None)
            event = lifecycle.Unregistered()
        self.system.directory.tell(message.name, Happened(event))

    @handles(InquireJob)
    def _inquire(self, message: InquireJob) -> None:
        self._github.inquiries.append(message)

    @handles(ListRegistrations)
    def _list(self, message: ListRegistrations) -> None:
        github = self._github
        github.tickets.append(message.ticket)
        if not github.silent:
            listed = () if github.down else tuple(github.registered.values())
            places = frozenset() if github.down else github.places
            answer = RegistrationsListed(message.ticket, listed, github.down, places)
            self.system.directory.tell("fleet", answer)
