"""A guest's share of a worker's connections."""

from __future__ import annotations

from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.workers.gthread import ThreadWorker

from supervisor.policy_service.worker import Worker


def test_a_connection_whose_timer_can_t_start_does_not_use_up_the_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ThreadWorker, "__init__", lambda *_: None)
    monkeypatch.setattr(ThreadWorker, "handle", lambda *_: True)
    worker = Worker()
    connection: Any = SimpleNamespace(client=("10.0.0.2", 4711))

    def no_more_threads(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", no_more_threads)
        for _ in range(20):
            with pytest.raises(RuntimeError):
                worker.handle(connection)
    assert worker.handle(connection) is True
