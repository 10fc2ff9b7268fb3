"""An OpenTelemetry collector, which is sent spans by OTLP over HTTP, in a thread of their own.

Only who sends spans imports this: the libraries are large.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import requests
from loguru import logger
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from supervisor import __version__
from supervisor.gateways import silence
from supervisor.gateways.http_session import lead, trusted
from supervisor.observation.spans import Span
from supervisor.observation.trace_standing import Tell
from supervisor.text.printable import one_line
from supervisor.web.proxies import Proxies, Proxy
from supervisor.web.proxy_choice import proxy_for

_KEY = "otel-collector-endpoint"
_PATH = "/v1/traces"
_TIMEOUT_S = 10
_MOST_WAITING = 2048
_MOST_AT_ONCE = 512
_DELAY_MS = 5000
_MOST_SHOWN = 200
_MOVED = 300
_REFUSED = 400
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Address:
    """Where a collector is: what the operator has set, which may hold a password."""

    url: str = field(repr=False)

    @property
    def place(self) -> str:
        """Where spans are sent, without user and password."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/")
        return (
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path.removesuffix(_PATH)}{_PATH}"
        )

    @property
    def login(self) -> tuple[str, str] | None:
        """User and password, if there are any."""
        parts = urlsplit(self.url)
        return (unquote(parts.username), unquote(parts.password or "")) if parts.username else None


