from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.observation.repetition import Line, Repeated, Repetition


def line(text: str = "no answer", *, runner: str = "", actor: str = "fleet") -> Line:
    return Line(actor, runner, "WARNING", text)


def test_the_first_few_are_shown_and_the_others_counted() -> None:
    repetition = Repetition(shown=2, window_s=60)
    assert [repetition.hear(line(), now) for now in range(5)] == [True, True, False, False, False]
    assert repetition.due(59.9) == []
    (repeated,) = repetition.due(60)
    assert repeated == Repeated(line(), 3, 60)
    assert str(repeated) == "repeated 3 times more within 60 s: no answer"


def test_after_its_window_a_line_is_shown_again() -> None:
    repetition = Repetition(shown=1, window_s=60)
    assert repetition.hear(line(), 0)
    assert not repetition.hear(line(), 1)
    repetition.due(60)
    assert repetition.hear(line(), 60)


def test_numbers_and_times_make_no_difference_and_the_last_is_told() -> None:
    repetition = Repetition(shown=1)
    assert repetition.hear(line("tried 3 times, next in 1.5 s at 10:30:05"), 0)
    last = line("tried 14 times, next in 30 s at 11:00:00")
    assert not repetition.hear(last, 1)
    assert repetition.end(2) == [Repeated(last, 1, 2)]


@pytest.mark.parametrize(
    "other",
    [
        line(runner="b"),
        line(runner="a", actor="tokens"),
        line("no instance of runner-1", runner="a"),
        Line("fleet", "a", "ERROR", "no answer"),
    ],
)
def test_another_runner_actor_level_or_text_is_another_line(other: Line) -> None:
    repetition = Repetition(shown=1)
    assert repetition.hear(line(runner="a"), 0)
    assert repetition.hear(line("no instance of runner-2", runner="a"), 0)
    assert repetition.hear(other, 0)


def test_numbers_in_names_and_addresses_are_no_mere_numbers() -> None:
    repetition = Repetition(shown=1)
    texts = ["runner-1", "runner-2", "10.0.0.1:80", "10.0.0.2:80", "v1.2.3", "v1.2.4"]
    assert all(repetition.hear(line(text), 0) for text in texts)


def test_one_that_is_repeated_once_is_told_in_the_singular() -> None:
    assert str(Repeated(line(), 1, 2)) == "repeated once more within 2 s: no answer"


def test_what_there_is_no_room_for_is_told_before_it_is_forgotten() -> None:
    repetition = Repetition(shown=1, window_s=60, most=2)
    for text in ("a", "a", "b"):
        repetition.hear(line(text), 0)
    assert repetition.due(1) == [Repeated(line("a"), 1, 1)]


lines = st.builds(
    Line,
    st.sampled_from(["", "fleet"]),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from(["INFO", "ERROR"]),
    st.sampled_from(["x", "y 1", "y 2", "z"]),
)


@given(st.lists(st.tuples(lines, st.floats(0, 40))), st.integers(1, 3), st.integers(1, 5))
def test_each_line_is_shown_or_counted_whatever_is_said_when(
    said: list[tuple[Line, float]], shown: int, most: int
) -> None:
    repetition = Repetition(shown, 60, most)
    now, seen, told = 0.0, 0, list[Repeated]()
    for one, pause_s in said:
        now += pause_s
        told += repetition.due(now)
        seen += repetition.hear(one, now)
        assert len(repetition._windows) <= most
    told += repetition.end(now)
    assert seen + sum(one.times for one in told) == len(said)
    assert repetition.end(now) == []


@given(lines, st.lists(st.floats(0, 40), max_size=60), st.integers(1, 3))
def test_no_more_than_the_first_few_are_shown_in_any_window(
    one: Line, pauses_s: list[float], shown: int
) -> None:
    repetition = Repetition(shown, 60)
    now, moments = 0.0, list[float]()
    for pause_s in pauses_s:
        now += pause_s
        repetition.due(now)
        if repetition.hear(one, now):
            moments.append(now)
    # A window begins with a shown line, so half of two that meet may fall together.
    assert all(
        sum(begin <= moment < begin + 60 for moment in moments) <= 2 * shown for begin in moments
    )
