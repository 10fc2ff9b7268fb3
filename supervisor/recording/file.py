"""The journal's file, in whatever state it is found: one that is of no use is put aside."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from loguru import logger

from supervisor.gateways.journal_schema import JournalCorrupt, JournalError, JournalTooNew
from supervisor.gateways.journal_store import JournalStore
from supervisor.recording.backlog import JournalBacklog
from supervisor.recording.inbox import JournalInbox

Act = Callable[[JournalStore], object]


class JournalFile:
    """What is done with it ends with why it could not be done, whatever that is. For one thread.

    Args:
        inbox: has its path, and knows who has read something in it that should not be there.
        warning: what was to be known of it before.
    """

    def __init__(self, inbox: JournalInbox, warning: str = "") -> None:
        self._suspect = inbox.suspect
        self._store = JournalStore(inbox.path, self._find_another)
        self._warning = warning
        self._began_anew = self._is_another = False

    @property
    def warning(self) -> str:
        """What is to be known of it until the daemon's end, such as that it was begun anew."""
        return self._warning

    @property
    def is_another(self) -> bool:
        """Whether it is another than before, and what was known is not in it yet."""
        return self._is_another

    def recall(self, backlog: JournalBacklog) -> str:
        """Have a backlog know what an earlier daemon has left; return why not, or nothing."""
        return self.attempt(backlog.recall)

    def write(self, backlog: JournalBacklog) -> str:
        """Write a backlog down; return why it could not be, or nothing."""
        return self.attempt(partial(self._write, backlog))

    def _write(self, backlog: JournalBacklog, store: JournalStore) -> None:
        backlog.recall(store)
        self._write_held(backlog, store)
        if self._is_another:
            backlog.go_on_with(store)
            self._is_another = False
            self._write_held(backlog, store)
        if self._suspect.is_set():
            store.check()
            self._suspect.clear()

    def _write_held(self, backlog: JournalBacklog, store: JournalStore) -> None:
        if backlog:
            backlog.write(store)
            self._began_anew = False

    def attempt(self, act: Act) -> str:
        """Do something with the file; return why it could not be done, or nothing.

        A file that is of no use is put out of the way, and a new one is begun by what follows.
        """
        try:
            act(self._store)
        except JournalCorrupt as error:
            return self._begin_anew(error, "set-aside")
        except JournalTooNew as error:
            return self._begin_anew(error, f"v{error.version}")
        except JournalError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - what is held is tried again
            logger.opt(exception=error).error("some events could not be written down")
            return f"{type(error).__name__}: {error}"
        return ""

    def close(self) -> None:
        """Let go of it."""
        self._store.close()

    def _begin_anew(self, error: JournalError, mark: str) -> str:
        """Put a file aside that can't be used; return why not, or nothing."""
        if self._began_anew:
            return str(error)  # the new one is damaged at once: the disk is
        try:
            aside = self._store.set_aside(mark)
        except OSError as failure:
            return f"{error}, and can't be put aside: {failure.strerror}"
        self._began_anew = self._is_another = True
        self._suspect.clear()
        self._warning = f"{error}; it is {aside.name} now, and a new one was begun"
        return ""

    def _find_another(self, warning: str) -> None:
        self._warning = warning
        self._is_another = True
