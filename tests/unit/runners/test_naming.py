from hypothesis import given
from hypothesis import strategies as st

from supervisor.runners.naming import (
    BUILDERS,
    MAX_INSTALLATION_LENGTH,
    belongs_to,
    is_made_by,
    new_builder_name,
    new_runner_name,
    runner_name,
)

installations = st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)


@given(installations)
def test_an_installation_recognises_the_names_it_makes(installation: str) -> None:
    name = new_runner_name(installation)
    assert belongs_to(installation, name)
    assert len(name) <= 63
    assert name.replace("-", "").isalnum()


@given(installations, installations)
def test_no_other_installation_claims_them(one: str, other: str) -> None:
    if one != other:
        assert not belongs_to(other, new_runner_name(one))


@given(installations, st.from_regex(r"-?[a-z0-9]{1,7}", fullmatch=True))
def test_a_longer_name_is_not_claimed_by_its_beginning(installation: str, more: str) -> None:
    assert not belongs_to(installation, new_runner_name(installation + more))
    assert not belongs_to(installation + more, new_runner_name(installation))


@given(installations, st.text(max_size=70))
def test_an_arbitrary_name_is_not_claimed(installation: str, name: str) -> None:
    made_like_ours = name.startswith(f"{installation}-") and len(name) == len(installation) + 13
    assert belongs_to(installation, name) <= made_like_ours


def test_a_name_is_claimed_whole() -> None:
    name = new_runner_name("web")
    for other in (f"{name}\n", name[:-1], f"{name}x", f"x{name}", name.upper()):
        assert not belongs_to("web", other)
    assert not belongs_to("w.b", name)


@given(
    st.from_regex(r"[a-z0-9]{10}", fullmatch=True), st.from_regex(r"[a-z0-9]{2}", fullmatch=True)
)
def test_only_one_check_fits(unique: str, check: str) -> None:
    name = f"web-{unique}{check}"
    assert belongs_to("web", name) == (name == runner_name("web", unique))


def test_names_that_people_give_are_not_claimed() -> None:
    given = ["buildserver1", "frontend-001", "ubuntu-24-04", "workernode12", "integration1"]
    assert not any(belongs_to("gpu", f"gpu-{name}") for name in given)


def test_no_two_names_of_many_are_alike() -> None:
    assert len({new_runner_name("fleet") for _ in range(5000)}) == 5000


def test_the_longest_installation_leaves_room_for_lxd() -> None:
    assert len(new_runner_name("x" * MAX_INSTALLATION_LENGTH)) <= 63


@given(installations, st.sampled_from(BUILDERS))
def test_an_installation_recognises_all_that_it_makes_and_no_other_does(
    installation: str, kind: str
) -> None:
    builder, runner = new_builder_name(installation, kind), new_runner_name(installation)
    assert is_made_by(installation, builder)
    assert is_made_by(installation, runner)
    assert not belongs_to(installation, builder)
    for other in (f"{installation}-2", f"{installation}-image", f"x{installation}"):
        assert not is_made_by(other, builder)
        assert not is_made_by(other, runner)
    assert not is_made_by(installation, f"{installation}-image-{kind}-12345678x")
    assert len(builder) <= 63
