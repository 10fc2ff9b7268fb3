from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.github.credential import AppKey, PersonalToken
from supervisor.policy_service import settings
from supervisor.policy_service.settings import SettingsError

SECRET = base64.b64encode(b"0123456789abcdef").decode()


def given_settings(**changes: Any) -> dict[str, Any]:
    return {
        "github": {
            "api_url": "https://api.github.com",
            "credential": {"token": "ghp_secret"},
            "proxies": {"http": None, "https": None, "exceptions": []},
        },
        "charm_token": "charm-secret",
        "token_secrets": [SECRET],
        "state_directory": "/run/policy",
        "policy": None,
        "decisions": "/var/log/policy.jsonl",
        **changes,
    }


def parse(**changes: Any) -> settings.Settings:
    return settings.parse(json.dumps(given_settings(**changes)).encode())


def test_settings_are_read_whole_and_show_no_secret() -> None:
    found = parse()
    assert found.credential == PersonalToken("ghp_secret")
    assert found.token_secrets == (b"0123456789abcdef",)
    assert found.state_directory == Path("/run/policy")
    assert "secret" not in repr(found)
    assert "0123456789" not in repr(found)


def test_an_app_and_proxies_are_taken() -> None:
    github = {
        "api_url": "https://ghes.example/api/v3/",
        "credential": {"app": {"id": 7, "installation_id": 8, "private_key": "PEM"}},
        "proxies": {"https": "http://user:pw@proxy:3128", "exceptions": ["10.0.0.0/8"]},
    }
    found = parse(github=github)
    assert found.credential == AppKey("7", 8, "PEM")
    assert found.api_url == "https://ghes.example/api/v3"
    assert str(found.proxies.https) == "http://proxy:3128"
    assert "pw" not in repr(found)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"github": {"api_url": "x", "credential": {"token": "t"}}}, "github.api_url"),
        (
            {"github": {"api_url": "https://u:p@h", "credential": {"token": "t"}}},
            "github.api_url",
        ),
        ({"github": {"api_url": "https://h", "credential": {}}}, "must be token or app"),
        (
            {
                "github": {
                    "api_url": "https://h",
                    "credential": {
                        "token": "t",
                        "app": {"id": "1", "installation_id": 1, "private_key": "p"},
                    },
                }
            },
            "must be token or app",
        ),
        (
            {"github": {"api_url": "https://h", "credential": {"token": "two words"}}},
            "github.credential.token: must be one line",
        ),
        ({"charm_token": ""}, "charm_token: must be one line"),
        ({"token_secrets": []}, "token_secrets"),
        ({"scope": ""}, "scope"),
        ({"scope": "acme/demo/x"}, "scope"),
        ({"token_secrets": ["short"]}, "token_secrets: must be base64 of at least 16 bytes"),
        ({"state_directory": "relative"}, "state_directory: must be an absolute path"),
        ({"decisions": "relative"}, "decisions: must be an absolute path"),
        ({"policy": {"pushh": {}}}, "policy: the document: has no 'pushh'"),
        ({"policies": {}}, "policies"),
    ],
)
def test_a_mistake_is_named_without_any_value(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(**changes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "charm-secret" not in str(caught.value)


@given(st.binary())
def test_what_is_no_settings_is_refused_without_repeating_it(text: bytes) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.parse(b"charm-secret" + text)
    assert "charm-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_they_are_read_to_their_end_from_a_descriptor_that_is_closed_then() -> None:
    reader, writer = os.pipe()
    os.write(writer, json.dumps(given_settings()).encode())
    os.close(writer)
    assert settings.read(reader).charm_token == "charm-secret"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)


def test_a_descriptor_that_is_not_open_is_named() -> None:
    with pytest.raises(SettingsError, match="file descriptor 987: Bad file descriptor"):
        settings.read(987)
