"""What shall happen, and when: drawn from a seed, so that the same seed gives the same deeds.

Pure: it knows neither who is there to be hit nor whether a deed succeeds. Where a deed needs a
victim it brings its own luck, a number from 0 up to 1 that points into whatever there is then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MEAN_PAUSE_S = 0.7
"""Between two deeds. Many fall into the time of an outage, which is where it gets interesting."""

MOST_RUNNERS = 4
PLACES = ("acme", "acme/demo")
"""Where runners may be registered; the jobs may run on those of both."""

CORE = (
    "tokens", "runners", "signals", "storage", "firewall", "upgrades", "policy", "fleet",
    "events", "filters",
)  # fmt: skip
ROOT = ("control", "core")

GITHUB_FAULTS = (
    "internal error", "bad gateway", "unavailable", "hangs", "slow", "drops",
    "drops after the deed", "truncated", "secondary limit", "too many requests", "primary limit",
    "bad credentials",
)  # fmt: skip
GITHUB_CALLS = (
    ("*", "/orgs/*"),
    ("*", "/repos/*"),
    ("POST", "*/generate-jitconfig"),
    ("DELETE", "*/actions/runners/*"),
    ("GET", "*/actions/runners"),
)


@dataclass(frozen=True)
class Deed:
    """One thing that happens to the world.

    Attributes:
        at_s: when, in seconds from the beginning.
        name: what, a key of `tests.e2e.chaos.deeds.DEEDS`.
        arguments: of the function behind it.
    """

    at_s: float
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.name}({given})"


Drawn = list[Deed]
"""A deed and what ends it, with times from its own beginning."""


@dataclass(frozen=True)
class _Kind:
    """One row of the table.

    Attributes:
        weight: how often it is drawn, compared with the others.
        draw: makes it.
        rest_s: how long after its beginning no other of its group is drawn.
        group: whom it must not befall again so soon.
    """

    weight: int
    draw: Callable[[Random], Drawn]
    rest_s: float = 0.0
    group: str = ""


def schedule(seed: int, seconds: float) -> tuple[Deed, ...]:
    """Draw all deeds of a run, in the order of their times."""
    random = Random(seed)  # noqa: S311 - it shall be the same again
    kinds, weights = list(_KINDS), [kind.weight for kind in _KINDS]
    rested: dict[str, float] = {}
    deeds: list[Deed] = []
    moment = 0.0
    while (moment := moment + random.expovariate(1 / MEAN_PAUSE_S)) < seconds:
        (kind,) = random.choices(kinds, weights)
        drawn = kind.draw(random)
        if moment < rested.get(kind.group, 0.0):
            continue
        if kind.group:
            rested[kind.group] = moment + kind.rest_s
        deeds += (Deed(round(moment + deed.at_s, 2), deed.name, deed.arguments) for deed in drawn)
    return tuple(sorted((deed for deed in deeds if deed.at_s < seconds), key=lambda d: d.at_s))


def _at_once(name: str, /, **arguments: Any) -> Drawn:
    return [Deed(0.0, name, arguments)]


def _with_end(name: str, end: str, after_s: float, /, **arguments: Any) -> Drawn:
    return [Deed(0.0, name, arguments), Deed(after_s, end)]


def _luck(random: Random) -> float:
    return round(random.random(), 3)


def _fault(random: Random) -> Drawn:
    method, path = random.choices(GITHUB_CALLS, (4, 2, 2, 2, 1))[0]
    number = random.randrange(1_000_000)
    what = {"kind": random.choice(GITHUB_FAULTS), "method": method, "path": path}
    seconds = round(random.uniform(1, 7), 1)
    begin = Deed(0.0, "break_github", {"number": number, **what, "seconds": seconds})
    return [begin, Deed(seconds, "mend_github", {"number": number})]


def _drain(random: Random) -> Drawn:
    resume_s = random.choice((0.1, 2, 7))
    # Twice: the daemon may be away the first time.
    resumes = [Deed(after_s, "resume_fleet") for after_s in (resume_s, resume_s + 7)]
    return [Deed(0.0, "drain_fleet"), *resumes]


_KINDS = (
    _Kind(20, lambda r: _at_once("queue_jobs", count=r.randint(1, 3), seconds=r.choice((0, 1)))),
    _Kind(6, lambda r: _at_once("queue_jobs", count=1, seconds=r.randint(5, 15))),
    _Kind(3, lambda r: _at_once("queue_jobs", count=r.randint(6, 10), seconds=0)),
    # The core gives up after 10 restarts in a minute, and the root after 3, as they should.
    _Kind(14, lambda r: _at_once("crash_actor", name=r.choice(CORE)), 8.0, "core"),
    _Kind(4, lambda r: _at_once("crash_actor", name=r.choice(ROOT)), 25.0, "root"),
    _Kind(7, lambda r: _at_once("crash_runner", luck=_luck(r))),
    _Kind(
        5,
        lambda r: _with_end("kill_daemon", "start_daemon", r.choice((0.1, 0.1, 1, 4))),
        6.0,
        "daemon",
    ),
    _Kind(3, lambda r: _with_end("stop_daemon", "start_daemon", r.choice((0.1, 3))), 6.0, "daemon"),
    _Kind(2, lambda r: _with_end("pause_daemon", "resume_daemon", r.randint(1, 4)), 6.0, "daemon"),
    _Kind(7, lambda r: _at_once("kill_guest", luck=_luck(r)), 2.0, "guests"),
    _Kind(3, lambda r: _at_once("delete_instance", luck=_luck(r)), 2.0, "guests"),
    _Kind(4, lambda r: _with_end("kill_lxd", "start_lxd", r.choice((0.1, 1, 3))), 14.0, "lxd"),
    _Kind(2, lambda _: _at_once("restart_lxd"), 14.0, "lxd"),
    _Kind(4, lambda r: _with_end("pause_lxd", "resume_lxd", r.choice((1, 3, 7))), 10.0, "lxd"),
    _Kind(3, lambda r: _at_once("break_firewall", luck=_luck(r))),
    _Kind(5, lambda _: _at_once("cut_event_stream")),
    _Kind(4, lambda _: _at_once("cut_all_connections")),
    _Kind(
        3,
        lambda r: _with_end("hold_connections", "release_connections", r.choice((1, 3, 7))),
        8.0,
        "relay",
    ),
    _Kind(12, _fault, 3.0, "github"),
    _Kind(3, lambda r: _at_once("delete_registration", luck=_luck(r))),
    _Kind(8, lambda r: _at_once("configure", virtual_machines=r.randint(0, MOST_RUNNERS))),
    _Kind(2, lambda r: _at_once("configure", labels=f"chaos-{r.randint(1, 9)}")),
    _Kind(2, lambda r: _at_once("configure", vm_memory=f"{r.randint(192, 256)}MiB")),
    _Kind(2, lambda r: _at_once("configure", max_unavailable=r.choice((1, 2, "50%")))),
    _Kind(3, lambda r: _at_once("configure", path=r.choice(PLACES))),
    _Kind(4, lambda _: _at_once("order_reconcile")),
    _Kind(2, lambda _: _at_once("order", path="/v1/reconcile")),
    _Kind(3, lambda r: _at_once("order", path=f"/v1/flush?whom={r.choice(('idle', 'all'))}")),
    _Kind(1, lambda _: _at_once("flush_by_force"), 30.0, "force"),
    _Kind(3, _drain, 16.0, "drain"),
    _Kind(5, lambda r: _at_once("delete_runner", luck=_luck(r))),
    _Kind(2, lambda r: _at_once("delete_by_force", luck=_luck(r))),
)