class Collector:
    """Sends spans in batches; what it can't send, or has no room for, is lost.

    For one thread at a time.

    Args:
        address: where the collector is.
        proxies: those that are configured.
        instance: which daemon sends.
        tell: is told of each batch what is lost, in the thread that sends.
    """

    def __init__(self, address: Address, proxies: Proxies, instance: str, tell: Tell) -> None:
        self._numbers = _GivenNumbers()
        self._exporter = _Exporter(address, proxies, tell)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create(
                {
                    "service.name": "github-runner-supervisor",
                    "service.version": __version__,
                    "service.instance.id": instance,
                    "host.name": socket.gethostname(),
                }
            ),
            id_generator=self._numbers,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=_MOST_WAITING,
                max_export_batch_size=_MOST_AT_ONCE,
                schedule_delay_millis=_DELAY_MS,
                export_timeout_millis=_TIMEOUT_S * 1000,
            )
        )
        self._tracer = self._provider.get_tracer("github-runner-supervisor", __version__)

    def send(self, spans: Sequence[Span]) -> None:
        """Have spans sent soon, without waiting."""
        for span in spans:
            if self._exporter.has_room():
                self._send(span)

    def _send(self, span: Span) -> None:
        self._numbers.trace_id, self._numbers.span_id = span.trace_id, span.span_id
        parent = SpanContext(
            span.trace_id, span.parent_id, is_remote=False, trace_flags=TraceFlags.get_default()
        )
        sent = self._tracer.start_span(
            span.name,
            context=set_span_in_context(NonRecordingSpan(parent)),
            start_time=_nanoseconds(span.began_at),
            attributes=_values(span),
        )
        if span.error:
            sent.set_status(StatusCode.ERROR, span.error)
        sent.end(_nanoseconds(span.ended_at))

    def close(self, limit: timedelta) -> None:
        """Send what waits, for as long as that; then let the rest go."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces-end", daemon=True)
        closing.start()
        closing.join(limit.total_seconds())
        self._exporter.shutdown()  # who tries again and again gives up


class _GivenNumbers(IdGenerator):
    """Gives the next span the numbers that it is to have."""

    def __init__(self) -> None:
        self.trace_id = self.span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _Exporter(SpanExporter):
    """Sends batches, and says once when spans begin to be lost, and when that is over.

    Who sends spans asks for room first. Batches are sent in another thread, and it says all there
    is to say.
    """

    def __init__(self, address: Address, proxies: Proxies, tell: Tell) -> None:
        self._place = address.place
        self._tell = tell
        self._session = _Session(address, proxy_for(address.place, proxies))
        certificates = trusted()
        self._exporter = OTLPSpanExporter(
            address.place,
            certificate_file=certificates if isinstance(certificates, str) else None,
            timeout=_TIMEOUT_S,
            compression=Compression.Gzip,
            session=self._session,
        )
        self._counting = threading.Lock()
        self._waiting = self._dropped = 0
        self._lost = 0

    def has_room(self) -> bool:
        """Take one more span into account; False if too many wait, and it is lost."""
        with self._counting:
            if self._waiting == _MOST_WAITING:
                self._dropped += 1
                return False
            self._waiting += 1
            return True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result, fault = self._exporter.export(spans), self._session.fault
        except Exception as error:  # noqa: BLE001 - what it lets through differs by its versions
            result, fault = SpanExportResult.FAILURE, f"its client fails: {type(error).__name__}"
        with self._counting:
            self._waiting -= len(spans)
            lost, self._dropped = self._dropped, 0
        why = f"it takes them too slowly, and {_MOST_WAITING:,} wait already"
        if result is not SpanExportResult.SUCCESS:
            lost, why = lost + len(spans), fault
        words = (
            f"traces can't be sent to {self._place}, and are lost, which harms nothing else: {why}"
        )
        self._tell(lost, words if lost else "")
        if lost and not self._lost:
            logger.warning("{}", words)
        elif self._lost and not lost:
            logger.info("traces are sent to {} again; {} spans are lost", self._place, self._lost)
        self._lost = self._lost + lost if lost else 0
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _Session(requests.Session):
    """Asks as the configuration says, and remembers in words why the last try has failed.

    Whatever answers, it costs little memory and holds nobody up: of an answer only the head is
    read, whose size the standard library bounds, and no longer than the limit in time.
    """

    def __init__(self, address: Address, proxy: Proxy | None) -> None:
        super().__init__()
        self.fault = "it can't be said why"
        self._target = urlsplit(address.place)
        self._proxy = proxy
        self._asked: Future[requests.Response] | None = None
        lead(self, self._target.scheme, proxy)
        self.auth = address.login
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))

    def request(self, *given: Any, **options: Any) -> requests.Response:
        try:
            answer = self._ask(*given, **options)
        except requests.RequestException as error:
            self.fault = self._in_words(error)
            raise
        self.fault = f"{self._answered(answer)}; is {_KEY} right?"
        if _MOVED <= answer.status_code < _REFUSED:
            # The exporter would take it for a success.
            raise requests.RequestException(self.fault)
        return answer

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Follow no redirect: requests would read all of the body first."""

    def _ask(self, *given: Any, **options: Any) -> requests.Response:
        """Ask in a thread of its own: requests' limit is for each read alone.

        A thread can't be ended. So there is one at a time: while it hangs, nothing else is asked.
        """
        if self._asked and not self._asked.done():
            raise requests.Timeout
        asked: Future[requests.Response] = Future()
        self._asked = asked
        threading.Thread(
            target=self._answer, args=(asked, given, options), name="traces-exchange", daemon=True
        ).start()
        if not wait([asked], options["timeout"]).done:
            raise requests.Timeout
        return asked.result()

    def _answer(
        self, asked: Future[requests.Response], given: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        try:
            answer = super().request(*given, **{**options, "stream": True})
            answer.close()
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            asked.set_exception(error)
        else:
            asked.set_result(answer)

    def _answered(self, answer: requests.Response) -> str:
        if not answer.is_redirect:
            return f"it answers {answer.status_code}"
        try:
            target = urlsplit(urljoin(self._target.geturl(), answer.headers["location"]))
        except ValueError:
            return f"it redirects ({answer.status_code}) to no address"
        where = f"{target.scheme}://{target.netloc.rpartition('@')[2]}{target.path}"
        return f"it redirects ({answer.status_code}) to {one_line(where)[:_MOST_SHOWN]}"

    def _in_words(self, error: requests.RequestException) -> str:
        if self._proxy is None or isinstance(error, requests.exceptions.SSLError):
            return silence.reason(error, _TIMEOUT_S)
        key, target = f"{self._target.scheme}-proxy", self._target.netloc
        why = silence.reason_at_proxy(
            error, self._proxy, target=target, key=key, timeout_s=_TIMEOUT_S
        )
        return f"the proxy {self._proxy}: {why}"


def _values(span: Span) -> dict[str, AttributeValue]:
    return dict(span.attributes)


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
