"""A secret of a configuration: which there are, and that none is quoted."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config import ConfigError, load, parse
from tests.unit.config.examples import APP, MINIMUM, SECRET, refusal, written


@pytest.mark.parametrize("changes", [{"token-file": "/x"}, {"app": APP}, {"token": None}])
def test_there_is_one_credential_and_not_two(changes: dict[str, Any]) -> None:
    line = refusal(**changes)
    assert line.startswith("config.yaml: give one of token, token-file and app; for example `token")


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "sécret", "\x00"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml: token: must be one line"):
        parse({**MINIMUM, "token": token}, "config.yaml")


@pytest.mark.parametrize(
    "given",
    [
        SECRET,
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----\n",
        "relative/token",
        "",
        f"/{SECRET}\0",
        f"/{SECRET}\n",
        f"/{SECRET}\ud800",
        "/" + SECRET * 200,
        f"$CREDENTIALS_DIRECTORY/{SECRET}\n",
        f"$CREDENTIALS_DIRECTORY/../{SECRET}",
        f"$CREDENTIALS_DIRECTORY/{SECRET}/token",
        "$CREDENTIALS_DIRECTORY",
        "$CREDENTIALS_DIRECTORY/..",
    ],
)
def test_a_secret_in_the_place_of_its_file_is_refused_and_not_quoted(given: str) -> None:
    rule = "must be the absolute path of a file; for example"
    line = refusal(token=None, token_file=given)
    assert line.startswith(f"config.yaml: token-file: {rule} `token-file: /etc/")
    app = {"id": 12345, "installation-id": 678, "private-key-file": given}
    line = refusal(token=None, app=app)
    assert line.startswith(f"config.yaml: app.private-key-file: {rule} `private-key-file: /etc/")


@given(st.text(min_size=4))
def test_a_refused_token_is_never_quoted(token: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({**MINIMUM, "token": {"nested": f"t0k3n{token}"}, "vm-cpu": "x"}, "config.yaml")
    assert "t0k3n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert SECRET not in repr(parse(MINIMUM, "x"))


@pytest.mark.parametrize("app_id", [12345, "12345", "Iv23liAbCd.E-f"])
def test_an_app_is_named_by_its_number_or_client_id(app_id: object) -> None:
    config = parse({"name": "a", "path": "b", "app": {**APP, "id": app_id}}, "x")
    assert config.app is not None
    assert config.app.id == str(app_id)


def test_a_key_of_the_app_that_is_missing_is_named_with_an_example() -> None:
    line = refusal(token=None, app={"id": 1, "private-key-file": "/key"})
    expected = "app.installation-id: is missing; for example `installation-id: 678`"
    assert line == f"config.yaml: {expected}"


@pytest.mark.parametrize(
    "text", [f"token: *{SECRET}\n", f"token: !{SECRET} x\n", f"token: %{SECRET}"]
)
def test_yamls_own_words_do_not_quote_a_secret(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"line 1, column \d+: ") as caught:
        load(written(tmp_path / "c.yaml", text))
    assert SECRET not in str(caught.value)
