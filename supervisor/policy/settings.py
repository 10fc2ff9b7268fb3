"""What the policy service is told when it starts, made of the configuration and the secrets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from supervisor.github.credential import AppKey, Credential
from supervisor.github.scope import GitHubPlace, Scope, ScopeKind
from supervisor.policy import limits as policy_limits
from supervisor.policy.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from supervisor.config import Config
    from supervisor.policy.secrets import Ring


@dataclass(frozen=True)
class Told:
    """Everything that makes one run of the service differ from another.

    Attributes:
        config: in force.
        credential: what it asks GitHub with.
        document: the policy document; None for the usual policy.
        ring: secrets that sign guests' tokens.
        directory: its own.
        program: what is run, where it is not the service built in.
    """

    config: Config
    credential: Credential = field(repr=False)
    document: Any
    ring: Ring = field(repr=False)
    directory: Path
    program: tuple[str, ...] = ()

    @property
    def workers(self) -> int:
        """How many processes answer: a package's tokens are known to one alone."""
        return 1 if self.program else self.config.policy.workers

    @property
    def decisions(self) -> Path:
        """The file that it logs its decisions in."""
        return decisions_in(self.directory)

    @property
    def threads(self) -> int:
        """How many requests one worker answers at a time.

        So many that hostile guests leave enough for the others, as far as that is possible.
        """
        return policy_limits.threads_for(self.config.virtual_machines)

    def made_from(self, address: str) -> str:
        """Give a text that is equal for two that need no other process, and tells no secret."""
        policy = self.config.policy
        how = [self.workers, self.threads, policy.user, address, *self.program]
        whole = json.dumps([self._document("", ()), how], sort_keys=True)
        return sha256(whole.encode()).hexdigest()

    def settings(self, charm_token: str, probes: Secret) -> str:
        """Write the settings.

        Args:
            charm_token: for whoever runs the service.
            probes: signs the tokens by which this run is told from others.
        """
        return json.dumps(self._document(charm_token, (probes,)))

    def secrets(self) -> tuple[str, ...]:
        """Give what may stand in no log."""
        given = self.credential
        keys = given.private_key.splitlines() if isinstance(given, AppKey) else [given.token]
        signing = [one.encoded for one in self.ring]
        return tuple(filter(None, (*keys, *signing, *self.config.proxies.secrets())))

    def _document(self, charm_token: str, more: tuple[Secret, ...]) -> dict[str, Any]:
        proxies, credential = self.config.proxies, self.credential
        scope = Scope.parse(self.config.path)
        hosted = {"app": self.config.policy.package_app} if self.program else {}
        return {
            **hosted,
            "github": {
                "api_url": GitHubPlace.parse(self.config.github_url).api_url,
                "credential": _written(credential),
                "proxies": {
                    "http": proxies.http.url if proxies.http else None,
                    "https": proxies.https.url if proxies.https else None,
                    "exceptions": proxies.exceptions,
                },
            },
            "charm_token": charm_token,
            "token_secrets": [one.encoded for one in (*self.ring, *more)],
            "state_directory": str(self.directory),
            "policy": self.document,
            "decisions": str(self.decisions),
            "scope": None if scope.kind is ScopeKind.ENTERPRISE else scope.name,
        }


def directory_of(config: Config) -> Path:
    """Say where the service keeps what it must not forget."""
    return config.state_directory / "policy"


def decisions_in(directory: Path) -> Path:
    """Say where it logs its decisions."""
    return directory / "decisions.jsonl"


def _written(credential: Credential) -> dict[str, Any]:
    if isinstance(credential, AppKey):
        return {
            "app": {
                "id": credential.app_id,
                "installation_id": credential.installation_id,
                "private_key": credential.private_key,
            }
        }
    return {"token": credential.token}
