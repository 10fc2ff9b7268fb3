from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from supervisor.gateways.private_file import write_whole


def test_many_who_write_the_same_file_all_succeed_and_one_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    texts = [str(number) * 20_000 for number in range(10)] * 30
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_whole(path, text), texts))
    assert path.read_text() in texts
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_can_t_be_written_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "policy.json").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "policy.json", "{}")
    assert [one.name for one in tmp_path.iterdir()] == ["policy.json"]
