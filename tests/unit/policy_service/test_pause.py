"""A pause that several processes keep."""

from __future__ import annotations

import os

from supervisor.policy_service.pause import Pause


def test_it_gets_longer_and_never_shorter() -> None:
    pause = Pause()
    assert pause.until == 0
    pause.extend(12.5)
    pause.extend(3.5)
    assert pause.until == 12.5


def test_a_process_that_was_forked_tells_all_others() -> None:
    pause = Pause()
    pid = os.fork()
    if pid == 0:
        pause.extend(7.25)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert pause.until == 7.25
