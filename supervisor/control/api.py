"""The control API: what `supervisor-cli` and other tools on this machine ask, and order."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, jsonify, request
from pydantic_core import to_jsonable_python
from werkzeug.exceptions import HTTPException

from supervisor import __version__
from supervisor.control.answers import refuse
from supervisor.control.journal import serve_journal
from supervisor.control.log_level import serve_log_level
from supervisor.control.orders import serve_orders
from supervisor.control.status import serve_status
from supervisor.control.turns import take_turns
from supervisor.gateways.log_store import LogStore
from supervisor.parts import Parts
from supervisor.status.part_reports import (
    firewall_report,
    image_report,
    policy_report,
    upgrades_report,
)
from supervisor.status.report import log_report, runner_report, without_runners
from supervisor.supervision import Crash, System, offset, tree

THREADS = 8
"""So many questions and orders are answered at a time."""
_KEPT_FREE = 2


def make_app(system: System, parts: Parts, *, debug: bool) -> Flask:
    """Make the control API.

    Args:
        system: the supervision system.
        parts: what the actors share.
        debug: whether actors may be killed by order.
    """
    app = Flask("control", static_folder=None)
    app.register_error_handler(HTTPException, _in_words)
    take_turns(app, THREADS - _KEPT_FREE)

    @app.get("/v1/version")
    def version() -> Response:
        return jsonify(version=__version__)

    @app.get("/v1/tree")
    def get_tree() -> Response:
        root = tree(system)
        # There may be a thousand runners: who asks every second does without their actors.
        is_whole = request.args.get("runners") != "no"
        return jsonify(to_jsonable_python(root if is_whole else without_runners(root)))

    @app.get("/v1/runners")
    def get_runners() -> Response:
        since_then = offset(system.clock)
        return jsonify([runner_report(one, since_then) for one in parts.roster.all()])

    @app.get("/v1/firewall")
    def get_firewall() -> Response:
        return jsonify(to_jsonable_python(firewall_report(tree(system))))

    @app.get("/v1/policy")
    def get_policy() -> Response:
        return jsonify(to_jsonable_python(policy_report(tree(system))))

    @app.get("/v1/upgrades")
    def get_upgrades() -> Response:
        config, since = parts.settings.config, parts.drain.since
        report = upgrades_report(tree(system), parts.roster.all(), config, since)
        return jsonify(to_jsonable_python(report))

    @app.get("/v1/image")
    def get_image() -> Response:
        return jsonify(to_jsonable_python(image_report(tree(system))))

    serve_status(app, system, parts)
    serve_journal(app, parts.journal)
    serve_orders(app, system, parts)
    serve_log_level(app)
    _serve_logs(app, parts.logs, "/v1/logs", "supervisor-cli logs")
    _serve_logs(app, parts.build_logs, "/v1/image/logs", "supervisor-cli image logs")
    if debug:
        app.post("/v1/debug/crash/<name>")(_crash(system))
    return app


def _serve_logs(app: Flask, store: LogStore, path: str, command: str) -> None:
    """Serve the logs of a store.

    Args:
        app: gets the routes.
        store: whose.
        path: where they are.
        command: lists them.
    """

    @app.get(path, endpoint=path)
    def list_logs() -> Any:
        try:
            kept = store.listing()
        except OSError as error:
            return refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"can't list the logs: {error}")
        return jsonify([log_report(one) for one in kept])

    @app.get(f"{path}/<name>", endpoint=f"{path}/name")
    def get_logs(name: str) -> Any:
        try:
            kept = store.read(name)
        except OSError as error:
            return refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"can't read the logs: {error}")
        if kept is None:
            return refuse(HTTPStatus.NOT_FOUND, f"no logs of {name} are kept; see `{command}`")
        return jsonify({**log_report(kept), "text": kept.text})


def _crash(system: System) -> Callable[[str], Any]:
    def crash(name: str) -> Any:
        if not system.directory.tell(name, Crash("ordered on the control socket")):
            return refuse(HTTPStatus.NOT_FOUND, f"no actor is called {name}")
        return "", HTTPStatus.ACCEPTED

    return crash


def _in_words(error: HTTPException) -> Any:
    """Answer in JSON what Flask would answer in HTML, such as for an address that is none."""
    what = f"the daemon refuses {request.method} {request.path}: {error.name.lower()}"
    return jsonify(error=what), error.code or HTTPStatus.INTERNAL_SERVER_ERROR
