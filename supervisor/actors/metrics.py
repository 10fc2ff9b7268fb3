"""The page that Prometheus reads."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from flask import Flask, Response, request
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from supervisor import __version__
from supervisor.actors.listening import ListeningActor
from supervisor.gateways import host_memory, own_addresses
from supervisor.metrics.page import metrics
from supervisor.parts import Parts
from supervisor.status.report import current_status
from supervisor.supervision import System, tree
from supervisor.throttling.allowance import Rate
from supervisor.web.strangers import Bounds

BOUNDS = Bounds(
    connections=64,
    share=16,
    # A few Prometheus servers, and people who look.
    rate=Rate(burst=60, per_s=5),
    lifetime_s=10,
    patience_s=1,
)
"""What its readers may take: by its configuration the page may be for a whole network."""


class MetricsActor(ListeningActor):
    """Keeps the page up. It needs nobody: it shows what the actors have published."""

    again_s = 10.0

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts

    def listen(self) -> None:
        """Take the address."""
        config = self._parts.settings.config
        address, port, bridge = config.metrics.address, config.metrics.port, config.lxd.network
        place = f"{address}:{port}" if isinstance(address, IPv4Address) else f"[{address}]:{port}"
        try:
            if address in own_addresses.of_interface(bridge):
                self._fail(place, f"the page is not for guests, and {bridge} is their bridge")
                return
            self.serve(
                make_app(self.system, self._parts),
                "metrics",
                threads=2,
                bounds=BOUNDS,
                host=str(address),
                port=port,
            )
        except OSError as error:
            self._fail(place, str(error.strerror))
            return
        self.publish("listening", f"Prometheus reads http://{place}/metrics")

    def _fail(self, place: str, why: str) -> None:
        reason = f"can't listen at {place}: {why}"
        self.fail(reason, warnings=(f"metrics: {reason}",))


class _Daemon(Collector):
    """Reads the daemon anew at each scrape."""

    def __init__(self, system: System, parts: Parts) -> None:
        self._system = system
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """Give its metrics, in the thread that answers."""
        parts, root = self._parts, tree(self._system)
        status = current_status(root, parts, self._system.clock)
        yield from metrics(
            __version__,
            status,
            root,
            host_memory.read(),
            journal_fails=bool(parts.journal_writer.fault),
            lost_records=parts.journal.lost,
            lost_spans=parts.tracing.lost,
        )
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
