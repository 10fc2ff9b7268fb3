"""How the control API says that it does not do what is asked."""

from http import HTTPStatus

from flask import Response, jsonify


def refuse(status: HTTPStatus, error: str) -> tuple[Response, HTTPStatus]:
    """Answer with a sentence for the operator."""
    return jsonify(error=error), status
