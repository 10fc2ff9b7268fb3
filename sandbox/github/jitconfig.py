"""The just-in-time configuration: three files of the runner application in one string."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.github.model import Runner


def encode(runner: Runner, server_url: str) -> str:
    """Return a runner's configuration as GitHub encodes it: base64 in JSON in base64.

    Args:
        runner: the registration it is for.
        server_url: where the runner finds the sandbox, without a trailing slash.
    """
    files: dict[str, object] = {
        ".runner": {
            "agentId": runner.id,
            "agentName": runner.name,
            "disableUpdate": True,
            "ephemeral": runner.ephemeral,
            "poolId": runner.group_id,
            "serverUrl": server_url,
            "gitHubUrl": f"{server_url}/{runner.scope.name}",
            "workFolder": runner.work_folder,
        },
        ".credentials": {"scheme": "OAuth", "data": {"token": runner.token}},
        ".credentials_rsaparams": {},
    }
    inner = {name: _base64(json.dumps(content)) for name, content in files.items()}
    return _base64(json.dumps(inner))


def decode(encoded: str) -> dict[str, object]:
    """Return the three files' contents by name; the opposite of `encode`.

    Raises:
        ValueError: it is no such configuration.
    """
    inner = json.loads(base64.b64decode(encoded, validate=True))
    if not isinstance(inner, dict):
        raise ValueError("a just-in-time configuration is an object of files")  # noqa: TRY004
    return {name: json.loads(base64.b64decode(content)) for name, content in inner.items()}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
