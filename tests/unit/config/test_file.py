"""The file of a configuration: what is in it, who may read it, and that it is one."""

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config import ConfigError, load, parse
from tests.unit.config.examples import EXTERNAL, MINIMUM, PACKAGE, SECRET, refusal, written


def test_a_file_is_loaded(tmp_path: Path) -> None:
    path = written(tmp_path / "c.yaml", yaml.safe_dump(MINIMUM))
    assert load(path) == parse(MINIMUM, "x")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_with_a_token_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "c.yaml", yaml.safe_dump(MINIMUM), mode)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: token: ")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("key", ["http-proxy", "https-proxy"])
def test_a_proxy_with_a_password_makes_the_file_a_secret(tmp_path: Path, key: str) -> None:
    given_ = {"name": "a", "path": "b", "token-file": "/t", key: f"http://me:{SECRET}@p:3128"}
    path = written(tmp_path / "c.yaml", yaml.safe_dump(given_), 0o644)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: {key}: the file is open to others (mode 0644)")
    assert SECRET not in str(caught.value)
    assert load(written(path, yaml.safe_dump(given_), 0o600)).proxies
    assert load(written(path, yaml.safe_dump({**given_, key: "http://p:3128"}), 0o644)).proxies


def test_a_file_without_a_token_may_be_read_by_all(tmp_path: Path) -> None:
    token = written(tmp_path / "token", f"{SECRET}\n")
    path = written(tmp_path / "c.yaml", f"name: a\npath: b\ntoken-file: {token}\n", 0o644)
    assert load(path).token_file == token


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: a\nname: b\n", "line 2, column 1: the key 'name' stands twice"),
        ("lxd:\n  pool: a\n  pool: b\n", "line 3, column 3: the key 'pool' stands twice"),
        ("? [a, b]\n: c\n", "line 1, column 3: a key must be a word"),
        ("1: 2\n", "line 1, column 1: a key must be a word"),
        ("name: [\n", "line 2, column 1:"),
        ("name: 2001-99-99\n", "holds a value that YAML can't read"),
        ("name: !!python/object/apply:os.getcwd []\n", "line 1, column 7: could not determine"),
        ("just words", "must hold keys and values"),
        ("- a\n- b\n", "must hold keys and values"),
        ("", "must hold keys and values"),
        ("name: \0", "is not YAML"),
        ("[" * 5000, "holds a value that YAML can't read"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_one_line(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = written(tmp_path / "c.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: {reason}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: can't be read: No such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        load(tmp_path)


@given(st.binary(max_size=60) | st.text(alphabet="ab:-? \n[]{}&*!<>|'\"#%@01", max_size=40))
def test_whatever_a_file_holds_it_is_a_configuration_or_a_clear_refusal(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError):
        load(path)


def test_a_key_can_not_speak_to_the_terminal() -> None:
    assert "\x1b" not in refusal(**{"\x1b]0;pwn\x07": 1})


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="is not a regular file"):
        load(tmp_path / "pipe")


@pytest.mark.parametrize("key", ["package", "package-index"])
def test_a_file_with_a_login_for_a_package_is_closed_to_others(tmp_path: Path, key: str) -> None:
    path = tmp_path / "config.yaml"
    login = f"https://me:{SECRET}@files.example/x.whl"
    keys = {"name": "fleet", "path": "acme", "token-file": "/token"}
    text = yaml.safe_dump({**keys, "policy": {**PACKAGE, key: login}})
    with pytest.raises(ConfigError) as caught:
        load(written(path, text, 0o644))
    assert str(caught.value).startswith(f"{path}: policy.{key}: the file is open to others")
    assert SECRET not in str(caught.value)
    assert load(written(path, text, 0o600)).policy.package_source.secrets() == (SECRET,)


def test_a_file_with_the_policys_token_must_not_be_open_to_others(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        yaml.safe_dump({"name": "f", "path": "a", "token-file": "/t", "policy": EXTERNAL})
    )
    path.chmod(0o644)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: policy.token: the file is open to others (mode 0644); `chmod 600 {path}`, or use "
        "policy.token-file"
    )
