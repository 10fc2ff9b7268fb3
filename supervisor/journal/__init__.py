"""The journal's decisions: what is kept of what happens, and what is made of it. No disk here."""

from supervisor.journal.courses import Course, Courses
from supervisor.journal.history import History
from supervisor.journal.questions import Event, EventsQuestion, HistoryQuestion

__all__ = ["Course", "Courses", "Event", "EventsQuestion", "History", "HistoryQuestion"]
