"""What people and monitoring see of the dealings with GitHub. Never a credential itself."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from supervisor.causes import Cause
from supervisor.github.budget import Budget
from supervisor.github.credential import AppKey
from supervisor.github.gate import Gate
from supervisor.github.session import Session

_CORE = "core"


def github_report(
    budget: Budget,
    session: Session | None,
    *,
    runners: int,
    reconcile_interval_s: float,
    moment: Callable[[float], datetime],
) -> dict[str, Any]:
    """Say who asks, what is left of each limit, and how many runners that carries.

    Args:
        budget: what is known of the limits.
        session: who asks; None before the first request.
        runners: how many are wanted.
        reconcile_interval_s: seconds from one reconcile to the next.
        moment: turns the monotonic clock's seconds into a moment.
    """
    expires_at = session.expires_at if session else None
    return {
        "credential": session.credential.kind if session else "",
        "permissions": session.permissions if session else "",
        "renewed": bool(session and isinstance(session.credential, AppKey)),
        "expires_at": expires_at.isoformat(timespec="seconds") if expires_at else None,
        "budget": {
            name: {
                "limit": bucket.limit,
                "remaining": bucket.remaining,
                "reset_at": moment(bucket.reset_at).isoformat(timespec="seconds"),
            }
            for name, bucket in sorted(budget.buckets.items())
        },
        "runners_per_hour": budget.runners_per_hour(runners, reconcile_interval_s),
    }


def standing(owner: str, gate: Gate, limit: str, left: str) -> tuple[str, str, Cause]:
    """Say how dealings stand: the state, why, and the cause in a word.

    Args:
        owner: whose runners GitHub is asked about.
        gate: whether runners can be registered.
        limit: which limit keeps lists from being asked for now, in words; empty if none does.
        left: what is left of the limits, in words.
    """
    if gate.reason:
        state = "limited" if gate.cause is Cause.RATE_LIMITED else "failing"
        return state, gate.reason, gate.cause
    if limit:
        return "limited", limit, Cause.RATE_LIMITED
    reason = f"GitHub answers for {owner}"
    return "ready", f"{reason}; {left}" if left else reason, Cause.UNKNOWN


def budget_in_words(report: Mapping[str, Any]) -> str:
    """Say in a few words what is left: empty where GitHub sets no limit."""
    core = report["budget"].get(_CORE)
    if not core:
        return ""
    reset = datetime.fromisoformat(core["reset_at"]).strftime("%H:%M")
    return f"{core['remaining']:,} of {core['limit']:,} calls left until {reset} UTC"
