"""What runs in a guest, what a guest is given when it is created, and what it may say.

The scripts beside this are the guest's own; ``docs/guest-contract.md`` says what they do.
"""

from supervisor.guest.document import (
    GuestParameters,
    body,
    policy_script,
    secrets_in,
    user_data,
)

__all__ = ["GuestParameters", "body", "policy_script", "secrets_in", "user_data"]
