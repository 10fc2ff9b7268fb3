"""What the journal answers on the control socket: a part of the control API."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Flask, jsonify, request

from supervisor.control.answers import refuse
from supervisor.gateways import journal_reader
from supervisor.gateways.journal_schema import JournalCorrupt, JournalError
from supervisor.journal import EventsQuestion, HistoryQuestion
from supervisor.recording.inbox import JournalInbox


def serve_journal(app: Flask, inbox: JournalInbox) -> None:
    """Answer from the journal's file, whether anybody writes it just now or not."""

    @app.get("/v1/events")
    def get_events() -> Any:
        return _answer(inbox, _events)

    @app.get("/v1/history")
    def get_history() -> Any:
        return _answer(inbox, _history)


def _events(inbox: JournalInbox) -> dict[str, Any]:
    question = EventsQuestion.parse(request.args)
    found = journal_reader.events(inbox.path, question)
    return {
        "events": [event.as_json() for event in found.events],
        "last": found.last,
        "more": found.more,
        "lost": inbox.lost,
    }


def _history(inbox: JournalInbox) -> dict[str, Any]:
    return journal_reader.history(inbox.path, HistoryQuestion.parse(request.args)).as_json()


def _answer(inbox: JournalInbox, answer: Callable[[JournalInbox], dict[str, Any]]) -> Any:
    inbox.catch_up()
    try:
        return jsonify(answer(inbox))
    except ValueError as error:
        return refuse(HTTPStatus.BAD_REQUEST, str(error))
    except JournalError as error:
        if isinstance(error, JournalCorrupt):
            inbox.suspect.set()  # whoever writes it looks, and begins a new one
        return refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"the journal can't be read: {error}")
