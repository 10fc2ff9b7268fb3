"""The policy service, which says whether a job may run: here, elsewhere, or none."""

from collections.abc import Callable
from contextlib import suppress

from pykka import ActorDeadError

from supervisor.actors.policy_elsewhere import ServiceElsewhere
from supervisor.actors.policy_examination import Examinations, Examine, Late
from supervisor.actors.policy_health import PolicyHealth
from supervisor.actors.policy_here import Ended, Ensure, ServiceHere
from supervisor.actors.policy_package import PolicyPackage
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.policy import AnnouncePolicy
from supervisor.messages.upgrades import PolicyPackageChanged
from supervisor.parts import Parts
from supervisor.supervision import Actor, System, handles
from supervisor.work.policy import Examined, NotServed, Served
from supervisor.workers import WorkFailed

_OFF = (
    "policy.mode: off: every job runs, whoever wrote it: set builtin, unless all who can have jobs "
    "run here may have root on this network's guests"
)


class _TokenTaken:
    """A guest has got a token that another service has issued."""


class PolicyActor(Actor):
    """Tells the fleet whether jobs can be checked; while they can't, no runner is made.

    What sees to the service is a part of it: `policy.mode` can't change while the daemon runs.
    """

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._health = PolicyHealth(system, parts, self.publish)
        self._examinations = Examinations(parts.examining, self.actor_ref, self.tell_after)
        self._here: ServiceHere | None = None
        self._elsewhere: ServiceElsewhere | None = None
        self._package: PolicyPackage | None = None
        mode = parts.settings.config.policy.mode
        if mode in {"builtin", "package"}:
            self._package = PolicyPackage(system) if mode == "package" else None
            self._here = ServiceHere(
                system,
                parts,
                self.actor_ref,
                self.tell_after,
                self._examinations,
                self._health,
                self._package,
            )
        elif mode == "external":
            self._elsewhere = ServiceElsewhere(system, parts, self._examinations, self._health)
        self._service = self._here or self._elsewhere

    def on_start(self) -> None:
        """Start the service, or take over the one that there is."""
        self._health.say("waiting", self._health.told.reason)
        self._parts.tokens.when_taken(self._teller(_TokenTaken()))
        if self._package:
            self._package.ask()
        self._look()

    @handles(AnnouncePolicy)
    def _announce(self, _message: AnnouncePolicy) -> None:
        self._health.announce()

    @handles(ConfigChanged)
    def _config_changed(self, _message: ConfigChanged) -> None:
        self._look()

    @handles(Ensure)
    def _ensure(self, _message: Ensure) -> None:
        self._look()

    def _look(self) -> None:
        if self._service:
            self._service.ensure()
        else:
            self._health.warnings = (_OFF,)
            self._health.well("policy.mode: off: no job is checked")

    @handles(PolicyPackageChanged)
    def _package_changed(self, message: PolicyPackageChanged) -> None:
        if self._package:
            self._package.take(message)
            self._look()

    @handles(Examine)
    def _examine(self, _message: Examine) -> None:
        if self._service:
            self._service.examine()

    @handles(Examined)
    def _examined(self, found: Examined) -> None:
        if self._service:
            self._service.examined(found)

    @handles(Late)
    def _late(self, message: Late) -> None:
        if self._examinations.is_late(message):
            self._health.ill("the policy service takes too long to answer")

    @handles(Served, NotServed, Ended)
    def _news_of_process(self, news: Served | NotServed | Ended) -> None:
        if self._here:
            self._here.take(news)

    @handles(_TokenTaken)
    def _token_taken(self, _message: _TokenTaken) -> None:
        if self._elsewhere:
            self._elsewhere.token_taken()

    def _teller(self, message: object) -> Callable[[], None]:
        ref = self.actor_ref

        def tell() -> None:
            with suppress(ActorDeadError):
                ref.tell(message)

        return tell

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error
