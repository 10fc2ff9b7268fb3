from hypothesis import given
from hypothesis import strategies as st

from supervisor.naming import MAX_INSTALLATION_LENGTH, belongs_to, new_runner_name

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
    made_like_ours = name.startswith(f"{installation}-") and len(name) == len(installation) + 9
    assert belongs_to(installation, name) <= made_like_ours


def test_a_name_is_claimed_whole() -> None:
    for name in ("web-abcd1234\n", "web-abcd123", "web-abcd12345", "xweb-abcd1234", "web-ABCD1234"):
        assert not belongs_to("web", name)
    assert not belongs_to("w.b", "web-abcd1234")


def test_no_two_names_of_many_are_alike() -> None:
    assert len({new_runner_name("fleet") for _ in range(5000)}) == 5000


def test_the_longest_installation_leaves_room_for_lxd() -> None:
    assert len(new_runner_name("x" * MAX_INSTALLATION_LENGTH)) <= 63
