"""Guests that only try an image, and are no runners: who expects them hears what they report."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from supervisor.config import Config
from supervisor.guest import GuestParameters, user_data
from supervisor.guest.network import GuestNetwork
from supervisor.lifecycle import Event, Failed, GuestFinished, GuestReady
from supervisor.runners.roster import digest
from supervisor.upgrades.application import Application


@dataclass
class _Visit:
    token_digest: str
    ready: bool = False
    ended: GuestFinished | Failed | None = None


class Visitors:
    """Who is expected, and what they have reported. For any thread; it outlives the actors."""

    def __init__(self) -> None:
        self._visits: dict[str, _Visit] = {}
        self._changed = threading.Condition()

    def expect(self, name: str) -> str:
        """Expect a guest, and give the token that it is to show."""
        token = secrets.token_urlsafe(32)
        with self._changed:
            self._visits[name] = _Visit(digest(token))
        return token

    def recognises(self, name: str, token: str) -> bool:
        """Tell whether `token` is that guest's, in a time that says nothing of either."""
        visit = self._visits.get(name)
        expected = visit.token_digest if visit else digest("")
        same = hmac.compare_digest(digest(token), expected)
        return same and visit is not None

    def hear(self, name: str, event: Event) -> None:
        """Take what a guest reports; of one that nobody expects it is as good as not said."""
        with self._changed:
            visit = self._visits.get(name)
            if visit is None or visit.ended:
                return
            if isinstance(event, GuestReady):
                visit.ready = True
            elif isinstance(event, (GuestFinished, Failed)):
                visit.ended = event
            self._changed.notify_all()

    def outcome(self, name: str, limit_s: float) -> str:
        """Wait until a guest has ended.

        Returns:
            What is wrong with it; empty if it was ready, and then finished without a fault.
        """
        deadline = time.monotonic() + limit_s
        with self._changed:
            visit = self._visits.get(name)
            while visit and not visit.ended and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
        return _fault(visit, limit_s)

    def forget(self, name: str) -> None:
        """Expect a guest no more: its token is none from now on."""
        with self._changed:
            self._visits.pop(name, None)


def _fault(visit: _Visit | None, limit_s: float) -> str:
    if visit is None:
        return "nobody expected it"
    ended = visit.ended
    if ended is None:
        missing = "finished its trial" if visit.ready else "reported that it is ready"
        return f"it has not {missing} within {limit_s:g} s"
    if isinstance(ended, Failed):
        return ended.reason
    if ended.exit_code != "0":
        return f"the runner application can't be run in it: exit code {ended.exit_code}"
    return "" if visit.ready else "it has finished without a report that it is ready"


@dataclass(frozen=True)
class Trial:
    """Has a guest of an image do what a runner's does before its job, and waits for its word.

    Attributes:
        visitors: who hear what it reports.
        config: what the operator has set.
        signals: where it reports, such as `http://10.1.2.1:8642`.
        application: what the image is to hold.
        network: what runners are told of the network. Holds secrets.
    """

    visitors: Visitors
    config: Config
    signals: str
    application: Application
    network: GuestNetwork = field(repr=False)

    def parameters(self, name: str) -> str:
        """Give the user data of the guest of that name, which is expected from now on."""
        token = self.visitors.expect(name)
        return user_data(
            GuestParameters(
                runner_name=name,
                jit_config="",
                signal_url=f"{self.signals}/v1/runners/{name}/signals",
                signal_token=token,
                application_url=self.application.url,
                application_sha256=self.application.sha256,
                policy_url=self._policy_url(),
                network=self.network,
                is_trial=True,
                trial_version=self.application.version,
            )
        )

    def wait(self, name: str, limit_s: float) -> str:
        """Wait for its end: empty if it has done all that it should, or else what is wrong."""
        return self.visitors.outcome(name, limit_s)

    def forget(self, name: str) -> None:
        """Expect it no more."""
        self.visitors.forget(name)

    def _policy_url(self) -> str:
        """Say where runners would ask: it takes tools that the image must have."""
        policy = self.config.policy
        if policy.mode == "off":
            return ""
        return policy.url or f"http://{urlsplit(self.signals).hostname}:{policy.port}"
