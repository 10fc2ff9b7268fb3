"""What operators order on the control socket: a part of the control API."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, jsonify, request
from loguru import logger
from pykka import ActorDeadError, Timeout

from supervisor.control.answers import refuse
from supervisor.gateways.drain_mark import DrainMark
from supervisor.lifecycle import DeletionOrdered, Stage
from supervisor.messages.firewall import CheckFirewall
from supervisor.messages.fleet import Drain, Reconcile, Resume
from supervisor.messages.image import BuildImage, BuildRefused
from supervisor.messages.runner import Happened
from supervisor.messages.upgrades import CheckUpgrades
from supervisor.observation import records
from supervisor.parts import Parts
from supervisor.runners import orders
from supervisor.runners.orders import Whom
from supervisor.runners.roster import Roster
from supervisor.supervision import System

_ANSWER_LIMIT_S = 4.0  # less than who orders waits

_CALLED = {"upgrades": "actor of upgrades", "image": "actor of the image"}
"""What people call an actor, where that is not its name."""


class _Away(Exception):
    """Nobody has taken an order, as its actor is being restarted."""


class _Late(Exception):
    """An order lies in its actor's mailbox, or is being carried out, and is not answered.

    Args:
        said: for the operator.
        subject: what was ordered, as those who watch are told; empty for what they are not.
    """

    def __init__(self, said: str, subject: str) -> None:
        super().__init__(said)
        self.subject = subject


class _Notes:
    """Passes on to those who watch what was ordered."""

    def __init__(self, system: System, parts: Parts) -> None:
        self._clock = system.clock
        self._feed = parts.feed

    def take(self, subject: str, reason: str = "", **details: object) -> None:
        """Tell that something was ordered, and has been accepted."""
        self._feed.tell(records.of_order(subject, self._clock.now(), reason, **details))

    def refuse(self, subject: str, reason: str) -> None:
        """Tell that something that was ordered is not done, or not by all."""
        self._feed.tell(records.of_refusal(subject, self._clock.now(), reason))


def serve_orders(app: Flask, system: System, parts: Parts) -> None:
    """Take orders; each is given to whom it concerns, and nobody here waits for its end."""
    notes = _Notes(system, parts)

    @app.post("/v1/reconcile")
    def reconcile() -> Any:
        order = Reconcile("ordered on the control socket")
        done_by = _ask(system, "fleet", order, "reconcile")
        notes.take("reconcile")
        return _accepted(done_by=done_by)

    @app.post("/v1/firewall")
    def check_firewall() -> Any:
        return _accepted(**asdict(_ask(system, "firewall", CheckFirewall(with_runners=True))))

    @app.post("/v1/upgrades")
    def check_upgrades() -> Any:
        order = CheckUpgrades(why="ordered on the control socket", ordered=True)
        ordered = _ask(system, "upgrades", order, "upgrade")
        notes.take("upgrade")
        return _accepted(**asdict(ordered))

    @app.post("/v1/image/build")
    def build_image() -> Any:
        order = BuildImage("ordered on the control socket")
        ordered = _ask(system, "image", order, "build")
        if isinstance(ordered, BuildRefused):
            return refuse(HTTPStatus.CONFLICT, ordered.reason)
        notes.take("build")
        return _accepted(**asdict(ordered))

    @app.errorhandler(_Away)
    def is_away(error: _Away) -> Any:
        return refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    @app.errorhandler(_Late)
    def is_late(error: _Late) -> Any:
        if error.subject:
            notes.take(error.subject)
        return refuse(HTTPStatus.GATEWAY_TIMEOUT, str(error))

    _serve_orders_to_runners(app, system, parts.roster, notes)
    _serve_drain(app, system, parts.drain, notes)


def _serve_orders_to_runners(app: Flask, system: System, roster: Roster, notes: _Notes) -> None:
    @app.post("/v1/flush")
    def flush() -> Any:
        try:
            whom = Whom(request.args.get("whom", Whom.IDLE))
        except ValueError:
            kinds = ", ".join(kind.value for kind in Whom)
            return refuse(HTTPStatus.BAD_REQUEST, f"whom: must be one of {kinds}")
        entries, force = roster.all(), whom is Whom.FORCE
        concerned, waited = orders.to_let_go(entries, whom), orders.to_wait_for(entries, whom)
        words = f"{whom.value}: {len(concerned)} of {len(waited)} runners at once"
        logger.info("flush ordered, {}", words)
        # First, as what the runners tell of it comes after.
        notes.take("flush", words, whom=whom.value, runners=concerned)
        missed = [
            name for name in concerned if not _let_go(system, name, "flushed by order", force=force)
        ]
        if missed:
            text = f"not told, as their actors are being restarted: {', '.join(missed)}"
            logger.info("flush: {}", text)
            notes.refuse("flush", text)
        # Nothing ends those that have not heard of it: who waited for them might wait for days.
        left = [name for name in waited if name not in missed]
        return jsonify(runners=left, missed=missed), HTTPStatus.ACCEPTED

    @app.delete("/v1/runners/<name>")
    def delete(name: str) -> Any:
        entry = roster.get(name)
        if entry is None:
            return refuse(
                HTTPStatus.NOT_FOUND, f"no runner is called {name}; see `supervisor-cli runners`"
            )
        force = "force" in request.args
        if entry.life.stage is Stage.BUSY and not force:
            return refuse(
                HTTPStatus.CONFLICT, f"{name} runs a job; --force deletes it and loses the job"
            )
        said = logger.bind(runner=name)
        said.info("deletion of {} ordered{}", name, ", by force" if force else "")
        notes.take("delete", f"{name}, by force" if force else name, runner=name, force=force)
        if not _let_go(system, name, "deleted by order", force=force):
            notes.refuse("delete", f"{name} is being restarted")
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"{name} is being restarted; try again")
        return jsonify(runners=[name]), HTTPStatus.ACCEPTED


def _serve_drain(app: Flask, system: System, mark: DrainMark, notes: _Notes) -> None:
    def give(order: Drain | Resume) -> Any:
        try:
            if isinstance(order, Drain):
                mark.set(system.clock.now())
            else:
                mark.clear()
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            text = f"the order can't be noted, so nothing is changed: {what}"
            return refuse(HTTPStatus.INTERNAL_SERVER_ERROR, text)
        subject = type(order).__name__.lower()
        logger.info("{} ordered", subject)
        notes.take(subject)
        # A fleet that is being restarted sees the mark for itself.
        system.directory.tell("fleet", order)
        return "", HTTPStatus.ACCEPTED

    app.post("/v1/drain", endpoint="drain")(lambda: give(Drain()))
    app.post("/v1/resume", endpoint="resume")(lambda: give(Resume()))


def _let_go(system: System, name: str, reason: str, *, force: bool) -> bool:
    order = DeletionOrdered(reason, force=force, stands=True)
    return system.directory.tell(name, Happened(order))


def _ask(system: System, name: str, order: object, subject: str = "") -> Any:
    """Give an actor an order and return its answer: when that is done.

    This is the process's edge: no actor waits.

    Args:
        system: the supervision system.
        name: the actor's.
        order: the message.
        subject: what it is called to those who watch.

    Raises:
        _Away: nobody has taken it.
        _Late: it is taken, and not answered yet.
    """
    ref, called = system.directory.ref(name), _CALLED.get(name, name)
    away = _Away(f"the {called} is being restarted; try again")
    if ref is None:
        raise away
    try:
        return ref.ask(order, timeout=_ANSWER_LIMIT_S)
    except ActorDeadError as error:
        raise away from error
    except Timeout as error:
        said = (
            f"ordered, and the {called} has not answered within {_ANSWER_LIMIT_S:g} s: it is done "
            f"when that comes to it, unless it is started anew before; `supervisor-cli tree` shows "
            f"what it is in, and its restarts"
        )
        raise _Late(said, subject) from error


def _accepted(**answer: object) -> tuple[Response, HTTPStatus]:
    return jsonify(answer), HTTPStatus.ACCEPTED
