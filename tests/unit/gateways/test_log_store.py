from __future__ import annotations

import os
import stat
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.gateways.log_store import LogStore
from supervisor.guest.logs import Kept

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def store(tmp_path: Path) -> LogStore:
    return LogStore(tmp_path / "state" / "logs")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state" / "logs"


def save(store: LogStore, name: str, text: str = "text\n", **given: Any) -> None:
    options = {"reason": "why", "at": NOW, "keep": 50, "most_bytes": 4096, **given}
    store.save(name, text, **options)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_what_was_saved_is_listed_and_read_again(store: LogStore) -> None:
    save(store, "one", "hello\n", reason="it\nfailed")
    head = "runner: one\nsaved: 2030-01-01T00:00:00+00:00\nreason: it failed\n\n"
    whole = Kept("one", "2030-01-01T00:00:00+00:00", "it failed", len(head) + 6, head + "hello\n")
    assert store.read("one") == whole
    assert store.listing() == [Kept(whole.runner, whole.saved_at, whole.reason, whole.size)]


def test_before_the_first_is_saved_there_is_nothing(store: LogStore, directory: Path) -> None:
    assert store.listing() == []
    assert store.read("one") is None
    assert not directory.exists()


def test_nobody_else_may_read_them(store: LogStore, directory: Path) -> None:
    mask = os.umask(0)
    try:
        save(store, "one")
    finally:
        os.umask(mask)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (directory, directory / "one.log")]
    assert modes == [0o700, 0o600]


def test_the_newest_come_first_and_the_oldest_go(store: LogStore, directory: Path) -> None:
    for number in range(7):
        save(store, f"n{number}", at=NOW + timedelta(minutes=number), keep=3)
        os.utime(directory / f"n{number}.log", (number, number))
    assert [kept.runner for kept in store.listing()] == ["n6", "n5", "n4"]
    assert names(directory) == ["n4.log", "n5.log", "n6.log"]


def test_a_runners_later_logs_take_the_place_of_its_earlier_ones(store: LogStore) -> None:
    save(store, "one", "first\n")
    save(store, "one", "second\n")
    (kept,) = store.listing()
    whole = store.read(kept.runner)
    assert whole is not None
    assert whole.text.endswith("\n\nsecond\n")


@given(text=st.text(), most=st.integers(16, 400))
def test_no_file_is_larger_than_allowed(
    text: str, most: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("logs")
    save(LogStore(directory), "one", text, most_bytes=most)
    assert (directory / "one.log").stat().st_size <= most


@pytest.mark.parametrize("name", ["", ".", "..", "../one", "a/b", "a\0b", ".one", "a\n", "x" * 64])
def test_a_name_that_no_runner_has_is_neither_read_nor_written(
    store: LogStore, directory: Path, name: str
) -> None:
    save(store, "one")
    assert store.read(name) is None
    with pytest.raises(ValueError, match="no runner's name"):
        save(store, name)
    assert names(directory) == ["one.log"]


def test_no_link_is_followed(store: LogStore, directory: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("runner: secret\n\n")
    save(store, "one")
    (directory / "two.log").symlink_to(secret)
    (directory / "three.part").symlink_to(secret)
    assert store.read("two") is None
    assert [kept.runner for kept in store.listing()] == ["one"]
    save(store, "two")
    save(store, "three")
    assert secret.read_text() == "runner: secret\n\n"
    assert not (directory / "two.log").is_symlink()
    assert not (directory / "three.log").is_symlink()


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "logs").symlink_to(tmp_path / "elsewhere")
    store = LogStore(tmp_path / "logs")
    with pytest.raises(OSError, match="logs"):
        save(store, "one")
    with pytest.raises(OSError, match="logs"):
        store.listing()
    assert names(tmp_path / "elsewhere") == []


def test_a_named_pipe_among_them_keeps_nobody_waiting(store: LogStore, directory: Path) -> None:
    save(store, "one")
    os.mkfifo(directory / "pipe.log")
    assert {kept.runner for kept in store.listing()} == {"one"}
    assert store.read("pipe") is None


def test_what_others_put_there_is_neither_listed_nor_read(store: LogStore, directory: Path) -> None:
    save(store, "one")
    (directory / "notes.txt").write_text("mine")
    (directory / "odd name.log").write_text("\xff no head at all")
    (directory / "headless.log").write_bytes(b"\xff\xfe")
    (directory / "other.log").write_text(
        f"runner: another\nsaved: {NOW.isoformat()}\nreason: x\n\n"
    )
    (directory / "undated.log").write_text("runner: undated\nsaved: today\nreason: x\n\n")
    assert [kept.runner for kept in store.listing()] == ["one"]
    assert [store.read(name) for name in ("headless", "other", "undated")] == [None, None, None]
    save(store, "two", keep=1)
    assert names(directory) == ["notes.txt", "odd name.log", "two.log"]


def test_the_moment_is_kept_as_utc(store: LogStore) -> None:
    save(store, "one", at=NOW.astimezone(timezone(timedelta(hours=2))))
    assert [kept.saved_at for kept in store.listing()] == ["2030-01-01T00:00:00+00:00"]


def test_many_threads_save_at_once(store: LogStore) -> None:
    threads = [
        threading.Thread(target=save, args=(store, f"n{number % 5}", "x" * 1000))
        for number in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {kept.runner for kept in store.listing()} == {f"n{number}" for number in range(5)}


def test_a_directory_of_another_users_is_not_used(store: LogStore, directory: Path) -> None:
    directory.mkdir(parents=True)
    os.chown(directory, 65534, 65534)
    with pytest.raises(PermissionError, match="belongs to another user"):
        save(store, "one")
    assert names(directory) == []


def test_what_is_no_file_is_passed_over_and_costs_no_descriptor(
    store: LogStore, directory: Path
) -> None:
    save(store, "one")
    (directory / "two.log").mkdir()
    os.mkfifo(directory / "three.log")
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for _ in range(5):
        assert [kept.runner for kept in store.listing()] == ["one"]
        assert store.read("two") is None
        assert store.read("three") is None
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) <= before


def test_of_a_file_that_is_huge_only_so_much_is_read(store: LogStore, directory: Path) -> None:
    save(store, "one")
    with (directory / "one.log").open("a") as file:
        file.truncate(2**33)
    kept = store.read("one")
    assert kept is not None
    assert len(kept.text) == 17 * 2**20


def test_a_long_reason_in_whatever_letters_is_listed(store: LogStore) -> None:
    save(store, "one", reason="\N{GRINNING FACE}" * 2000, most_bytes=2**20)
    assert [kept.runner for kept in store.listing()] == ["one"]
