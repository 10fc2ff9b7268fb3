"""Which method of an actor handles which type of message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

_MARK = "__handles__"


@dataclass(frozen=True)
class Handler:
    """A method that handles messages.

    Attributes:
        method: its name, so that a subclass's override is found.
        replies: exceptions that are an answer to an asker rather than a failure.
    """

    method: str
    replies: tuple[type[Exception], ...]


def handles(*types: type[Any], replies: tuple[type[Exception], ...] = ()) -> Callable[[F], F]:
    """Mark a method of an `Actor` as the handler of these types of messages.

    A message goes to the handler of its exact type, else to that of the nearest base class.

    Args:
        types: one or more.
        replies: exceptions that, raised while handling an *asked* message, only go to the asker
            and leave the actor alive. Raised for a told message they are failures like any other.

    Example:
        ```py
        class Door(Actor):
            @handles(Open, replies=(Locked,))
            def open(self, message: Open) -> None: ...
        ```
    """
    if not types:
        raise TypeError("@handles needs the types of the messages: @handles(Reconcile)")

    def mark(method: F) -> F:
        setattr(method, _MARK, (*getattr(method, _MARK, ()), *((each, replies) for each in types)))
        return method

    return mark


def handlers_of(actor_class: type) -> dict[type, Handler]:
    """Collect the marked methods of a class and its bases; a class's own win over its bases'.

    Raises:
        TypeError: if one class has two handlers for one type.
    """
    table: dict[type, Handler] = {}
    for base in reversed(actor_class.__mro__):
        own: dict[type, Handler] = {}
        for name, method in vars(base).items():
            for message_type, replies in getattr(method, _MARK, ()):
                if message_type in own:
                    raise TypeError(
                        f"{base.__name__} handles {message_type.__name__} twice:"
                        f" in {own[message_type].method} and in {name}"
                    )
                own[message_type] = Handler(name, replies)
        table.update(own)
    return table


def find_handler(table: dict[type, Handler], message_type: type) -> Handler | None:
    """Return the handler of the type or of its nearest base class that has one."""
    for candidate in message_type.__mro__:
        if (handler := table.get(candidate)) is not None:
            return handler
    return None
