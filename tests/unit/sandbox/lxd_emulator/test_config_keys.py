from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.lxd_emulator import config_keys
from sandbox.lxd_emulator.errors import LxdError

_CHARACTERS = "Invalid instance name: Name can only contain"


@given(st.text(min_size=1, max_size=70) | st.from_regex(r"[a-c1-]{1,5}", fullmatch=True))
def test_a_name_that_is_taken_is_a_host_name(name: str) -> None:
    try:
        config_keys.check_name(name)
    except LxdError as error:
        refusal = error.text
        assert refusal.startswith(("Invalid instance name: Name must", _CHARACTERS))
    else:
        assert len(name) <= 63
        assert name.isascii()
        assert not name[0].isdigit()
        assert name.strip("-") == name


@pytest.mark.parametrize("key", ["security.nesting", "limits.processes", "raw.lxc"])
def test_keys_of_containers_are_unknown_to_machines(key: str) -> None:
    config_keys.check_config({key: "1"}, "container")
    with pytest.raises(LxdError, match="Unknown configuration key"):
        config_keys.check_config({key: "1"}, "virtual-machine")


@given(st.integers(min_value=0), st.sampled_from(["", "MB", "GiB", "kB"]))
def test_sizes_are_whole_numbers_with_a_unit(number: int, unit: str) -> None:
    assert config_keys.size(f"{number}{unit}") is None
    assert config_keys.size(f"-{number}{unit}") is not None
    assert config_keys.size(f"{number}.5{unit}") is not None
