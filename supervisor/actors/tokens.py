"""The one actor that talks to GitHub, through one client, in its own thread."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from loguru import logger

from supervisor import lifecycle
from supervisor.blueprints import architecture
from supervisor.config import ConfigError
from supervisor.gateways.github import GitHub, GitHubError, NameTaken, RunnerBusy
from supervisor.messages import (
    Application,
    ConfigChanged,
    DeleteRegistration,
    ForgetAhead,
    Happened,
    JitConfigFailed,
    JitConfigMade,
    ListRegistrations,
    RegisterAhead,
    RegistrationsListed,
    RequestJitConfig,
)
from supervisor.parts import Parts
from supervisor.supervision import Actor, System, handles

_APPLICATION_FRESH_S = 3600.0

T = TypeVar("T")


class TokensActor(Actor):
    """Registers runners, deletes registrations, lists them.

    Its calls block it, each for a limited time: nobody waits for it but by message, and that there
    is one thread for one client is what keeps answers from going astray.
    """

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._client: GitHub | None = None
        self._application: Application | None = None
        self._application_until = 0.0
        self._ahead: dict[str, JitConfigMade] = {}

    def on_start(self) -> None:
        """Say that nothing has been asked yet."""
        self.publish("waiting", "GitHub has not been asked anything yet")

    def on_stop(self) -> None:
        """Close the connections."""
        self._forget_client()

    @handles(ConfigChanged)
    def _config_changed(self, _message: ConfigChanged) -> None:
        self._forget_client()

    @handles(RequestJitConfig)
    def _register(self, message: RequestJitConfig) -> None:
        answer: JitConfigMade | JitConfigFailed | None = self._ahead.pop(message.name, None)
        try:
            answer = answer or self._new_registration(message)
        except GitHubError as error:
            answer = JitConfigFailed(str(error))
        told = self.system.directory.tell(message.name, answer)
        if not told and isinstance(answer, JitConfigMade):
            logger.info("{} did not wait for its registration: deleting it", message.name)
            self._delete(DeleteRegistration(answer.runner_id, message.name))

    @handles(RegisterAhead)
    def _register_ahead(self, message: RegisterAhead) -> None:
        # What fails here is tried again when it is asked for.
        with suppress(GitHubError):
            self._ahead[message.name] = self._new_registration(message)

    @handles(ForgetAhead)
    def _forget_ahead(self, _message: ForgetAhead) -> None:
        for name, made in tuple(self._ahead.items()):
            self._delete(DeleteRegistration(made.runner_id, name))

    @handles(DeleteRegistration)
    def _delete(self, message: DeleteRegistration) -> None:
        self._ahead.pop(message.name, None)
        event: lifecycle.Event
        try:
            self._ask(lambda github: github.delete(message.runner_id, message.name))
            event = lifecycle.Unregistered()
        except RunnerBusy as error:
            event = lifecycle.UnregistrationRefused(busy=True, reason=str(error))
        except GitHubError as error:
            # The reconcile finds what is left behind, and asks again.
            event = lifecycle.UnregistrationRefused(busy=False, reason=str(error))
        self.system.directory.tell(message.name, Happened(event))

    @handles(ListRegistrations)
    def _list(self, message: ListRegistrations) -> None:
        try:
            listed = RegistrationsListed(message.ticket, self._ask(GitHub.registrations))
        except GitHubError as error:
            listed = RegistrationsListed(message.ticket, error=str(error))
        self.system.directory.tell("fleet", listed)

    def _new_registration(self, order: RequestJitConfig | RegisterAhead) -> JitConfigMade:
        def register(github: GitHub) -> JitConfigMade:
            # The application first: a registration without one to run would be an orphan.
            application = self._current_application(github)
            runner_id, encoded = github.register(order.name, order.labels, int(order.group))
            return JitConfigMade(runner_id, encoded, application)

        return self._ask(register)

    def _ask(self, question: Callable[[GitHub], T]) -> T:
        """Put a question to GitHub, and show how that went."""
        config = self._parts.settings.config
        try:
            if self._client is None:
                token = config.github_token()
                self._client = GitHub(config.github_url, config.path, token)
            answer = question(self._client)
        except (RunnerBusy, NameTaken):
            self.publish("ready", f"GitHub answers for {config.path}")
            raise
        except (GitHubError, ConfigError) as error:
            self._forget_client()  # the next one reads the token anew
            logger.warning("{}", error)
            self.publish("failing", str(error))
            raise GitHubError(str(error)) from error
        self.publish("ready", f"GitHub answers for {config.path}")
        return answer

    def _current_application(self, github: GitHub) -> Application:
        now = self.system.clock.monotonic()
        if self._application is None or now >= self._application_until:
            self._application = github.application(architecture())
            self._application_until = now + _APPLICATION_FRESH_S
        return self._application

    def _forget_client(self) -> None:
        if self._client:
            self._client.close()
        self._client = None
        self._application = None
