"""In whose name the lines of the log are that another thread writes."""

from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

from typing_extensions import ParamSpec

P = ParamSpec("P")
T = TypeVar("T")


def for_speaker(work: Callable[P, T]) -> Callable[P, T]:
    """Have the log lines of work name those who give it now, whichever thread does it.

    It may be done many times, and at once.
    """
    context = copy_context()

    def speak(*given: P.args, **named: P.kwargs) -> T:
        return context.copy().run(work, *given, **named)  # one context can be in one thread alone

    return speak
