"""How the fleet is, for people and for monitoring: a part of the control API."""

from dataclasses import asdict
from http import HTTPStatus

from flask import Flask, Response, jsonify

from supervisor.gateways import host_memory
from supervisor.parts import Parts
from supervisor.status.document import StatusAnswer
from supervisor.status.health import Health
from supervisor.status.report import current_status
from supervisor.supervision import System, tree


def serve_status(app: Flask, system: System, parts: Parts) -> None:
    """Say how the fleet is: all that is known, or a word with a code for who reads no JSON."""

    def status() -> StatusAnswer:
        memory = host_memory.read()
        report = current_status(tree(system), parts, system.clock)
        return {**report, "memory": asdict(memory) if memory else None}

    @app.get("/v1/status")
    def get_status() -> Response:
        return jsonify(status())

    @app.get("/v1/health")
    def get_health() -> tuple[Response, HTTPStatus]:
        found = status()
        answer = jsonify(state=found["health"], problems=found["problems"])
        is_failing = found["health"] == Health.FAILING
        return answer, HTTPStatus.SERVICE_UNAVAILABLE if is_failing else HTTPStatus.OK
