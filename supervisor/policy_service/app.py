"""The web service: the same requests and answers as canonical/repo-policy-compliance.

https://github.com/canonical/repo-policy-compliance
"""

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, abort, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from supervisor.policy import document
from supervisor.policy.tokens import ANYWHERE, issue
from supervisor.policy_service.callers import Callers
from supervisor.policy_service.checks import Passed
from supervisor.policy_service.health import Health
from supervisor.policy_service.judge import Judge, Refused
from supervisor.policy_service.questions import BranchQuestion, PullRequestQuestion, Question
from supervisor.policy_service.settings import Settings
from supervisor.policy_service.state import State

_FORMS: dict[str, tuple[str, type[Question]]] = {
    "pull_request": ("pull_request", PullRequestQuestion),
    "push": ("push", BranchQuestion),
    "default": ("push", BranchQuestion),
    "schedule": ("schedule", BranchQuestion),
    "workflow_dispatch": ("workflow_dispatch", BranchQuestion),
}
"""By the event in a request's path: the policy document's event, and what is asked."""

_LONGEST_BODY = 64 << 10
_LIFETIME = timedelta(days=1)
_UNKNOWN_RUNNER = "-"
_ALWAYS_FAILS = "Endpoint designed for testing that always fails"
_log = logging.getLogger(__name__)


def make_app(settings: Settings, state: State, judge: Judge) -> Flask:
    """Make the web service.

    Args:
        settings: tokens and secrets.
        state: what all workers share.
        judge: decides.
    """
    app = Flask("policy", static_folder=None)
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = _LONGEST_BODY
    app.register_error_handler(Exception, _failed)
    answers = _Answers(settings, state, judge)

    def add(method: str, path: str, answer: Callable[[], Response]) -> None:
        app.add_url_rule(path, path, answer, methods=[method], provide_automatic_options=False)

    add("GET", "/health", answers.health)
    add("GET", "/auth-health", answers.auth_health)
    add("GET", "/one-time-token", answers.one_time_token)
    add("POST", "/policy", answers.set_policy)
    add("POST", "/always-fail/check-run", answers.always_fail)
    add("POST", "/check-run", partial(answers.check_run, "pull_request"))
    for event in _FORMS:
        add("POST", f"/{event}/check-run", partial(answers.check_run, event))
    return app


class _Answers:
    """What is answered to each request. For any thread."""

    def __init__(self, settings: Settings, state: State, judge: Judge) -> None:
        self._secret = settings.token_secrets[0]
        self._state = state
        self._judge = judge
        self._callers = Callers(settings, state)
        self._health = Health(judge)

    def health(self) -> Response:
        """Say whether jobs can be judged."""
        reason = self._health.trouble()
        return _error(reason) if reason else _no_content()

    def auth_health(self) -> Response:
        """Say whether a token is good, which uses it up."""
        self._callers.require_runner()
        return _no_content()

    def one_time_token(self) -> Response:
        """Issue a token."""
        self._callers.require_charm()
        now = datetime.now(timezone.utc)
        token = issue(self._secret, _UNKNOWN_RUNNER, ANYWHERE, now, _LIFETIME)
        return Response(token, mimetype="text/html")

    def set_policy(self) -> Response:
        """Take another policy document."""
        self._callers.require_charm()
        policy = _json()
        try:
            document.parse(policy)
        except document.DocumentError as error:
            return Response(f"invalid policy document, exc={error}", HTTPStatus.BAD_REQUEST)
        self._state.set_policy(policy)
        return _no_content()

    def always_fail(self) -> Response:
        """Refuse."""
        runner = self._callers.require_runner().runner
        refused = Refused(HTTPStatus.FORBIDDEN, _ALWAYS_FAILS)
        self._judge.refuse(runner, "always-fail", refused)
        return Response(refused.reason, refused.status)

    def check_run(self, event: str) -> Response:
        """Say whether a job may run: 204 if it may."""
        runner = self._callers.require_runner().runner
        kind, form = _FORMS[event]
        try:
            question = form.model_validate(_json())
        except (ValidationError, HTTPException) as error:
            reason = f"the body of the request can't be used: {type(error).__name__}"
            self._judge.refuse(runner, event, Refused(HTTPStatus.BAD_REQUEST, reason))
            if isinstance(error, ValidationError):
                return _invalid(error)
            raise
        answer = self._judge.judge(runner, kind, event, question)
        if isinstance(answer, Passed):
            return _no_content()
        return Response(answer.reason, answer.status)


def _failed(error: Exception) -> Response:
    """Answer what nobody else has: by an error in any case."""
    if isinstance(error, HTTPException):
        response = error.get_response()
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            return Response(response.get_data(), response.status_code, dict(response.headers))
    _log.error("a request has failed", exc_info=error)
    return _error("the request has failed; the service's log says why")


def _json() -> Any:
    try:
        return request.get_json()
    except RecursionError:
        abort(HTTPStatus.BAD_REQUEST)


def _invalid(error: ValidationError) -> Response:
    # What was given is left out: it may be long, and means nothing to whoever reads the log.
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    said = {"validation_error": {"body_params": faults}}
    return Response(json.dumps(said), HTTPStatus.BAD_REQUEST, mimetype="application/json")


def _error(reason: str) -> Response:
    return Response(reason, HTTPStatus.INTERNAL_SERVER_ERROR)


def _no_content() -> Response:
    return Response(status=HTTPStatus.NO_CONTENT)
