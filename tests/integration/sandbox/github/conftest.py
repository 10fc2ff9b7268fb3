"""Every answer of the sandbox GitHub in these tests is held against GitHub's own description."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from openapi_core import OpenAPI
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse

from sandbox.github import SandboxGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTION = Path(__file__).parents[3] / "data" / "github-core.openapi.json"
TOKEN = "made-up-token"

# GitHub sends these everywhere and documents them hardly anywhere.
UNDOCUMENTED = ("400", "401", "403", "404", "422", "429")
# The sandbox's own places, which GitHub does not have.
OWN = re.compile(r"/(_runner|_sandbox|actions/runner/releases)/")
# Link headers name scopes by number; the description only knows names.
BY_ID = (
    (re.compile(r"^/api/v3"), ""),
    (re.compile(r"^/organizations/\d+"), "/orgs/by-id"),
    (re.compile(r"^/repositories/\d+"), "/repos/by-id/by-id"),
    # A branch's slashes are part of its name, which the description tells in its own words only.
    (re.compile(r"(?<=/branches/)feature/"), "feature%2F"),
)


class Contract:
    """Validates each exchange; `checked` counts, so that a test can show that it was looked at."""

    def __init__(self, description: dict[str, Any]) -> None:
        self._openapi = OpenAPI.from_dict(description)
        self.enabled = True
        self.checked = 0

    def check(self, response: requests.Response) -> None:
        request = response.request
        path, _, query = (request.path_url or "").partition("?")
        if not self.enabled or OWN.match(path):
            return
        for pattern, name in BY_ID:
            path = pattern.sub(name, path)
        asked = request.copy()
        asked.url = f"https://api.github.com{path}" + (f"?{query}" if query else "")
        described = RequestsOpenAPIRequest(asked)
        if response.ok and response.status_code != requests.codes.not_modified:
            self._openapi.validate_request(described)
        self._openapi.validate_response(described, RequestsOpenAPIResponse(response))
        self.checked += 1


def _description() -> dict[str, Any]:
    description: dict[str, Any] = json.loads(DESCRIPTION.read_text())
    error = {
        "description": "undocumented",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/basic-error"}},
        },
    }
    for operations in description["paths"].values():
        for method, operation in operations.items():
            if method not in ("get", "post", "put", "patch", "delete"):
                continue
            for status in UNDOCUMENTED:
                operation["responses"].setdefault(status, copy.deepcopy(error))
            if method == "get":
                operation["responses"].setdefault("304", {"description": "not modified"})
    _admit_null(description)
    # GitHub's own pull requests have no head repository where the fork has been deleted.
    schemas = description["components"]["schemas"]
    schemas["head-repository"] = {**schemas["repository"], "nullable": True}
    for name in ("pull-request", "pull-request-simple"):
        head = schemas[name]["properties"]["head"]
        head["properties"]["repo"] = {"$ref": "#/components/schemas/head-repository"}
    return description


def _admit_null(part: Any) -> None:
    """Let a nullable enumeration be null: OpenAPI 3.0.3 wants null listed, GitHub leaves it out.

    A queued job's `conclusion` is such a one.
    """
    if isinstance(part, dict):
        if part.get("nullable") and isinstance(part.get("enum"), list):
            part["enum"] = [*part["enum"], None]
        for value in part.values():
            _admit_null(value)
    elif isinstance(part, list):
        for value in part:
            _admit_null(value)


@pytest.fixture(scope="session")
def description() -> dict[str, Any]:
    """GitHub's description, with its known defects mended."""
    return _description()


@pytest.fixture(scope="session")
def loaded_contract(description: dict[str, Any]) -> Contract:
    return Contract(description)


@pytest.fixture(autouse=True)
def contract(loaded_contract: Contract, monkeypatch: pytest.MonkeyPatch) -> Contract:
    """Hold every exchange of `requests`, PyGithub's included, against the description."""
    loaded_contract.enabled = True
    loaded_contract.checked = 0
    send = requests.Session.send

    def checked_send(
        session: requests.Session, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        response = send(session, request, **options)
        loaded_contract.check(response)
        return response

    monkeypatch.setattr(requests.Session, "send", checked_send)
    return loaded_contract


@pytest.fixture
def broken_contract(contract: Contract) -> None:
    """Switch the check off, for answers that the sandbox was told to spoil."""
    contract.enabled = False


@pytest.fixture
def github() -> Iterator[SandboxGitHub]:
    with SandboxGitHub(org="acme", token=TOKEN) as server:
        server.add_repository("acme/demo")
        yield server


class Client:
    """Asks the sandbox's REST API as a bearer of a token."""

    def __init__(self, url: str, token: str | None = TOKEN) -> None:
        self.url = url
        self.session = requests.Session()
        if token is not None:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=10, **options)

    def jitconfig(
        self, name: str, scope: str = "/orgs/acme", labels: tuple[str, ...] = ("self-hosted",)
    ) -> dict[str, Any]:
        body = {"name": name, "runner_group_id": 1, "labels": list(labels)}
        answer = self.ask("POST", f"{scope}/actions/runners/generate-jitconfig", json=body)
        assert answer.status_code == 201, answer.text
        document: dict[str, Any] = answer.json()
        return document


NewClient = Callable[..., Client]


@pytest.fixture
def new_client() -> NewClient:
    """Return what makes clients: of an address and, if another than the usual, a token."""
    return Client


@pytest.fixture(scope="session")
def app_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def public_key(app_key: rsa.RSAPrivateKey) -> str:
    public = app_key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture(scope="session")
def private_key(app_key: rsa.RSAPrivateKey) -> str:
    return app_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def client(github: SandboxGitHub) -> Client:
    return Client(github.url)
