"""What must be there before a runner is made, and what one is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from supervisor.firewall.intent import intent_of
from supervisor.host import storage
from supervisor.messages.firewall import FirewallChanged
from supervisor.messages.image import ImageChanged
from supervisor.messages.policy import PolicyChanged
from supervisor.messages.storage import StorageChanged
from supervisor.messages.upgrades import ApplicationChanged
from supervisor.runners.blueprints import Blueprint, blueprint_of

if TYPE_CHECKING:
    from supervisor.config import Config


@dataclass(frozen=True)
class RunnerNeeds:
    """What others have told of it; whether GitHub can register one is another matter.

    Attributes:
        signals: where guests report; empty while they can't.
        storage: the pool for their disks.
        firewall: what holds them to what they may reach.
        policy: what says whether their jobs may run.
        application: what they run.
        image: what they start from.
    """

    signals: str = ""
    storage: StorageChanged = field(
        default_factory=lambda: StorageChanged(reason="the storage pool has not been looked at yet")
    )
    firewall: FirewallChanged = field(
        default_factory=lambda: FirewallChanged(
            in_place=False, reason="the firewall has not been looked at yet"
        )
    )
    policy: PolicyChanged = field(
        default_factory=lambda: PolicyChanged(
            healthy=False, reason="the policy service has not been looked at yet"
        )
    )
    application: ApplicationChanged = field(
        default_factory=lambda: ApplicationChanged(reason="none has been looked for yet")
    )
    image: ImageChanged = field(
        default_factory=lambda: ImageChanged(reason="the image has not been looked at yet")
    )

    def lacking(self, config: Config) -> str:
        """Say what is missing for a configuration; empty if nothing is."""
        if not self.signals:
            return "guests can't report yet"
        if not self._has_storage(config):
            return self.storage.reason or "the storage pool is being made ready"
        if self.firewall.in_place and not self._has_firewall(config):
            return "the firewall is being changed to what is configured"
        if self.firewall.reason:
            return self.firewall.reason
        return self._lacking_material(config) or self._lacking_policy(config)

    def knows_blueprint(self, config: Config) -> bool:
        """Tell whether all is known that runners are made from.

        The kernel tells what LXD can filter, `upgrades` what guests run, `image` what they start
        from, `firewall` which tmate servers they could reach.
        """
        has_application = self.application.application is not None
        has_ipv6 = self.firewall.filters_ipv6 is not None
        return (
            has_application and self._has_image(config) and has_ipv6 and self._knows_servers(config)
        )

    def blueprint(self, config: Config) -> Blueprint:
        """Say what runners are made from, as far as it is known."""
        application = self.application.application
        return blueprint_of(
            config,
            ipv6_filtering=self.firewall.filters_ipv6 is not False,
            application=application.sha256 if application else "",
            image=self.image.image,
            left_out={one for one, obstacle in self.firewall.servers.items() if obstacle},
        )

    def _lacking_material(self, config: Config) -> str:
        """Say what is missing of that which runners are made from."""
        if self.application.application is None:
            return f"no verified runner application yet: {self.application.reason}"
        if not self.image.image:
            return self.image.reason
        if not self._has_image(config):
            return "the image is being changed to what is configured"
        return ""

    def _lacking_policy(self, config: Config) -> str:
        """Say why the jobs of runners made now could not be checked, if they have to be."""
        is_there = config.policy.mode == "off" or self.policy.healthy
        return "" if is_there else self.policy.reason

    def _has_storage(self, config: Config) -> bool:
        """Tell whether the pool is there, and large enough for a configuration."""
        is_right = self.storage.pool == storage.pool_name(config)
        return is_right and self.storage.size >= storage.wanted_bytes(config)

    def _has_firewall(self, config: Config) -> bool:
        """Tell whether guests would be held to what a configuration wants."""
        is_wanted = self.firewall.intent == intent_of(config) and self._knows_servers(config)
        return self.firewall.in_place and is_wanted

    def _has_image(self, config: Config) -> bool:
        """Tell whether there is an image for instances of the configured type."""
        return bool(self.image.image) and self.image.instance_type == config.lxd.instance_type

    def _knows_servers(self, config: Config) -> bool:
        """Tell whether each tmate server of a configuration has been looked at."""
        return all((one.host, one.port) in self.firewall.servers for one in config.ssh_debug)
