from __future__ import annotations

from supervisor.upgrades.progress import Progress

MIB = 2**20


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_said_while_nothing_is_on() -> None:
    progress = Progress()
    assert progress.in_words() == ""
    progress.begin(0, 10)
    progress.end()
    assert progress.in_words() == ""


def test_it_says_how_far_it_is() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.begin(50 * MIB, 200 * MIB)
    progress.add(2 * MIB)
    clock.now += 8.4
    assert progress.in_words() == "52 MiB of 200 MiB (26 %) in 8 s"
    assert (progress.done, progress.total) == (52 * MIB, 200 * MIB)


def test_a_size_need_not_be_known() -> None:
    progress = Progress(Clock())
    progress.begin()
    progress.add(3 * MIB)
    assert progress.in_words() == "3 MiB in 0 s"
