"""The page that Prometheus reads."""

from collections.abc import Iterator
from functools import partial

from flask import Flask, Response, request
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from supervisor import __version__
from supervisor.allowance import Rate
from supervisor.gateways import host_memory
from supervisor.metrics.page import metrics
from supervisor.parts import Parts
from supervisor.report import status_report
from supervisor.strangers import Bounds
from supervisor.supervision import Actor, System, handles, tree
from supervisor.web import ServerLost, WebServer

_LISTEN_AGAIN_S = 10.0
BOUNDS = Bounds(
    connections=64,
    share=16,
    # A few Prometheus servers, and people who look.
    rate=Rate(burst=60, per_s=5),
    lifetime_s=10,
    patience_s=1,
)
"""What its readers may take: by its configuration the page may be for a whole network."""


class _Listen:
    """It is time to take the address."""


class MetricsActor(Actor):
    """Keeps the page up. It needs nobody: it shows what the actors have published."""

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._server: WebServer | None = None

    def on_start(self) -> None:
        """Take the address."""
        self._listen(_Listen())

    @handles(_Listen)
    def _listen(self, _message: _Listen) -> None:
        settings = self._parts.settings.config.metrics
        place = f"{settings.address}:{settings.port}"
        try:
            self._server = WebServer(
                make_app(self.system, self._parts),
                "metrics",
                lost=partial(self.actor_ref.tell, ServerLost()),
                threads=2,
                bounds=BOUNDS,
                host=str(settings.address),
                port=settings.port,
            )
        except OSError as error:
            # No runner needs it: it warns, where others would have failed.
            reason = f"can't listen at {place}: {error.strerror}"
            self.publish("waiting", reason, warnings=(f"metrics: {reason}",))
            self.tell_after(_LISTEN_AGAIN_S, _Listen())
            return
        self.publish("listening", f"Prometheus reads http://{place}/metrics")

    @handles(ServerLost)
    def _server_lost(self, _message: ServerLost) -> None:
        raise RuntimeError("the server's loop has ended")

    def on_stop(self) -> None:
        """Let go of the address."""
        self._close()

    def on_failure(self, *_error: object) -> None:
        """Let go of the address, so that the next incarnation can have it."""
        self._close()

    def _close(self) -> None:
        if self._server:
            self._server.close()
        self._server = None


class _Daemon(Collector):
    """Reads the daemon anew at each scrape."""

    def __init__(self, system: System, parts: Parts) -> None:
        self._system = system
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """Give its metrics, in the thread that answers."""
        parts, root = self._parts, tree(self._system)
        now, draining_since = self._system.clock.now(), parts.drain.since
        status = status_report(
            root, parts.roster.all(), parts.settings, now, draining_since=draining_since
        )
        yield from metrics(__version__, status, root, host_memory.read())
        yield from parts.counters.collect()


def make_app(system: System, parts: Parts) -> Flask:
    """Make the web service: one page, in the format that its reader asks for."""
    app = Flask("metrics", static_folder=None)
    registry = CollectorRegistry()
    registry.register(_Daemon(system, parts))
    ProcessCollector(registry=registry)

    @app.get("/metrics")
    def page() -> Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(registry), content_type=content_type)

    return app
