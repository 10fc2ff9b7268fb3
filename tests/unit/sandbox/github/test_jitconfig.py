from __future__ import annotations

from base64 import b64encode
from datetime import datetime, timezone

import pytest

from sandbox.github.jitconfig import decode, encode
from sandbox.github.model import Runner, Scope

RUNNER = Runner(
    id=7,
    name="one",
    scope=Scope("repository", 1, "acme/demo"),
    labels=(),
    token="secret",
    created_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
    work_folder="work here",
)


def test_what_was_encoded_can_be_decoded() -> None:
    files = decode(encode(RUNNER, "http://127.0.0.1:8"))
    assert files[".credentials"] == {"scheme": "OAuth", "data": {"token": "secret"}}
    settings = files[".runner"]
    assert isinstance(settings, dict)
    assert settings["gitHubUrl"] == "http://127.0.0.1:8/acme/demo"
    assert settings["workFolder"] == "work here"


@pytest.mark.parametrize("text", ["", "!", b64encode(b"[]").decode(), b64encode(b"{").decode()])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(text)
