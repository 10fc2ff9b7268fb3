from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config import Config, parse
from supervisor.github import places


def config(**changes: str) -> Config:
    given = {"name": "fleet", "path": "acme", "token": "s", **changes}
    return parse({key.replace("_", "-"): value for key, value in given.items()}, "test")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({}, "https://github.com/acme"),
        ({"path": "Acme/Demo.x"}, "https://github.com/acme/demo.x"),
        ({"path": "enterprises/Big"}, "https://github.com/enterprises/big"),
        ({"github_url": "https://api.github.com"}, "https://github.com/acme"),
        (
            {"github_url": "https://git.example.com:8443/api/v3"},
            "https://git.example.com:8443/acme",
        ),
        ({"github_url": "http://127.0.0.1:80"}, "http://127.0.0.1/acme"),
        ({"github_url": "http://[::1]:8080"}, "http://[::1]:8080/acme"),
    ],
)
def test_a_place_has_one_name_however_it_is_spelled_and_can_be_read_again(
    changes: dict[str, str], place: str
) -> None:
    assert places.of(config(**changes)) == place
    assert places.parse(place) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acme",
        "https://github.com",
        "https://github.com/",
        "https://github.com/a/b/c",
        "https://github.com/Acme",
        "https://api.github.com/acme",
        "http://github.com/acme",
        "https://user@github.example.com/acme",
        "https://github.com/acme?x",
        "https://[/acme",
    ],
)
def test_what_is_no_place_is_none(text: str) -> None:
    assert places.parse(text) == ""


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert places.parse(text) in {"", text}


def test_another_place_of_the_same_github_is_asked_with_the_same_credential() -> None:
    there = places.config_at(config(path="acme/demo"), "https://github.com/acme")
    assert there is not None
    assert (there.path, there.github_url, there.token) == (
        "acme",
        "https://github.com",
        config().token,
    )


def test_a_credential_is_not_shown_to_another_github() -> None:
    assert places.config_at(config(), "https://github.example.com/acme") is None
    assert places.config_at(config(), "https://github.example.com:8443/acme") is None


def test_a_place_is_called_by_its_path_where_that_says_all() -> None:
    assert places.in_words("https://github.com/acme/demo", config()) == "acme/demo"
    other = "https://github.example.com/acme"
    assert places.in_words(other, config()) == other
