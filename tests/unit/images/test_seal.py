"""What an installation has sealed, and what anybody may have written."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.images.seal import Seal

SEAL = Seal(b"ours")
_PROPERTIES = st.dictionaries(st.text().map(lambda key: f"supervisor.{key}"), st.text())


@given(st.text(), _PROPERTIES)
def test_what_is_sealed_holds_for_its_image_and_key_alone(
    fingerprint: str, properties: dict[str, str]
) -> None:
    sealed = SEAL.put(fingerprint, properties)
    assert SEAL.holds(fingerprint, sealed)
    assert not SEAL.holds(f"{fingerprint}0", sealed)
    assert not Seal(b"others'").holds(fingerprint, sealed)
    assert not SEAL.holds(fingerprint, properties | {"supervisor.seal": ""})


@given(st.text(), _PROPERTIES, _PROPERTIES)
def test_no_other_properties_have_the_same_seal(
    fingerprint: str, one: dict[str, str], other: dict[str, str]
) -> None:
    one.pop("supervisor.seal", None)
    other.pop("supervisor.seal", None)
    sealed = SEAL.put(fingerprint, one)
    changed = other | {"supervisor.seal": sealed["supervisor.seal"]}
    assert SEAL.holds(fingerprint, changed) == (one == other)


def test_the_key_is_not_shown() -> None:
    assert "ours" not in repr(SEAL)
