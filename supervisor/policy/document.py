"""The policy document: which checks are made of a job, by the event that it runs for.

It has the form of https://github.com/canonical/repo-policy-compliance: an event has checks, and a
check is `{"enabled": true}` or false. What is not named is enabled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Check(str, Enum):
    """What is checked."""

    TARGET_BRANCH_PROTECTION = "target_branch_protection"
    COLLABORATORS = "collaborators"
    DISALLOW_FORK = "disallow_fork"
    EXECUTE_JOB = "execute_job"


CHECKS: Mapping[str, tuple[Check, ...]] = {
    "pull_request": tuple(Check),
    "push": (Check.COLLABORATORS,),
    "schedule": (Check.COLLABORATORS,),
    "workflow_dispatch": (Check.COLLABORATORS,),
}
"""The checks of each event, in the order in which they are made."""


class DocumentError(ValueError):
    """It is no policy document; the message says what is wrong and where."""


@dataclass(frozen=True)
class Policy:
    """What is checked.

    Attributes:
        disabled: events with checks that are not made for them.
    """

    disabled: frozenset[tuple[str, Check]] = field(default_factory=frozenset)

    def checks(self, event: str) -> tuple[Check, ...]:
        """Give the checks to make for one of the events of `CHECKS`, in order."""
        return tuple(check for check in CHECKS[event] if (event, check) not in self.disabled)


DEFAULT = Policy(frozenset({("pull_request", Check.DISALLOW_FORK)}))
"""Where there is no document: forks may run jobs, once a maintainer has said so."""


def parse(document: Any) -> Policy:
    """Read a policy document.

    Args:
        document: as JSON or YAML gives it.

    Raises:
        DocumentError: it is none.
    """
    disabled = set()
    for event, rules in _members(document, "the document", tuple(CHECKS)):
        names = tuple(check.value for check in CHECKS[event])
        for name, rule in _members(rules, event, names):
            where = f"{event}.{name}"
            enabled = rule.get("enabled") if isinstance(rule, Mapping) else None
            if not isinstance(enabled, bool):
                raise DocumentError(f"{where}: must be {{enabled: true}} or {{enabled: false}}")
            if not enabled:
                disabled.add((event, Check(name)))
    return Policy(frozenset(disabled))


def parse_optional(document: Any) -> Policy:
    """Read a policy document; None is the usual policy.

    Raises:
        DocumentError: it is none.
    """
    return DEFAULT if document is None else parse(document)


def _members(value: Any, where: str, allowed: tuple[str, ...]) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        raise DocumentError(f"{where}: must be a mapping with any of {', '.join(allowed)}")
    for name in value:
        if name not in allowed:
            shown = "".join(c for c in str(name)[:60] if c.isprintable())
            raise DocumentError(f"{where}: has no {shown!r}; there are {', '.join(allowed)}")
    return list(value.items())
