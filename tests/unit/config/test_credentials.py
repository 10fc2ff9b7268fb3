from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from supervisor.config import Config, ConfigError, credentials, parse
from supervisor.config.credentials import AppKey, PersonalToken

SECRET = "ghp_" + "s3cr3t" * 6
RSA = rsa.generate_private_key(65537, 2048)
PUBLIC = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def pem(key: Any, password: bytes = b"", form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    encryption: KeySerializationEncryption = NoEncryption()
    if password:
        encryption = BestAvailableEncryption(password)
    text: str = key.private_bytes(Encoding.PEM, form, encryption).decode()
    return text


def with_app(file: Path) -> Config:
    app = {"id": 12345, "installation-id": 678, "private-key-file": str(file)}
    return parse({"name": "a", "path": "b", "app": app}, "x")


def test_a_token_in_the_configuration_is_the_credential() -> None:
    config = parse({"name": "a", "path": "b", "token": SECRET}, "x")
    assert credentials.read(config) == PersonalToken(SECRET)


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("ghp_abc", "classic personal access token"),
        ("0123456789abcdef0123456789abcdef01234567", "classic personal access token"),
        ("github_pat_abc", "fine-grained personal access token"),
        ("gho_abc", "OAuth token"),
        ("ghu_abc", "GitHub App's user token"),
        ("ghs_1_a.b-c_d", "installation token"),
        ("something", "personal access token"),
    ],
)
def test_a_token_shows_its_kind_and_never_itself(token: str, kind: str) -> None:
    credential = PersonalToken(token)
    assert credential.kind == kind
    assert token not in repr(credential)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_apps_key_is_read_from_its_file(tmp_path: Path, form: PrivateFormat) -> None:
    text = pem(RSA, form=form)
    credential = credentials.read(with_app(written(tmp_path / "key", text)))
    assert credential == AppKey("12345", 678, text)
    assert credential.kind == "GitHub App 12345"
    assert "PRIVATE" not in repr(credential)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" \n", "is empty"),
        (SECRET, "is not PEM"),
        (pem(RSA).replace("A", "B"), "is damaged, or not a private key"),
        (pem(RSA)[:900], "is damaged, or not a private key"),
        (pem(RSA, b"password"), "is encrypted"),
        (pem(RSA, b"password", PrivateFormat.TraditionalOpenSSL), "is encrypted"),
        (pem(RSA, form=PrivateFormat.OpenSSH), "is in OpenSSH's own format"),
        (PUBLIC, "is a public key"),
        (PUBLIC.replace("PUBLIC KEY", "CERTIFICATE"), "is a certificate"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "is an elliptic-curve key"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "is an elliptic-curve key"),
        (pem(x25519.X25519PrivateKey.generate()), "is a key of another kind than RSA"),
        ("x" * 70_000, "is longer than 64 KiB"),
    ],
    ids=[
        "empty",
        "no key",
        "damaged",
        "cut",
        "encrypted",
        "encrypted traditionally",
        "openssh",
        "public",
        "certificate",
        "elliptic",
        "edwards",
        "other",
        "long",
    ],
)
def test_a_key_that_can_not_be_used_is_refused_and_not_shown(
    tmp_path: Path, text: str, reason: str
) -> None:
    file = written(tmp_path / "key", text)
    with pytest.raises(ConfigError) as caught:
        credentials.read(with_app(file))
    assert str(caught.value).startswith(f"app.private-key-file: {file}: {reason}")
    assert not any(line in str(caught.value) for line in text.split() if len(line) > 20)
    assert "\n" not in str(caught.value)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the file is open to others"):
        credentials.read(with_app(written(tmp_path / "key", pem(RSA), 0o640)))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    config = parse({"name": "a", "path": "b", "token-file": str(tmp_path / "pipe")}, "x")
    with pytest.raises(ConfigError, match="is not a regular file"):
        credentials.read(config)


