"""What the actors have in common that keep a web service up."""

from abc import abstractmethod
from functools import partial
from typing import Any, ClassVar

from flask import Flask
from loguru import logger

from supervisor.supervision import Actor, System, handles
from supervisor.web.server import ServerLost, WebServer


class Listen:
    """It is time to take the address."""


class ListeningActor(Actor):
    """Has a web service answer for as long as it lives itself, and lets go of the address after.

    A server whose loop ends by itself ends the actor: the next incarnation makes another.

    Attributes:
        again_s: after how long an address is tried again that could not be had.
    """

    again_s: ClassVar[float] = 2.0

    def __init__(self, system: System, *_args: Any) -> None:
        super().__init__(system)
        self._server: WebServer | None = None
        self._fault = ""

    def on_start(self) -> None:
        """Take the address."""
        self.listen()

    @abstractmethod
    def listen(self) -> None:
        """Take the address: find it, `serve` there, and publish how that went."""

    def serve(self, app: Flask, name: str, **options: Any) -> None:
        """Have an application answer.

        Args:
            app: what answers.
            name: of the service's thread.
            options: those of `WebServer`.

        Raises:
            OSError: the address can't be had.
        """
        lost = partial(self.actor_ref.tell, ServerLost())
        self._server = WebServer(app, name, lost=lost, **options)
        self._fault = ""

    def fail(self, reason: str, **details: Any) -> None:
        """Publish and log why nobody answers yet, and try again after `again_s`."""
        if reason != self._fault:
            logger.error("{}", reason)
        self._fault = reason
        self.publish("failing", reason, **details)
        self.tell_after(self.again_s, Listen())

    @handles(Listen)
    def _listen(self, _message: Listen) -> None:
        self.listen()

    @handles(ServerLost)
    def _server_lost(self, _message: ServerLost) -> None:
        raise RuntimeError("the server's loop has ended")

    def on_stop(self) -> None:
        """Let go of the address."""
        self._close()

    def on_failure(self, *_error: object) -> None:
        """Let go of the address, so that the next incarnation can have it."""
        self._close()

    def _close(self) -> None:
        if self._server:
            self._server.close()
        self._server = None
