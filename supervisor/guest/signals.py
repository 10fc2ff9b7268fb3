"""What a guest may say, read from what it sent (see docs/guest-contract.md)."""

from collections.abc import Mapping

from supervisor.lifecycle import (
    Event,
    Failed,
    GuestFinished,
    GuestReady,
    Job,
    JobFinished,
    JobRefused,
    JobStarted,
)
from supervisor.lifecycle.results import REFUSED

MAX_BYTES = 4096
_MAX_VALUE = 256
_MAX_RESULT = 32


class SignalError(ValueError):
    """The body is no signal. The message says why, without repeating it."""


def parse(body: bytes) -> Event:
    """Read a signal.

    The guest runs other people's code: nothing of it is trusted beyond its own runner, and nothing
    it sends reaches a log or a terminal but as short printable text.

    Raises:
        SignalError: it can't be read.
    """
    if len(body) > MAX_BYTES:
        raise SignalError(f"more than {MAX_BYTES} bytes")
    fields = _fields(body)
    signal = fields.get("signal", "")
    if signal == "ready":
        return GuestReady()
    if signal == "job-started":
        return JobStarted(_job(fields))
    if signal == "job-refused":
        return JobRefused(fields.get("reason") or "no reason given")
    if signal == "job-finished":
        return JobFinished()
    if signal == "finished":
        result = fields.get("result", "")[:_MAX_RESULT]
        # That is the policy's word, and no application's.
        result = "" if result.casefold() == REFUSED.casefold() else result
        return GuestFinished(fields.get("exit-code", "")[:3], result)
    if signal == "failed":
        return Failed(f"the guest says: {fields.get('reason') or 'no reason given'}")
    raise SignalError(
        "signal= must be ready, job-started, job-refused, job-finished, finished or failed"
    )


def _fields(body: bytes) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    # The guest's shell may cut a value in the middle of a character: no job is lost for that.
    for line in body.decode(errors="replace").split("\n"):
        key, separator, value = line.partition("=")
        if not line.strip():
            continue
        if not separator:
            raise SignalError("each line must be key=value")
        printable = "".join(c if c.isprintable() else " " for c in value)
        fields.setdefault(key.strip(), printable.strip()[:_MAX_VALUE])
    return fields


def _job(fields: Mapping[str, str]) -> Job:
    return Job(
        repository=fields.get("repository", ""),
        workflow=fields.get("workflow", ""),
        run_id=fields.get("run-id", ""),
        event=fields.get("event", ""),
        name=fields.get("job", ""),
    )
