"""The smallest configuration, right parts of larger ones, and what is said of wrong ones."""

from pathlib import Path
from typing import Any

import pytest

from supervisor.config import ConfigError, parse

SECRET = "ghp_" + "s3cr3t" * 6
APP: dict[str, Any] = {"id": 12345, "installation-id": 678, "private-key-file": "/key"}
MINIMUM: dict[str, Any] = {"name": "fleet", "path": "acme", "token": SECRET}


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def refusal(**changes: object) -> str:
    given = {key.replace("_", "-"): value for key, value in changes.items()}
    with pytest.raises(ConfigError) as caught:
        parse({**MINIMUM, **given}, "config.yaml")
    assert SECRET not in str(caught.value)
    return str(caught.value)


SERVER = {
    "host": "10.5.0.7",
    "port": 10022,
    "rsa-fingerprint": "SHA256:" + "r" * 43,
    "ed25519-fingerprint": "SHA256:" + "e" * 43 + "=",
}
PACKAGE = {"mode": "package", "package": "one"}
EXTERNAL = {"mode": "external", "url": "https://policy.example", "token": "s"}
