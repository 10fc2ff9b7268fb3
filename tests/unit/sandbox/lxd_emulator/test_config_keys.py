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


_FILTERS = ("security.ipv4_filtering", "security.ipv6_filtering")


@given(
    st.dictionaries(
        st.sampled_from([*_FILTERS, "security.mac_filtering"]),
        st.sampled_from(["true", "on", "1", "false", "maybe", ""]),
    ),
    st.sampled_from(["vlan", "vlan.tagged"]),
)
def test_a_card_has_no_vlan_while_its_addresses_are_filtered(
    filters: dict[str, str], vlan: str
) -> None:
    card = {"type": "nic", **filters}
    config_keys.check_device_options("eth0", card)
    if any(config_keys.is_true(filters.get(key)) for key in _FILTERS):
        with pytest.raises(LxdError, match="IP filtering cannot be used with VLAN filtering"):
            config_keys.check_device_options("eth0", {**card, vlan: "5"})
    else:
        config_keys.check_device_options("eth0", {**card, vlan: "5"})


def test_only_the_isolation_of_a_port_must_be_a_boolean() -> None:
    for key in (*_FILTERS, "security.mac_filtering"):
        config_keys.check_device_options("eth0", {"type": "nic", key: "maybe"})
    with pytest.raises(LxdError, match="Invalid value for a boolean"):
        config_keys.check_device_options(
            "eth0", {"type": "nic", "security.port_isolation": "no way"}
        )
