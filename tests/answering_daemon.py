"""A daemon in memory, for the screen to ask."""

from __future__ import annotations

import threading
from typing import Any

from supervisor.cli.client import ControlError, NotRunning

_LIMIT_S = 10.0

SINCE = "2020-01-01T00:00:00Z"
HOSTILE = "\x1b[2J\x1b]0;owned\x07[bold]x[/nonsense]\n\u202e$(reboot)"
STATUS: dict[str, Any] = {
    "health": "ok", "name": "fleet", "path": "acme", "wanted": 3, "present": 2,
    "stages": {"idle": 1, "busy": 1, "booting": 1}, "draining_since": None,
    "github": {
        "url": "https://github.com",
        "budget": {"core": {"limit": 5000, "remaining": 4812, "reset_at": "2030-01-01T12:34:56Z"}},
    },
    "problems": [], "warnings": [],
}  # fmt: skip


def node(id_: str, *children: dict[str, Any], state: str = "ready") -> dict[str, Any]:
    kind = "supervisor" if children else "worker"
    return {"id": id_, "kind": kind, "state": state, "restarts": 0, "children": list(children)}


TREE = node(
    "root",
    node("control", state="listening"),
    node("core", node("tokens"), node("runners", node("fleet-a")), node("fleet", state="keeping")),
)


def runner(called: str, stage: str = "idle", reason: str = "", **job: str) -> dict[str, Any]:
    named = {"repository": "", "workflow": "", "name": "", **job} if job else None
    return {"name": called, "stage": stage, "since": SINCE, "reason": reason, "job": named}


def event(subject: str, state: str, before: str = "", reason: str = "") -> dict[str, Any]:
    return {
        "id": 1, "at": "2030-01-01T12:34:56+00:00", "kind": "runner", "subject": subject,
        "state": state, "before": before, "reason": reason, "lasted_s": 1.5, "details": {},
    }  # fmt: skip


class AnsweringDaemon:
    """Answers from what a test sets, and keeps what it is ordered."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = dict(STATUS)
        self.tree: dict[str, Any] = TREE
        self.runners = [
            runner("fleet-a", "busy", "runs its job", repository="acme/demo", name="test"),
            runner("fleet-b"),
            runner("fleet-c", "booting"),
        ]
        self.events: list[dict[str, Any]] | ControlError = [event("fleet-b", "idle", "ready")]
        self.logs: dict[str, str] = {}
        self.down = ""
        self.refuses = ""
        self.orders: list[tuple[str, str]] = []
        self.missed: list[str] = []
        self.answers_orders = threading.Event()
        self.answers_orders.set()
        self.asked = threading.Semaphore(0)

    def get(self, path: str) -> Any:
        if self.down:
            raise NotRunning(self.down)
        place, _, _ = path.partition("?")
        if place == "/v1/events":
            self.asked.release()
            if isinstance(self.events, ControlError):
                raise self.events
            return {"events": self.events, "last": 1, "more": False, "lost": 0}
        if place.startswith("/v1/logs/"):
            name = place.rpartition("/")[2]
            if name not in self.logs:
                raise ControlError(f"no logs of {name} are kept; see `supervisor-cli logs`")
            return {"runner": name, "text": self.logs[name]}
        known = {"/v1/status": self.status, "/v1/tree": self.tree, "/v1/runners": self.runners}
        return known[place]

    def post(self, path: str) -> Any:
        return self._order("POST", path)

    def delete(self, path: str) -> Any:
        return self._order("DELETE", path)

    def _order(self, method: str, path: str) -> Any:
        if self.refuses:
            raise ControlError(self.refuses)
        self.orders.append((method, path))
        self.answers_orders.wait(_LIMIT_S)
        return {"runners": [], "missed": self.missed}
