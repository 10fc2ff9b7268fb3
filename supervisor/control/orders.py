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

_ANSWER_LIMIT_S = 5.0


class _Notes:
    """Passes on to those who watch what was ordered."""

    def __init__(self, system: System, parts: Parts) -> None:
        self._clock = system.clock
        self._feed = parts.feed

    def take(self, subject: str, reason: str = "", **details: object) -> None:
        """Tell that something was ordered, and has been accepted."""
        self._feed.tell(records.of_order(subject, self._clock.now(), reason, **details))


def serve_orders(app: Flask, system: System, parts: Parts) -> None:
    """Take orders; each is given to whom it concerns, and nobody here waits for its end."""
    notes = _Notes(system, parts)

    @app.post("/v1/reconcile")
    def reconcile() -> Any:
        done_by = _ask(system, "fleet", Reconcile("ordered on the control socket"))
        if done_by is None:
            return _being_restarted("fleet")
        notes.take("reconcile")
        return _accepted(done_by=done_by)

    @app.post("/v1/firewall")
    def check_firewall() -> Any:
        ordered = _ask(system, "firewall", CheckFirewall(with_runners=True))
        if ordered is None:
            return _being_restarted("firewall")
        return _accepted(**asdict(ordered))

    @app.post("/v1/upgrades")
    def check_upgrades() -> Any:
        order = CheckUpgrades(why="ordered on the control socket", ordered=True)
        ordered = _ask(system, "upgrades", order)
        if ordered is None:
            return _being_restarted("actor of upgrades")
        notes.take("upgrade")
        return _accepted(**asdict(ordered))

    @app.post("/v1/image/build")
    def build_image() -> Any:
        ordered = _ask(system, "image", BuildImage("ordered on the control socket"))
        if isinstance(ordered, BuildRefused):
            return refuse(HTTPStatus.CONFLICT, ordered.reason)
        if ordered is None:
            return _being_restarted("actor of the image")
        notes.take("build")
        return _accepted(**asdict(ordered))

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
        entries = roster.all()
        names = orders.to_let_go(entries, whom)
        waited = orders.to_wait_for(entries, whom)
        words = f"{whom.value}: {len(names)} of {len(waited)} runners at once"
        logger.info("flush ordered, {}", words)
        notes.take("flush", words, whom=whom.value, runners=names)
        for name in names:
            _let_go(system, name, "flushed by order", force=whom is Whom.FORCE)
        return jsonify(runners=waited), HTTPStatus.ACCEPTED

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
        if not _let_go(system, name, "deleted by order", force=force):
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"{name} is being restarted; try again")
        notes.take("delete", f"{name}, by force" if force else name, runner=name, force=force)
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


def _ask(system: System, name: str, order: object) -> Any:
    """Ask an actor when an order is done; None if it can't answer.

    This is the process's edge: no actor waits.
    """
    ref = system.directory.ref(name)
    try:
        return ref.ask(order, timeout=_ANSWER_LIMIT_S) if ref else None
    except (ActorDeadError, Timeout):
        return None


def _being_restarted(name: str) -> tuple[Response, HTTPStatus]:
    return refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"the {name} is being restarted; try again")


def _accepted(**answer: object) -> tuple[Response, HTTPStatus]:
    return jsonify(answer), HTTPStatus.ACCEPTED
