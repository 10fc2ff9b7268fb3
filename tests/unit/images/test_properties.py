from dataclasses import replace
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.images.properties import BuiltImage, is_base_of, of_base
from supervisor.images.seal import Seal

SEAL = Seal(b"ours")
OTHERS = Seal(b"others'")

IMAGE = BuiltImage(
    fingerprint="f" * 64,
    installation="web",
    digest="d" * 64,
    type="container",
    application="a" * 64,
    base="b" * 64,
    built_at=datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    number=3,
    verified=True,
    aliases=("x",),
    size=7,
)


def read(properties: dict[str, str], fingerprint: str = "f" * 64) -> BuiltImage | None:
    return BuiltImage.read(fingerprint, properties, SEAL, aliases=("x",), size=7)


def test_what_an_image_says_of_itself_is_read_again() -> None:
    assert read(IMAGE.properties(SEAL)) == IMAGE
    unverified = replace(IMAGE, verified=False)
    assert read(unverified.properties(SEAL)) == unverified


def test_what_others_have_made_to_look_like_ours_is_none_of_ours() -> None:
    said = IMAGE.properties(SEAL)
    assert read(IMAGE.properties(OTHERS)) is None
    assert read({key: value for key, value in said.items() if "seal" not in key}) is None
    assert read(said, "e" * 64) is None
    assert read(said | {"supervisor.seal": "\u00e9"}) is None


def test_what_is_half_made_can_not_be_made_a_verified_one() -> None:
    half_made = replace(IMAGE, fingerprint="", verified=False).properties(SEAL)
    assert read(half_made) == replace(IMAGE, verified=False)
    assert read(half_made | {"supervisor.verified": "true"}) is None
    assert read(half_made | {"supervisor.verified": "true"}, "") is None


@pytest.mark.parametrize("key", sorted(key for key in IMAGE.properties(SEAL) if "." in key))
def test_nothing_that_it_says_can_be_changed(key: str) -> None:
    said = IMAGE.properties(SEAL)
    assert read(said | {key: f"{said[key]}0"}) is None
    assert read(said | {"supervisor.more": ""}) is None
    assert read(said | {"description": "what people add is theirs"}) == IMAGE


def test_an_alias_that_is_not_its_own_is_somebody_elses() -> None:
    assert IMAGE.has_other_names
    assert not replace(IMAGE, aliases=(IMAGE.alias,)).has_other_names
    assert replace(IMAGE, aliases=(IMAGE.alias, "x")).has_other_names


def test_its_name_tells_whose_it_is_and_when_and_of_what_it_was_built() -> None:
    assert IMAGE.alias == "web-image-20300102t030405-dddddddd"


@pytest.mark.parametrize("key", ["digest", "application", "built-at", "number"])
@pytest.mark.parametrize("value", ["", "nonsense"])
def test_one_that_says_too_little_is_never_taken_for_verified(key: str, value: str) -> None:
    said = IMAGE.properties(SEAL) | {f"supervisor.{key}": value}
    found = read(SEAL.put("f" * 64, said))
    assert found is None or not found.verified


@given(st.dictionaries(st.text(), st.text()))
def test_an_image_of_others_is_none_of_ours(properties: dict[str, str]) -> None:
    assert read(properties) is None


def test_a_base_image_is_known_for_whom_it_was_pulled() -> None:
    assert is_base_of("web", "f", of_base("web", "f", SEAL), SEAL)
    assert not is_base_of("web", "f", of_base("web-2", "f", SEAL), SEAL)
    assert not is_base_of("web", "f", of_base("web", "e", SEAL), SEAL)
    assert not is_base_of("web", "f", of_base("web", "f", OTHERS), SEAL)
    assert not is_base_of("web", "f", {}, SEAL)
