"""One exchange with GitHub's REST API at a time, through PyGithub.

A `GitHub` belongs to one thread: PyGithub keeps the request on a shared connection object between
sending and receiving, so that under threads an answer, or a verb, can go astray
(https://github.com/PyGithub/PyGithub/pull/2052).
"""

import json
import logging
from collections.abc import Mapping
from http.client import RemoteDisconnected
from typing import Any

import requests
from github import Github

from supervisor import __version__
from supervisor.github.errors import unreachable, unreadable
from supervisor.github.exchange import Answer, Request

_TIMEOUT_S = 15
_DEEPEST_CAUSE = 10
_API_VERSION = "2022-11-28"


class GitHub:
    """Sends requests, each once, and returns whatever comes back.

    Nothing is repeated or waited for in here, as PyGithub's own `GithubRetry` would: it repeats
    registrations too, and sleeps for as long as a limit lasts. Whoever asks decides on both.

    Args:
        api_url: the base of the REST API, such as `https://api.github.com`.
    """

    def __init__(self, api_url: str) -> None:
        self._github = Github(
            base_url=api_url,
            timeout=_TIMEOUT_S,
            user_agent=f"github-runner-supervisor/{__version__}",
            retry=None,
            lazy=True,
            seconds_between_requests=None,
            seconds_between_writes=None,
            api_version=_API_VERSION,
        )
        # PyGithub gives its logger a handler of its own: each line would come twice.
        logging.getLogger("github").handlers.clear()

    def close(self) -> None:
        """Close the connections."""
        self._github.close()

    def exchange(self, request: Request, token: str) -> Answer:
        """Send one request and wait for its answer, for a limited time.

        Args:
            request: what is asked.
            token: a secret; not used where the request brings its own.

        Raises:
            Unavailable: there was no answer. Whether the request was carried out is unknown.
        """
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {request.jwt or token}",
        }
        if request.etag:
            headers["If-None-Match"] = request.etag
        try:
            status, received, text = self._github.requester.requestJson(
                request.verb, request.path, headers=headers, input=request.body
            )
        except requests.Timeout as error:
            raise unreachable(request, f"no answer within {_TIMEOUT_S} s") from error
        except requests.exceptions.SSLError as error:
            raise unreachable(request, "its certificate is not trusted") from error
        except requests.exceptions.ProxyError as error:
            raise unreachable(request, "the proxy fails") from error
        except (requests.RequestException, OSError) as error:
            raise unreachable(request, _cause(error)) from error
        except (AssertionError, RuntimeError) as error:
            # What PyGithub makes of a redirection elsewhere.
            raise unreachable(request, "it points to another address") from error
        except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
            # PyGithub reads some headers as numbers, whatever they hold.
            raise unreadable(request.aim) from error
        for secret in filter(None, (token, request.jwt)):
            text = text.replace(secret, "[secret]")  # should an answer quote what was asked
        return Answer(status, _plain(received), _parsed(text))


def _cause(error: Exception) -> str:
    """Name the innermost cause: the outer ones quote addresses and objects."""
    cause: BaseException = error
    for _ in range(_DEEPEST_CAUSE):
        inner = cause.__cause__ or cause.__context__ or _wrapped(cause)
        if inner is None:
            break
        cause = inner
    if isinstance(cause, RemoteDisconnected):
        return "it closed the connection without an answer"
    return str(getattr(cause, "strerror", None) or type(cause).__name__)


def _wrapped(error: BaseException) -> BaseException | None:
    # requests and urllib3 hand the cause on as an argument, not as __cause__.
    inner = getattr(error, "reason", None) or next(iter(error.args), None)
    return inner if isinstance(inner, BaseException) else None


def _plain(headers: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in headers.items()}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
