"""Keeps some of the control socket's threads for those who ask how the fleet is."""

import threading
from http import HTTPStatus
from typing import Any

from flask import Flask, g, request

from supervisor.control.answers import refuse

_FROM_THE_DISK = ("/v1/events", "/v1/history", "/v1/logs", "/v1/image/logs")


def take_turns(app: Flask, most: int) -> None:
    """Refuse what may take long while so much of that is under way that others would wait.

    An order waits for the answer of an actor, and a disk may hang; how the fleet is can be said
    without either, and is asked most when these hang.

    Args:
        app: whose requests.
        most: how many of those that may take long are answered at a time.
    """
    turns = threading.BoundedSemaphore(most)

    @app.before_request
    def take() -> Any:
        if not _may_take_long():
            return None
        if not turns.acquire(blocking=False):
            why = f"{most} orders and questions wait for an answer already; try again"
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, why)
        g.has_turn = True
        return None

    @app.teardown_request
    def give_back(_error: BaseException | None) -> None:
        if g.pop("has_turn", False):
            turns.release()


def _may_take_long() -> bool:
    return request.method != "GET" or request.path.startswith(_FROM_THE_DISK)
