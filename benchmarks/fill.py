"""How fast an empty fleet fills, against LXD alone.

Three ways take turns: the whole system; a bare pylxd loop whose guests do nothing; and a bare
pylxd loop whose guests do what runners' guests do. The third tells how much of the difference
between the first two is the guests' own work on the same processors.
"""

from __future__ import annotations

import http.server
import secrets
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import machine
import places
from bare import BareLoop
from daemon import Daemon, Place
from table import render, spread
from watch import Watch

from supervisor.gateways.github import GitHub
from supervisor.github import conversations
from supervisor.github.exchange import Cache, Talk
from supervisor.github.scope import Scope
from supervisor.guest import GuestParameters, user_data
from supervisor.web.proxies import Proxies

_LIMIT_S = 180.0

T = TypeVar("T")


def run(*, runners: int = 32, rounds: int = 3, at_once: int | None = None) -> dict[str, Any]:
    """Measure.

    Args:
        runners: how many to fill up to.
        rounds: how often each way is measured.
        at_once: the daemon's `creations-at-once`; None for its default.
    """
    with (
        places.workshop() as directory,
        places.real(directory) as place,
        Watch(place.socket, place.project) as watch,
    ):
        bare = BareLoop(place)
        bare.fill(2, 2, _nothing)  # the first start unpacks and shifts the image
        places.empty(place)
        tries = {
            count: _rate(_fill_bare(bare, watch, place, runners, count), runners)
            for count in (2, 4, 8)
        }
        best = max(tries, key=lambda count: tries[count])
        taken = [
            _round(directory, place, watch, bare, runners, best, at_once) for _ in range(rounds)
        ]
    return _summary(taken, place, runners, tries, best)


def _round(
    directory: Path,
    place: Place,
    watch: Watch,
    bare: BareLoop,
    runners: int,
    best: int,
    at_once: int | None,
) -> dict[str, float]:
    load = machine.load()
    quiet = _fill_bare(bare, watch, place, runners, best)
    working = _fill_working(directory, bare, watch, place, runners, best)
    system = _fill_system(directory, watch, place, runners, at_once)
    return {
        "load": load,
        "bare": _rate(quiet, runners),
        "bare_working": _rate(working, runners),
        "started": _rate(system["started_s"], runners),
        "ready": _rate(system["ready_s"], runners),
        "daemon_cpu_s": system["cpu_s"],
    }


def _fill_bare(bare: BareLoop, watch: Watch, place: Place, runners: int, at_once: int) -> float:
    watch.clear()
    began = time.time()
    bare.fill(runners, at_once, _nothing)
    took = _last_start(watch, runners) - began
    places.empty(place)
    return took


def _fill_working(
    directory: Path, bare: BareLoop, watch: Watch, place: Place, runners: int, at_once: int
) -> float:
    """Fill with guests that work: their registrations are made before the clock starts."""
    with places.github(place, directory) as server, _listener(place.address) as signals:
        scope, cache = Scope.parse(server.org), Cache()
        client = GitHub(server.url, Proxies())
        application = _hold(conversations.application(scope, cache, "x64"), client, server.token)
        scripts = []
        for number in range(runners):
            name = f"bare-{number}"
            talk = conversations.register(scope, name, ("self-hosted",), 1)
            encoded = _hold(talk, client, server.token).encoded
            guest = GuestParameters(
                runner_name=f"bare-{number}",
                jit_config=encoded,
                signal_url=f"{signals}/v1/runners/bare-{number}/signals",
                signal_token=secrets.token_urlsafe(32),
                application_url=application.url,
                application_sha256=application.sha256,
            )
            scripts.append(user_data(guest))
        watch.clear()
        began = time.time()
        bare.fill(runners, at_once, scripts.__getitem__)
        took = _last_start(watch, runners) - began
        places.empty(place)
    return took


def _hold(talk: Talk[T], client: GitHub, token: str) -> T:
    """Hold a conversation, one call after the other."""
    request = next(talk)
    while True:
        try:
            request = talk.send(client.exchange(request, token))
        except StopIteration as end:
            held: T = end.value
            return held


def _fill_system(
    directory: Path, watch: Watch, place: Place, runners: int, at_once: int | None
) -> dict[str, float]:
    settings: dict[str, Any] = {"lxd": {"creations-at-once": at_once}} if at_once else {}
    with (
        places.github(place, directory) as server,
        Daemon(directory / "daemon", place, server, 0, **settings) as daemon,
    ):
        cpu_s = daemon.usage().cpu_s
        watch.clear()
        began = time.time()
        daemon.resize(runners)
        last = _last_start(watch, runners)

        def all_ready() -> bool:
            stages = daemon.stages()
            return stages.get("ready", 0) + stages.get("idle", 0) >= runners

        daemon.wait_until(all_ready, _LIMIT_S, "have all runners ready")
        ready = time.time()
        used = daemon.usage().cpu_s - cpu_s
    places.empty(place)
    return {"started_s": last - began, "ready_s": ready - began, "cpu_s": used}


def _last_start(watch: Watch, runners: int) -> float:
    """Return when the last one was started, by LXD's own clock: it is this machine's."""
    watch.wait_for("instance-started", runners, _LIMIT_S)
    return max(watch.when("instance-started").values())


def _summary(
    taken: list[dict[str, float]],
    place: Place,
    runners: int,
    tries: dict[int, float],
    best: int,
) -> dict[str, Any]:
    ratios = [each["started"] / each["bare"] for each in taken]
    working = [each["started"] / each["bare_working"] for each in taken]
    rows = [
        (f"bare pylxd, {best} at once", spread([each["bare"] for each in taken])),
        ("the same, guests at work", spread([each["bare_working"] for each in taken])),
        ("whole system, started", spread([each["started"] for each in taken])),
        ("whole system, ready", spread([each["ready"] for each in taken])),
        ("ratio to bare (aim 0.90)", spread(ratios)),
        ("ratio to bare with guests at work", spread(working)),
        ("the daemon's processor time, s", spread([each["daemon_cpu_s"] for each in taken])),
        ("load average at the start of a round", spread([each["load"] for each in taken])),
    ]
    return {
        "lxd": place.version,
        "runners": runners,
        "ratio": statistics.median(ratios),
        "ratio_guests_at_work": statistics.median(working),
        "bare_by_concurrency": tries,
        "rounds": taken,
        "table": render(("0 to " + str(runners) + ", instances per second", "median"), rows),
    }


def _rate(took_s: float, runners: int) -> float:
    return runners / took_s


def _nothing(_index: int) -> str:
    return ""


@contextmanager
def _listener(address: str) -> Iterator[str]:
    """Answer guests that report, as cheaply as it goes."""
    server = http.server.ThreadingHTTPServer((address, 0), _Nodding)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{address}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Nodding(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Be silent."""
