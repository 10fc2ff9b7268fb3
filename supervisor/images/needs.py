"""What must be there before an image is built: its builder is a guest like any other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from supervisor.firewall.intent import intent_of
from supervisor.host import storage
from supervisor.messages.firewall import FirewallChanged
from supervisor.messages.storage import StorageChanged
from supervisor.messages.upgrades import ApplicationChanged

if TYPE_CHECKING:
    from supervisor.config import Config


@dataclass(frozen=True)
class Needs:
    """What others have told of it.

    Attributes:
        application: what runners run.
        signals: where guests report; empty while they can't.
        storage: the pool for their disks.
        firewall: what holds them to what they may reach.
    """

    application: ApplicationChanged = field(
        default_factory=lambda: ApplicationChanged(reason="none has been looked for yet")
    )
    signals: str = ""
    storage: StorageChanged = field(default_factory=StorageChanged)
    firewall: FirewallChanged = field(default_factory=lambda: FirewallChanged(in_place=False))

    def lacking(self, config: Config) -> str:
        """Say what is missing for a configuration; empty if nothing is."""
        if self.application.application is None:
            return f"no verified runner application yet: {self.application.reason}"
        if not self.signals:
            return "guests can't report yet"
        pool = storage.pool_name(config)
        if self.storage.pool != pool or self.storage.size < storage.wanted_bytes(config):
            return self.storage.reason or "the storage pool is being made ready"
        if not self.firewall.in_place:
            return self.firewall.reason or "the firewall has not been looked at yet"
        if self.firewall.intent != intent_of(config):
            return "the firewall is being changed to what is configured"
        return ""
