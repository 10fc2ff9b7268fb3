"""One exchange with GitHub's REST API at a time, through PyGithub.

A `GitHub` belongs to one thread: PyGithub keeps the request on a shared connection object between
sending and receiving, so that under threads an answer, or a verb, can go astray
(https://github.com/PyGithub/PyGithub/pull/2052).
"""

import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from github import Github

from supervisor import __version__
from supervisor.gateways.github_connection import connect
from supervisor.gateways.silence import PROXY_LOGIN, reason, reason_at_proxy, refusal
from supervisor.github.errors import unreachable, unreadable
from supervisor.github.exchange import Answer, Request
from supervisor.web.proxies import Proxies
from supervisor.web.proxy_choice import proxy_for

_TIMEOUT_S = 15
_PORTS = {"http": 80, "https": 443}
_API_VERSION = "2022-11-28"


class GitHub:
    """Sends requests, each once, and returns whatever comes back.

    Nothing is repeated or waited for in here, as PyGithub's own `GithubRetry` would: it repeats
    registrations too, and sleeps for as long as a limit lasts. Whoever asks decides on both.

    Args:
        api_url: the base of the REST API, such as `https://api.github.com`.
        proxies: those that are configured.

    Attributes:
        proxy: what GitHub is asked through; None if it is asked directly.
    """

    def __init__(self, api_url: str, proxies: Proxies) -> None:
        parts = urlsplit(api_url)
        self.proxy = proxy_for(api_url, proxies)
        self._key = f"{parts.scheme}-proxy"
        self._target = f"{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"
        self._connection = connect(api_url, self.proxy, _TIMEOUT_S)
        self._github = Github(
            base_url=api_url,
            user_agent=f"github-runner-supervisor/{__version__}",
            lazy=True,
            seconds_between_requests=None,
            seconds_between_writes=None,
            api_version=_API_VERSION,
        )
        # PyGithub gives its logger a handler of its own: each line would come twice.
        logging.getLogger("github").handlers.clear()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

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
                request.verb,
                request.path,
                headers=headers,
                input=request.body,
                cnx=self._connection,
            )
        except (requests.RequestException, OSError) as error:
            raise unreachable(request, self._reason(error), self.proxy) from error
        except (AssertionError, RuntimeError) as error:
            # What PyGithub makes of a redirection elsewhere.
            raise unreachable(request, "it points to another address") from error
        except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
            # PyGithub reads some headers as numbers, whatever they hold.
            raise unreadable(request.aim) from error
        if status == PROXY_LOGIN and self.proxy:
            words = refusal(status, self.proxy, target=self._target, key=self._key)
            raise unreachable(request, words, self.proxy)
        for secret in filter(None, (token, request.jwt)):
            text = text.replace(secret, "[secret]")  # should an answer quote what was asked
        return Answer(status, _plain(received), _parsed(text))

    def _reason(self, error: Exception) -> str:
        if self.proxy is None:
            return reason(error, _TIMEOUT_S)
        return reason_at_proxy(
            error, self.proxy, target=self._target, key=self._key, timeout_s=_TIMEOUT_S
        )


def _plain(headers: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in headers.items()}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
