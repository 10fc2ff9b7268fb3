"""The choice among images, for any images there may be."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from supervisor.images.choice import Choice, choose, is_probe_due
from supervisor.images.properties import BuiltImage

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
_NAMES = st.sampled_from("abcdef")
_IMAGES = st.lists(
    st.builds(
        BuiltImage,
        fingerprint=_NAMES,
        installation=st.sampled_from(["web", "web-2"]),
        digest=st.sampled_from(["old", "new"]),
        type=st.sampled_from(["container", "virtual-machine"]),
        application=st.just(""),
        base=st.just(""),
        built_at=st.integers(0, 3).map(lambda hours: NOW + timedelta(hours=hours)),
        number=st.integers(0, 3),
        verified=st.booleans(),
        aliases=st.sampled_from([(), ("prod",)]),
    ),
    unique_by=lambda image: image.fingerprint,
)
_IN_USE = st.frozensets(_NAMES)


def image(fingerprint: str, digest: str = "new", *, age: int = 0, good: bool = True) -> BuiltImage:
    at = NOW - timedelta(hours=age)
    return BuiltImage(fingerprint, "web", digest, "container", "", "", at, verified=good)


def choice_of(
    *images: BuiltImage, in_use: frozenset[str] = frozenset(), current: str = ""
) -> Choice:
    return choose("new", images, in_use, current, installation="web", instance_type="container")


def test_without_images_one_is_to_be_built() -> None:
    assert choice_of() == Choice("", build=True, delete=())


def test_the_newest_of_what_is_wanted_is_used_and_the_others_go() -> None:
    there = (image("a", age=2), image("b", age=1), image("c", "old"))
    assert choice_of(*there) == Choice("b", build=False, delete=("a", "c"))


def test_the_last_good_one_is_used_while_one_is_to_be_built() -> None:
    there = (image("a", "old", age=2), image("b", "old", age=1), image("c", good=False))
    assert choice_of(*there) == Choice("b", build=True, delete=("a", "c"))
    assert choice_of(*there, current="a") == Choice("a", build=True, delete=("b", "c"))
    assert choice_of(*there, current="c").use == "b"


def test_what_was_built_last_is_used_whatever_the_clock_has_shown() -> None:
    of_2031 = replace(image("a", age=-8760), number=1)
    ordered = replace(image("b"), number=2)
    assert choice_of(of_2031, ordered, current="a") == Choice("b", build=False, delete=("a",))
    assert choice_of(of_2031, ordered, current="b").use == "b"


def test_one_that_somebody_has_named_stays() -> None:
    named = replace(image("a", age=2), aliases=("prod-of-somebody",))
    own = image("c", age=3)
    own = replace(own, aliases=(own.alias,))
    assert choice_of(named, image("b"), own) == Choice("b", build=False, delete=("c",))


def test_packages_are_looked_at_when_their_age_is_not_known() -> None:
    hour = timedelta(hours=1)
    assert not is_probe_due(image("a"), None, NOW, hour)
    assert is_probe_due(image("a", age=1), None, NOW, hour)
    assert not is_probe_due(image("a", age=2), NOW - hour / 2, NOW, hour)
    of_2031 = image("a", age=-8760)
    assert is_probe_due(of_2031, None, NOW, hour)
    assert is_probe_due(of_2031, NOW + hour, NOW, hour)
    assert not is_probe_due(of_2031, NOW - hour / 2, NOW, hour)


@given(_IMAGES, _IN_USE, _NAMES)
def test_whatever_there_is_the_choice_is_safe(
    images: list[BuiltImage], in_use: frozenset[str], current: str
) -> None:
    choice = choice_of(*images, in_use=in_use, current=current)
    by_name = {image.fingerprint: image for image in images}
    ours = {name for name, image in by_name.items() if image.installation == "web"}
    good = {name for name in ours if by_name[name].verified and by_name[name].type == "container"}
    assert not set(choice.delete) & (in_use | {choice.use})
    named = {name for name in ours if by_name[name].aliases}
    assert not set(choice.delete) & named
    assert set(choice.delete) | in_use | named | {choice.use} >= ours
    assert set(choice.delete) <= ours
    assert (choice.use in good) or (choice.use, good) == ("", set())
    wanted = {name for name in good if by_name[name].digest == "new"}
    assert choice.build == (not wanted)
    assert choice.use in wanted or choice.build


@given(_IMAGES, _IN_USE, _NAMES)
def test_once_it_is_carried_out_nothing_is_left_to_be_deleted(
    images: list[BuiltImage], in_use: frozenset[str], current: str
) -> None:
    choice = choice_of(*images, in_use=in_use, current=current)
    left = [image for image in images if image.fingerprint not in choice.delete]
    again = choice_of(*left, in_use=in_use, current=choice.use)
    assert (again.use, again.build, again.delete) == (choice.use, choice.build, ())
