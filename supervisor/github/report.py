"""What people and monitoring see of the dealings with GitHub. Never a credential itself."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from supervisor.github.budget import Budget
from supervisor.github.credential import AppKey
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


def budget_in_words(report: Mapping[str, Any]) -> str:
    """Say in a few words what is left: empty where GitHub sets no limit."""
    core = report["budget"].get(_CORE)
    if not core:
        return ""
    reset = datetime.fromisoformat(core["reset_at"]).strftime("%H:%M")
    return f"{core['remaining']:,} of {core['limit']:,} calls left until {reset} UTC"
