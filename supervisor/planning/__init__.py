"""The fleet's decision as a pure function: what is wanted and what is there in, a plan out.

The plan is total (any combination of the two sides has an answer), stable (applied to its own
result it asks for nothing) and bounded (never more instances than wanted, plus those that finish a
job under settings or a number that no longer hold).
"""

from supervisor.planning.balance import balance, to_register_ahead
from supervisor.planning.reconcile import reconcile
from supervisor.planning.sides import unseen
from supervisor.planning.terms import (
    Desired,
    Listing,
    Patience,
    Plan,
    Registration,
    Runner,
    Suspicion,
)

__all__ = [
    "Desired",
    "Listing",
    "Patience",
    "Plan",
    "Registration",
    "Runner",
    "Suspicion",
    "balance",
    "reconcile",
    "to_register_ahead",
    "unseen",
]
