"""The one thread that a line to GitHub makes its calls in: a part of the tokens actor."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pykka
from loguru import logger

from supervisor.gateways.github import GitHub
from supervisor.github.scope import GitHubPlace
from supervisor.web.proxies import Proxies, Proxy
from supervisor.workers import Workers

_NAME = "github"


class GitHubThread:
    """Makes calls through one client, one at a time: the client belongs to the thread.

    Args:
        place: which GitHub.
        proxies: those that are configured.
        ref: the actor's, which is told what comes of each call.
    """

    def __init__(self, place: GitHubPlace, proxies: Proxies, ref: pykka.ActorRef[Any]) -> None:
        self._place = place
        self._proxies = proxies
        self._ref = ref
        self._workers = Workers(_NAME, 1)
        self._client = GitHub(place.api_url, proxies)
        if self.proxy:
            self._say_way()

    @property
    def proxy(self) -> Proxy | None:
        """What GitHub is asked through; None if it is asked directly."""
        return self._client.proxy

    def submit(self, call: Callable[[GitHub], object]) -> None:
        """Have a call made, and what it returns told to the actor."""
        self._workers.submit(partial(call, self._client), self._ref)

    def use_proxies(self, proxies: Proxies) -> bool:
        """Ask through those proxies from the next call on; tell whether they are others."""
        if proxies == self._proxies:
            return False
        self._proxies = proxies
        self._workers.submit(self._client.close, self._ref)  # after the call under way
        self._client = GitHub(self._place.api_url, proxies)
        self._say_way()
        return True

    def abandon(self) -> None:
        """Go on in another thread: one whose call goes on and on can't be ended."""
        self.close()
        self._workers = Workers(_NAME, 1)
        self._client = GitHub(self._place.api_url, self._proxies)

    def close(self) -> None:
        """Close the connections, in the thread that they belong to, and let it end."""
        self._workers.submit(self._client.close, self._ref)
        self._workers.close()

    def _say_way(self) -> None:
        way = f"through the proxy {self.proxy}" if self.proxy else "directly"
        logger.info("{} is asked {}", self._place.url, way)
