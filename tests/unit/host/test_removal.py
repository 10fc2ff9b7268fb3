from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.host import preparation, removal
from supervisor.images import properties
from supervisor.images.properties import BuiltImage
from supervisor.images.seal import PREFIX, Seal
from supervisor.planning import Registration
from supervisor.runners import marks, naming

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
SEAL, OTHER_SEAL = Seal(b"ours"), Seal(b"another's")
FINGERPRINT = "ab" * 32
OTHERS = st.sampled_from(["fleet-2", "fleets", "Fleet", "flee", "", "other"])
KEYS = st.dictionaries(
    st.sampled_from(
        [
            f"{marks.PREFIX}{key}"
            for key in ("installation", "image-builder", "prepared-for", "stage")
        ]
    )
    | st.text(max_size=9),
    OTHERS,
    max_size=4,
)


def built(installation: str = "fleet", **given: object) -> BuiltImage:
    fields = {
        "fingerprint": FINGERPRINT,
        "installation": installation,
        "digest": "d" * 64,
        "type": "container",
        "application": "e" * 64,
        "base": "f" * 64,
        "built_at": NOW,
        "number": 1,
        "verified": True,
        **given,
    }
    return BuiltImage(**fields)  # type: ignore[arg-type]


def claim(said: dict[str, str], *aliases: str, seal: Seal | None = SEAL) -> removal.Claim | None:
    return removal.claim_image("fleet", FINGERPRINT, said, aliases, seal)


# Never anything without our mark.


@given(config=KEYS)
def test_an_instance_without_our_mark_is_never_claimed(config: dict[str, str]) -> None:
    assert removal.claim_instance("fleet", "fleet-abcdefghijkl", config) is None


@given(config=KEYS, used_by=st.lists(st.text()))
def test_what_was_not_made_for_us_is_never_claimed(
    config: dict[str, str], used_by: list[str]
) -> None:
    assert removal.claim_prepared("fleet", "bridge fleet", config, used_by) is None


@given(
    said=st.dictionaries(st.text(), st.text()),
    aliases=st.lists(st.text()),
    seal=st.sampled_from([SEAL, None]),
)
def test_an_image_that_names_nobody_is_never_claimed(
    said: dict[str, str], aliases: list[str], seal: Seal | None
) -> None:
    assert removal.claim_image("fleet", FINGERPRINT, said, tuple(aliases), seal) is None


@given(name=st.text() | st.from_regex(r"fleet(-2)?-[a-z0-9]{12}", fullmatch=True))
def test_a_registration_is_claimed_by_its_whole_name_or_its_number(name: str) -> None:
    found = Registration(5, name, online=True, busy=False)
    by_name = removal.claim_registration("fleet", found, {6}, "acme")
    assert (by_name is not None) == naming.belongs_to("fleet", name)
    assert removal.claim_registration("fleet", found, {5}, "acme") is not None


# What is ours.


def test_runners_and_builders_are_ours() -> None:
    for config in ({f"{marks.PREFIX}installation": "fleet"}, marks.of_builder("fleet")):
        found = removal.claim_instance("fleet", "name", config)
        assert found == removal.Claim("instance name")


def test_a_runner_that_keeps_its_registration_is_not_ours_by_its_name_alone() -> None:
    lasting = Registration(
        5, naming.new_runner_name("fleet"), online=True, busy=False, ephemeral=False
    )
    assert removal.claim_registration("fleet", lasting, set(), "acme") is None


@pytest.mark.parametrize("verified", [True, False])
def test_an_image_that_we_have_built_is_ours(verified: bool) -> None:
    image = built(verified=verified)
    found = claim(image.properties(SEAL), image.alias)
    assert found
    assert (found.what, found.obstacle) == (f"image {FINGERPRINT[:12]} {image.alias}", "")


def test_an_image_that_we_have_pulled_is_ours() -> None:
    found = claim(properties.of_base("fleet", FINGERPRINT, SEAL))
    assert found == removal.Claim(f"image {FINGERPRINT[:12]}")


def test_an_image_that_somebody_has_named_stays() -> None:
    image = built()
    for said in (image.properties(SEAL), properties.of_base("fleet", FINGERPRINT, SEAL)):
        found = claim(said, "theirs")
        assert found
        assert "somebody has named it theirs" in found.obstacle


@pytest.mark.parametrize("seal", [SEAL, None])
def test_an_image_that_only_says_that_it_is_ours_stays(seal: Seal | None) -> None:
    forged = [
        built().properties(OTHER_SEAL),
        properties.of_base("fleet", FINGERPRINT, OTHER_SEAL),
        {f"{PREFIX}installation": "fleet"},
    ]
    for said in forged:
        found = claim(said, seal=seal)
        assert found
        assert "has not sealed it" in found.obstacle


def test_an_image_of_another_installation_is_not_ours_whoever_has_sealed_it() -> None:
    assert claim(built("fleet-2").properties(SEAL)) is None
    assert claim(properties.of_base("fleet-2", FINGERPRINT, SEAL)) is None


@given(used_by=st.lists(st.text(min_size=1)))
def test_what_somebody_uses_stays_and_he_is_named(used_by: list[str]) -> None:
    for found in (
        removal.claim_prepared("fleet", "bridge b", preparation.mark("fleet"), used_by),
        removal.claim_pool("fleet-memory", used_by),
    ):
        assert found
        assert bool(found.obstacle) == bool(used_by)
        assert all(user in found.obstacle for user in used_by)


def test_what_is_kept_is_told_with_what_is_to_be_known_of_it() -> None:
    users = ["/1.0/instances/other"]
    mark = preparation.mark("fleet")
    bridge = removal.claim_prepared("fleet", "bridge b", mark, users, removal.UNGUARDED)
    assert bridge
    assert bridge.obstacle == f"it is used by /1.0/instances/other; {removal.UNGUARDED}"
    assert removal.claim_pool("own", ["/1.0/storage-pools/own/volumes/v"]).obstacle == (
        "it is used by /1.0/storage-pools/own/volumes/v; if nobody needs it: "
        "lxc storage volume delete own VOLUME, for each; then lxc storage delete own"
    )


def test_what_leads_to_what_is_left_is_kept() -> None:
    assert removal.state_to_keep(()) == frozenset()
    assert removal.state_to_keep({"registrations"}) == {"places"}
    assert removal.state_to_keep({"images", "pools"}) == {"image-key"}
    assert removal.state_to_keep({"registrations", "images", "pools"}) <= set(removal.STATE)


def test_all_that_the_daemon_makes_in_its_state_directory_is_known() -> None:
    product = Path(removal.__file__).parents[1]
    made = re.compile(r"config\.state_directory / \"([a-z-]+)\"")
    found = {name for file in product.rglob("*.py") for name in made.findall(file.read_text())}
    assert found == set(removal.STATE)
