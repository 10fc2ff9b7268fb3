"""The measure of what LXD can do: a loop of pylxd's own calls, and nothing else."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pylxd
from daemon import Place
from watch import client

from supervisor.runners.instances import InstanceTemplate, instance_request

_METADATA = {
    "user.supervisor.installation": "bench",
    "user.supervisor.generation": "0123456789ab",
    "user.supervisor.runner-id": "1",
    "user.supervisor.created-at": "2026-01-01T00:00:00+00:00",
    "user.supervisor.signal-sha256": "0" * 64,
}


class BareLoop:
    """Creates and starts instances that are configured as the supervisor's are.

    Args:
        place: where.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        alias = client(place.socket, place.project).images.get_by_alias(place.image)
        self._image = str(alias.fingerprint)
        self._clients = threading.local()
        self._numbers = itertools.count(1)

    def launch(self, user_data: str) -> str:
        """Create and start one; returns its name when it runs."""
        name = f"bare-{next(self._numbers)}"
        lxd = self._client()
        request = self._request(name, user_data)
        instance = lxd.instances.create(request, wait=True)  # type: ignore[attr-defined]
        instance.start(wait=True)
        return name

    def fill(self, count: int, at_once: int, user_data: Callable[[int], str]) -> None:
        """Launch many, so many at once."""
        with ThreadPoolExecutor(at_once) as threads:
            for _ in threads.map(lambda index: self.launch(user_data(index)), range(count)):
                pass

    def _request(self, name: str, user_data: str) -> dict[str, Any]:
        place = self._place
        template = InstanceTemplate(
            type="container",
            image=self._image,
            pool=place.pool,
            network=place.network,
            profiles=(place.profile,),
            cpu=1,
            memory="256MiB",
            disk="1GiB",
        )
        return instance_request(template, name=name, user_data=user_data, metadata=_METADATA)

    def _client(self) -> pylxd.Client:
        try:
            made: pylxd.Client = self._clients.client
        except AttributeError:
            made = self._clients.client = client(self._place.socket, self._place.project)
        return made