def test_the_stamp_changes_with_the_file_and_with_what_a_link_points_to(tmp_path: Path) -> None:
    link = tmp_path / "token"
    config = parse({"name": "a", "path": "b", "token-file": str(link)}, "x")
    stamps = [credentials.stamp(config)]
    for number in range(3):
        target = written(tmp_path / f"v{number}", "x" * (number + 1))
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        stamps.append(credentials.stamp(config))
        assert credentials.stamp(config) == stamps[-1]
    assert len({str(one) for one in stamps}) == 4


def test_the_stamp_changes_with_the_configuration() -> None:
    first, second = (
        credentials.stamp(parse({"name": "a", "path": "b", "token": token}, "x"))
        for token in ("first", "second")
    )
    assert first != second


def test_a_token_file_is_read_anew_each_time(tmp_path: Path) -> None:
    file = written(tmp_path / "token", "first")
    config = parse({"name": "a", "path": "b", "token-file": str(file)}, "x")
    assert credentials.read(config) == PersonalToken("first")
    file.write_text("second\n")
    assert credentials.read(config) == PersonalToken("second")


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        ("", 0o600, "is empty"),
        (" \n", 0o600, "is empty"),
        ("a\nb\n", 0o600, "must be one line"),
        ("sécret", 0o600, "must be one line"),
        (SECRET, 0o644, "the file is open to others"),
        (SECRET, 0o660, "the file is open to others"),
    ],
)
def test_a_token_file_that_can_not_be_used_is_refused(
    tmp_path: Path, content: str, mode: int, reason: str
) -> None:
    file = written(tmp_path / "token", content, mode)
    config = parse({"name": "a", "path": "b", "token-file": str(file)}, "x")
    with pytest.raises(ConfigError) as caught:
        credentials.read(config)
    assert str(caught.value).startswith(f"token-file: {file}: {reason}")
    assert "cret" not in str(caught.value)


def test_a_token_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = parse({"name": "a", "path": "b", "token-file": str(tmp_path / "none")}, "x")
    with pytest.raises(ConfigError, match=r"^token-file: .*none: can't be read: No such file"):
        credentials.read(config)


# What systemd gives a service.


def at_systemds() -> Config:
    return parse({"name": "a", "path": "b", "token-file": "$CREDENTIALS_DIRECTORY/token"}, "x")


def test_a_credential_of_the_units_is_read_where_systemd_has_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    written(tmp_path / "token", "first", 0o400)
    assert credentials.read(at_systemds()) == PersonalToken("first")
    app = {"id": 1, "installation-id": 2, "private-key-file": "$CREDENTIALS_DIRECTORY/app.pem"}
    written(tmp_path / "app.pem", pem(RSA), 0o400)
    found = credentials.read(parse({"name": "a", "path": "b", "app": app}, "x"))
    assert isinstance(found, AppKey)
    keys = {"url": "https://policy.example.com", "token-file": "$CREDENTIALS_DIRECTORY/other"}
    policy = {"policy": {"mode": "external", **keys}}
    written(tmp_path / "other", "second", 0o400)
    config = parse({"name": "a", "path": "b", "token": SECRET, **policy}, "x")
    assert credentials.read_policy_token(config) == "second"


def test_a_credential_that_systemd_gives_by_an_access_list_is_no_open_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    file = written(tmp_path / "token", "first", 0o440)
    assert credentials.read(at_systemds()) == PersonalToken("first")
    for mode in (0o444, 0o460):
        file.chmod(mode)
        with pytest.raises(ConfigError, match=r"^token-file: \$CRED.*: the file is open to others"):
            credentials.read(at_systemds())


def test_without_systemd_its_credentials_are_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    said = r"^token-file: \$CREDENTIALS_DIRECTORY/token: CREDENTIALS_DIRECTORY is not set"
    with pytest.raises(ConfigError, match=said):
        credentials.read(at_systemds())
    assert credentials.stamp(at_systemds()) == credentials.stamp(at_systemds())


def test_the_stamp_of_a_credential_of_the_units_changes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    before = credentials.stamp(at_systemds())
    written(tmp_path / "token", "first")
    assert credentials.stamp(at_systemds()) != before
