"""The log's level on the control socket."""

from http import HTTPStatus
from typing import Any

from flask import Flask, Response, jsonify, request

from supervisor.config_basics import LOG_LEVELS
from supervisor.control.answers import refuse
from supervisor.observation import log


def serve_log_level(app: Flask) -> None:
    """Tell the log's level, and change it until the configured one changes."""

    @app.get("/v1/log-level")
    def get_log_level() -> Response:
        return jsonify(level=log.current_level())

    @app.put("/v1/log-level")
    def set_log_level() -> Any:
        body = request.get_json(silent=True)
        level = body.get("level") if isinstance(body, dict) else None
        if level not in LOG_LEVELS:
            return refuse(HTTPStatus.BAD_REQUEST, f"level: must be one of {', '.join(LOG_LEVELS)}")
        log.set_level(level)
        return jsonify(level=level)
