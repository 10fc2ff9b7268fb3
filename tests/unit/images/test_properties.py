from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.images.properties import BuiltImage, is_base_of, of_base, of_verified

IMAGE = BuiltImage(
    fingerprint="f" * 64,
    installation="web",
    digest="d" * 64,
    type="container",
    application="a" * 64,
    base="b" * 64,
    built_at=datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    verified=True,
    aliases=("x",),
    size=7,
)


def read(properties: dict[str, str]) -> BuiltImage | None:
    return BuiltImage.read("f" * 64, properties, aliases=("x",), size=7)


def test_what_an_image_says_of_itself_is_read_again() -> None:
    assert read(IMAGE.properties() | of_verified()) == IMAGE


def test_one_is_unverified_until_it_says_so() -> None:
    found = read(IMAGE.properties())
    assert found is not None
    assert not found.verified


def test_its_name_tells_whose_it_is_and_when_and_of_what_it_was_built() -> None:
    assert IMAGE.alias == "web-image-20300102t030405-dddddddd"


@pytest.mark.parametrize("key", ["digest", "application", "built-at"])
@pytest.mark.parametrize("value", ["", "nonsense"])
def test_one_that_says_too_little_is_never_taken_for_verified(key: str, value: str) -> None:
    said = IMAGE.properties() | of_verified() | {f"supervisor.{key}": value}
    found = read(said)
    assert found is None or not found.verified


@given(st.dictionaries(st.text(), st.text()))
def test_an_image_of_others_is_none_of_ours(properties: dict[str, str]) -> None:
    assert read(properties) is None


def test_a_base_image_is_known_for_whom_it_was_pulled() -> None:
    assert is_base_of("web", of_base("web"))
    assert not is_base_of("web", of_base("web-2"))
    assert not is_base_of("web", {})
