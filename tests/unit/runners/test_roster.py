import threading
from dataclasses import replace
from datetime import datetime, timezone

from hypothesis import given
from hypothesis import strategies as st

from supervisor.lifecycle import Life, Stage
from supervisor.runners.roster import Entry, Roster, digest

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


def entry(name: str = "a", token: str | None = "right") -> Entry:
    known = digest(token) if token is not None else ""
    return Entry(name, "g", Life(Stage.IDLE, NOW, removal_failures=2), known)


def test_what_is_put_is_found_replaced_and_dropped() -> None:
    roster = Roster()
    roster.put(entry())
    newer = replace(entry(), generation="h")
    roster.put(newer)
    assert roster.get("a") == newer
    assert roster.all() == [newer]
    roster.drop("a")
    roster.drop("a")
    assert roster.get("a") is None
    assert roster.all() == []


def test_a_runner_is_planned_with_by_what_its_actor_told() -> None:
    planned = entry().as_planned()
    assert (planned.name, planned.stage, planned.since) == ("a", Stage.IDLE, NOW)
    assert (planned.generation, planned.removal_failures) == ("g", 2)


def test_only_the_right_token_of_the_right_runner_is_recognised() -> None:
    roster = Roster()
    roster.put(entry("a", "one"))
    roster.put(entry("b", "two"))
    assert roster.recognises("a", "one")
    assert not roster.recognises("a", "two")
    assert not roster.recognises("b", "one")
    assert not roster.recognises("c", "one")


@given(st.text(), st.text())
def test_a_token_is_recognised_if_and_only_if_it_is_equal(known: str, shown: str) -> None:
    roster = Roster()
    roster.put(entry("a", known))
    assert roster.recognises("a", shown) == (known == shown)


@given(st.text() | st.just("") | st.just(digest("")))
def test_no_token_is_recognised_while_there_is_none(shown: str) -> None:
    roster = Roster()
    roster.put(entry("a", None))
    assert not roster.recognises("a", shown)
    assert not roster.recognises("nobody", shown)


def test_the_digest_itself_opens_nothing() -> None:
    roster = Roster()
    roster.put(entry("a", "right"))
    assert not roster.recognises("a", digest("right"))


def test_many_threads_may_change_it_while_others_read() -> None:
    roster = Roster()
    faults: list[BaseException] = []

    def change(number: int) -> None:
        try:
            for round_ in range(200):
                name = f"r{number}-{round_}"
                roster.put(entry(name))
                assert all(isinstance(found, Entry) for found in roster.all())
                assert roster.recognises(name, "right")
                if round_ % 2:
                    roster.drop(name)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            faults.append(error)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert len(roster.all()) == 8 * 100
