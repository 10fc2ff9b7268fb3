"""One request to GitHub at a time, within the time that a check has."""

import json
from contextlib import closing
from threading import Timer
from time import monotonic
from typing import Any

import requests

from supervisor import __version__
from supervisor.gateways.github_connection import connect
from supervisor.gateways.silence import PROXY_LOGIN, reason, reason_at_proxy, refusal
from supervisor.github.errors import unreachable, unreadable
from supervisor.github.exchange import Answer, Request
from supervisor.policy_service.line import Line
from supervisor.web.proxies import Proxies
from supervisor.web.proxy_choice import proxy_for

_CONNECT_S = 5
_READ_S = 10
_LONGEST = 16 << 20
_CHUNK = 1 << 16
_API_VERSION = "2022-11-28"


class Client:
    """A connection to GitHub. Not for several threads at a time.

    PyGithub sends for the daemon. Here the answer is read within limits of time and size, and no
    redirection is followed.

    Args:
        api_url: the base of the REST API.
        proxies: those that are configured.
    """

    def __init__(self, api_url: str, proxies: Proxies) -> None:
        self._api_url = api_url
        self._proxy = proxy_for(api_url, proxies)
        self._connection = connect(api_url, self._proxy, _READ_S)
        self._line = Line(self._connection.session, api_url, self._proxy)

    def exchange(self, request: Request, token: str, deadline: float) -> Answer:
        """Send a request and wait for its answer.

        At the deadline the connection is cut, as a server that answers a byte at a time would
        otherwise outlast it.

        Args:
            request: what is asked.
            token: a secret; not used where the request brings its own.
            deadline: monotonic, seconds.

        Raises:
            Unavailable: there was no answer.
        """
        left_s = deadline - monotonic()
        if left_s <= 0:
            raise unreachable(request, "the time for the check is over", self._proxy)
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {request.jwt or token}",
            "User-Agent": f"github-runner-supervisor/{__version__}",
            "X-GitHub-Api-Version": _API_VERSION,
        }
        if request.etag:
            headers["If-None-Match"] = request.etag
        self._line.begin()
        end = Timer(left_s, self._line.cut)
        end.daemon = True
        try:
            end.start()
            answer = self._connection.session.request(
                request.verb,
                self._api_url + request.path,
                headers=headers,
                timeout=(min(_CONNECT_S, left_s), min(_READ_S, left_s)),
                verify=self._connection.verify,
                allow_redirects=False,
                stream=True,
            )
            with closing(answer):
                text = _read(request, answer, deadline)
        except BaseException as error:
            self._line.cut()  # nothing more comes through it
            if isinstance(error, (requests.RequestException, OSError)):
                raise unreachable(request, self._reason(error), self._proxy) from error
            raise
        finally:
            end.cancel()
        if answer.status_code == PROXY_LOGIN and self._proxy:
            words = refusal(PROXY_LOGIN, self._proxy, target=self._api_url, key=self._key)
            raise unreachable(request, words, self._proxy)
        for secret in filter(None, (token, request.jwt)):
            text = text.replace(secret, "[secret]")  # should an answer quote what was asked
        received = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, received, _parsed(text))

    @property
    def _key(self) -> str:
        return f"{self._api_url.partition(':')[0]}-proxy"

    def _reason(self, error: Exception) -> str:
        if self._proxy is None:
            return reason(error, _READ_S)
        return reason_at_proxy(
            error, self._proxy, target=self._api_url, key=self._key, timeout_s=_READ_S
        )


def _read(request: Request, answer: requests.Response, deadline: float) -> str:
    body = bytearray()
    for chunk in answer.iter_content(_CHUNK):
        body += chunk
        if len(body) > _LONGEST:
            raise unreadable(request.aim)
        if monotonic() > deadline:
            raise unreachable(request, "the time for the check is over")
    return body.decode(errors="replace")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
