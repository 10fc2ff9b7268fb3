"""Where the guests report: a small web service on the bridge's address."""

from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from flask import Flask, Response, request
from loguru import logger

from supervisor.actors.listening import ListeningActor
from supervisor.causes import Cause
from supervisor.gateways.lxd import Lxd, LxdError
from supervisor.guest import signals
from supervisor.lifecycle import Event, GuestReady, JobRefused, Stage
from supervisor.messages.runner import Happened
from supervisor.messages.signals import AnnounceSignals, SignalsListening
from supervisor.parts import Parts
from supervisor.runners.roster import Entry
from supervisor.supervision import Clock, Directory, System, handles
from supervisor.throttling.allowance import Allowances, Rate
from supervisor.web.strangers import Bounds
from supervisor.workers import WorkFailed

BOUNDS = Bounds(
    # Below the 1024 descriptors that a process commonly may have.
    connections=500,
    share=16,
    # A guest makes four or five in its life.
    rate=Rate(burst=50, per_s=10),
    # Longer than a guest waits for an answer.
    lifetime_s=5,
    patience_s=0.2,
)
"""What guests may take: they run other people's code."""
SIGNALS = Rate(burst=20, per_s=0.1)
"""How many signals a runner may give: five in its life, and some that were repeated."""
_TOKEN_STAGES = frozenset({Stage.CREATING, Stage.BOOTING, Stage.READY, Stage.IDLE, Stage.RETIRING})


@dataclass(frozen=True)
class _Address:
    """The worker's message: where to listen, or why that is not known."""

    address: str = ""
    error: str = ""
    cause: Cause = Cause.UNKNOWN


class SignalsActor(ListeningActor):
    """Keeps the service up; the service itself tells the runners, from its own threads."""

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._base = ""

    def on_start(self) -> None:
        """Take the address."""
        # The fleet is started after this actor, and again with it: it may yet find runners.
        self._parts.roster.is_complete = False
        self.publish("waiting", "asks LXD for the address that guests report to")
        super().on_start()

    @handles(AnnounceSignals)
    def _announce(self, _message: AnnounceSignals) -> None:
        for name in ("image", "fleet") if self._base else ():
            self.system.directory.tell(name, SignalsListening(self._base))

    def listen(self) -> None:
        """Find out where to listen, if the operator has not said it."""
        config = self._parts.settings.config
        if config.signals.address:
            self._take(_Address(str(config.signals.address)))
        else:
            # LXD may take long to answer, and others are to be started meanwhile.
            find = partial(_find_address, self._parts.lxd, config.lxd.network)
            self._parts.tending.submit(find, self.actor_ref)

    @handles(_Address)
    def _take(self, found: _Address) -> None:
        port = self._parts.settings.config.signals.port
        if found.error:
            # LXD may come up after us. No runner starts meanwhile.
            self.fail(found.error, cause=str(found.cause))
            return
        try:
            self.serve(
                make_app(self._parts, self.system.directory, self.system.clock),
                "signals",
                bounds=BOUNDS,
                host=found.address,
                port=port,
                max_request_body_size=signals.MAX_BYTES,
                max_request_header_size=signals.MAX_BYTES,
                inbuf_overflow=2 * signals.MAX_BYTES,
            )
        except OSError as error:
            self.fail(f"can't listen at {found.address}:{port}: {error.strerror}")
            return
        self._base = f"http://{found.address}:{port}"
        self.publish("listening", f"guests report to {self._base}")
        self._announce(AnnounceSignals())

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error


def _find_address(lxd: Lxd, network: str) -> _Address:
    try:
        return _Address(str(lxd.bridge_address(network).ip))
    except LxdError as error:
        return _Address(error=str(error), cause=error.cause)


def make_app(parts: Parts, directory: Directory, clock: Clock) -> Flask:
    """Make the web service: who may speak stands in the roster, who hears it in the directory.

    A visitor, which only tries an image, speaks to whoever expects it, and gets no token.

    A guest that is ready is given its one-time token for the policy service, bound to the address
    that it speaks from: what the kernel says, not the guest.

    Until those were taken over whom LXD shows, whoever is not known may be one of them.

    Each line that it logs costs a runner one of its few signals.
    """
    app = Flask("signals", static_folder=None)
    app.url_map.merge_slashes = False
    allowances = Allowances(SIGNALS)
    roster, visitors = parts.roster, parts.visitors

    @app.post("/v1/runners/<name>/signals", provide_automatic_options=False)
    def receive(name: str) -> Response:
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        is_visitor = visitors.recognises(name, shown)
        if scheme != "Bearer" or not (is_visitor or roster.recognises(name, shown)):
            if not roster.is_complete:
                return _answer(HTTPStatus.SERVICE_UNAVAILABLE, "not known yet; try again")
            return _answer(HTTPStatus.UNAUTHORIZED, "this runner or its token is not known")
        if not allowances.take(name, clock.monotonic()):
            return _answer(HTTPStatus.TOO_MANY_REQUESTS, "this runner has said too much lately")
        try:
            event = signals.parse(request.get_data())
        except signals.SignalError as error:
            logger.bind(runner=name).debug("a signal of {} is refused: {}", name, error)
            return _answer(HTTPStatus.BAD_REQUEST, str(error))
        if is_visitor:
            visitors.hear(name, event)
            return _answer(HTTPStatus.NO_CONTENT)
        return _hear(parts, directory, clock, name, event)

    return app


def _hear(parts: Parts, directory: Directory, clock: Clock, name: str, event: Event) -> Response:
    """Tell a runner what its guest says, and give one that is ready its token."""
    entry, token = parts.roster.get(name), ""
    if isinstance(event, GuestReady) and entry and _may_have_token(parts, entry):
        address = request.remote_addr or ""
        token = parts.tokens.token(name, entry.signal_digest, address, clock.now()) or ""
        if not token:
            # Without one its job could not be checked: it is not ready.
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, "no token can be had; try again")
    is_so = not isinstance(event, JobRefused) or _is_refused(parts, name, event, clock)
    if is_so and not directory.tell(name, Happened(event)):
        logger.bind(runner=name).info("{} signals while nobody answers for it", name)
        return _answer(HTTPStatus.SERVICE_UNAVAILABLE, "try again")
    return _answer(HTTPStatus.OK, token) if token else _answer(HTTPStatus.NO_CONTENT)


def _is_refused(parts: Parts, name: str, event: JobRefused, clock: Clock) -> bool:
    """Tell whether a job was refused as its guest says.

    What the service has let run was not, nor what nobody was asked about.
    """
    entry = parts.roster.get(name)
    if entry and entry.policy == "off":
        return False
    job = entry.life.job if entry else None
    return parts.verdicts.hear(name, job, event.reason, clock)


def _may_have_token(parts: Parts, entry: Entry) -> bool:
    """Tell whether a guest gets a token for the policy service: not after its job has begun."""
    if parts.settings.config.policy.mode == "off":
        return False
    return entry.life.job is None and entry.life.stage in _TOKEN_STAGES


def _answer(status: HTTPStatus, text: str = "") -> Response:
    body = f"{text}\n" if text else ""
    return Response(body, status=status, mimetype="text/plain")
