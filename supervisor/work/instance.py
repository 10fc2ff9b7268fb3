"""The work on LXD for one runner, as calls that block and return what happened.

Workers run it in their threads: it holds nothing that changes, and it raises nothing that is LXD's.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loguru import logger

from supervisor import lifecycle
from supervisor.causes import cause_of
from supervisor.config import LogsConfig
from supervisor.gateways.log_store import LogStore
from supervisor.gateways.lxd import (
    Instance,
    Lxd,
    LxdError,
    LxdUnavailable,
    NotFound,
    Stopping,
    TimedOut,
)
from supervisor.guest import GuestParameters, secrets_in
from supervisor.guest import logs as guest_logs
from supervisor.guest.logs import Part, Shares
from supervisor.lifecycle import Limits
from supervisor.messages.runner import Happened
from supervisor.runners import marks
from supervisor.runners.instances import USER_DATA
from supervisor.runners.marks import Marks
from supervisor.text.printable import printable

# The most that a guest which hangs may delay its own removal; else it takes 0.2 s.
_SAVING_S = 15.0
_LOOK_S = 4.0
_CONSOLE_S = 4.0
_COMMAND_S = 7.0
_LISTING_BYTES = 64 * 1024


@dataclass(frozen=True)
class Looked:
    """What LXD shows of the instance: nothing, if there is none."""

    marks: Marks | None


@dataclass(frozen=True)
class LookFailed:
    """LXD can't be asked."""

    reason: str


@dataclass(frozen=True)
class Inspected:
    """Whether the guest has begun a job: None where LXD can't look into it."""

    job_begun: bool | None


@dataclass(frozen=True)
class Recorded:
    """The stage stands in the instance's configuration, or why it doesn't.

    Attributes:
        error: why it doesn't; empty if it does, or there is no instance any more.
        stops: that is why: the instance is about to end.
    """

    error: str = ""
    stops: bool = False


@dataclass(frozen=True)
class LogsSaved:
    """The guest's logs are kept, if there were any, or why they aren't."""

    kept: bool = False
    error: str = ""


@dataclass(frozen=True)
class InstanceWork:
    """One instance's calls."""

    lxd: Lxd
    name: str
    limits: Limits

    def look(self) -> Looked | LookFailed:
        """See what there is."""
        try:
            instance = self.lxd.instance(self.name)
        except NotFound:
            return Looked(None)
        except LxdError as error:
            return LookFailed(str(error))
        return Looked(marks.read(instance.status, instance.config))

    def inspect(self) -> Inspected:
        """See whether the runner application has begun a job: it begins a log for each.

        https://docs.github.com/en/actions/how-tos/manage-runners/self-hosted-runners/monitor-and-troubleshoot
        """
        # Not by LXD's files API: a job may have put a named pipe there, which LXD would wait at.
        command = ("ls", "-1", f"{GuestParameters.runner_home}/_diag")
        try:
            output = self.lxd.output_of(
                self.name, command, most_bytes=_LISTING_BYTES, limit_s=_COMMAND_S
            )
        except LxdError as error:
            logger.info("whether it has begun a job can't be seen: {}", error)
            return Inspected(job_begun=None)
        logs = output.data.decode(errors="replace").splitlines()
        if any(log.startswith("Worker_") for log in logs):
            return Inspected(job_begun=True)
        return Inspected(job_begun=None if output.cut else False)

    def create(self, request: Mapping[str, Any]) -> Happened:
        """Create it; it is not started."""
        try:
            self.lxd.create(request, limit_s=self.limits.creating.total_seconds())
        except LxdError as error:
            return Happened(lifecycle.Failed(str(error), cause_of(error)))
        return Happened(lifecycle.InstanceCreated())

    def start(self) -> Happened:
        """Start it."""
        try:
            self.lxd.start(self.name, limit_s=self.limits.creating.total_seconds())
        except LxdError as error:
            certain = not isinstance(error, (LxdUnavailable, TimedOut))
            failed = lifecycle.StartFailed(str(error), certain=certain, cause=cause_of(error))
            return Happened(failed)
        return Happened(lifecycle.InstanceStarted())

    def record(self, keys: Mapping[str, str]) -> Recorded:
        """Write keys into its configuration."""
        try:
            self.lxd.update_config(self.name, keys)
        except NotFound:
            return Recorded()  # it ended meanwhile
        except LxdError as error:
            return Recorded(str(error), stops=isinstance(error, Stopping))
        return Recorded()

    def remove(self) -> Happened:
        """Stop and delete it, whatever state it is in."""
        try:
            self.lxd.delete(self.name, limit_s=self.limits.finished.total_seconds())
        except LxdError as error:
            return Happened(lifecycle.RemovalFailed(str(error)))
        return Happened(lifecycle.InstanceGone())

    def save_logs(
        self,
        store: LogStore,
        config: LogsConfig,
        *,
        reason: str,
        at: datetime,
        secrets: Iterable[str] = (),
    ) -> LogsSaved:
        """Keep what the guest has logged, before it goes; takes 15 s at most.

        What can't be had is a line in what is saved. One that does not run and whose console shows
        nothing, such as one that was never started, leaves no file.

        Args:
            store: where.
            config: how much.
            reason: why it goes.
            at: when (aware).
            secrets: what may not stand there, besides what the instance was given.
        """
        deadline = time.monotonic() + _SAVING_S
        shares = Shares.of(config.most_bytes)
        withheld = tuple(secrets)
        digest = ""
        try:
            instance = self.lxd.instance(self.name, limit_s=_LOOK_S)
        except NotFound:
            return LogsSaved()
        except LxdError as error:
            parts = [Part("guest", "", str(error))]
        else:
            withheld += secrets_in(instance.config.get(USER_DATA, ""))
            digest = marks.read(instance.status, instance.config).signal_digest
            parts = list(self._logs_of(instance, shares, deadline))
        if parts == [Part("console", "")]:
            return LogsSaved()
        text = guest_logs.compose(parts, secrets=withheld, signal_digest=digest)
        reason = guest_logs.without_secrets(reason, withheld, digest)
        try:
            store.save(
                self.name,
                text,
                reason=reason,
                at=at,
                keep=config.keep,
                most_bytes=config.most_bytes,
            )
        except OSError as error:
            return LogsSaved(error=str(error))
        return LogsSaved(kept=True)

    def _logs_of(self, instance: Instance, shares: Shares, deadline: float) -> Iterator[Part]:
        console, remark = "", ""
        try:
            console = self.lxd.console_log(self.name, most_bytes=shares.console, limit_s=_CONSOLE_S)
        except LxdError as error:
            remark = str(error)
        yield Part("console", guest_logs.ending(printable(console), shares.console), remark)
        if instance.status != "Running":
            return
        try:
            output = self.lxd.output_of(
                self.name,
                guest_logs.command(shares.guest),
                most_bytes=shares.guest,
                limit_s=min(_COMMAND_S, deadline - time.monotonic()),
            )
        except LxdError as error:
            yield Part("guest", "", str(error))
        else:
            text = printable(output.data.decode(errors="replace"))
            yield Part("guest", guest_logs.beginning(text, shares.guest), output.cut)
