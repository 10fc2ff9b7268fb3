"""Actors that say what they are told to, in the place of those that a test is not about."""

from typing import Any

from supervisor.config import Config
from supervisor.firewall.intent import intent_of
from supervisor.messages.firewall import AnnounceFirewall, CheckFirewall, FirewallChanged
from supervisor.messages.image import AnnounceImage, ImageChanged
from supervisor.messages.storage import AnnounceStorage, StorageChanged
from supervisor.messages.upgrades import AnnounceApplication, ApplicationChanged, CheckUpgrades
from supervisor.supervision import Actor, System, handles
from supervisor.upgrades.application import Application

IMAGE = "1a" * 32
FILENAME = "actions-runner-linux-x64-2.300.0.tar.gz"
APPLICATION = Application(f"https://github.example/{FILENAME}", "0" * 64, FILENAME)


def guarded(config: Config, *, filters_ipv6: bool = True) -> FirewallChanged:
    """Say that all is in place that a configuration wants of the firewall."""
    return FirewallChanged(
        in_place=True,
        intent=intent_of(config),
        filters_ipv6=filters_ipv6,
        servers={(one.host, one.port): "" for one in config.ssh_debug},
    )


def image_of(fingerprint: str, instance_type: str = "virtual-machine") -> ImageChanged:
    """Say that runners start from this image."""
    return ImageChanged(fingerprint, instance_type=instance_type)


class FakeStorage(Actor):
    """Says of the pool what it is told to."""

    def __init__(self, system: System, says: StorageChanged) -> None:
        super().__init__(system)
        self._says = says

    @handles(AnnounceStorage)
    def _announce(self, _message: AnnounceStorage) -> None:
        self.system.directory.tell("fleet", self._says)


class FakeFirewall(Actor):
    """Says of the firewall what it is told to, and counts how often it was to look at it."""

    def __init__(self, system: System, says: FirewallChanged, looks: list[CheckFirewall]) -> None:
        super().__init__(system)
        self._says = says
        self._looks = looks

    @handles(AnnounceFirewall)
    def _announce(self, _message: AnnounceFirewall) -> None:
        self.system.directory.tell("fleet", self._says)

    @handles(CheckFirewall)
    def _check(self, message: CheckFirewall) -> None:
        self._looks.append(message)


class FakeUpgrades(Actor):
    """Says which runner application is verified, and counts how often it was to look."""

    def __init__(
        self, system: System, says: ApplicationChanged, looks: list[CheckUpgrades]
    ) -> None:
        super().__init__(system)
        self._says = says
        self._looks = looks

    @handles(AnnounceApplication)
    def _announce(self, _message: AnnounceApplication) -> None:
        self.system.directory.tell("fleet", self._says)

    @handles(CheckUpgrades)
    def _check(self, message: CheckUpgrades) -> None:
        self._looks.append(message)


class FakeImage(Actor):
    """Says of the image that runners start from what it is told to."""

    def __init__(self, system: System, says: ImageChanged) -> None:
        super().__init__(system)
        self._says = says

    @handles(AnnounceImage)
    def _announce(self, _message: AnnounceImage) -> None:
        self.system.directory.tell("fleet", self._says)


class Inbox(Actor):
    """Keeps all it is told, in the place of another actor."""

    def __init__(self, system: System, got: list[object], answer: object = None) -> None:
        super().__init__(system)
        self._got = got
        self._answer = answer

    def on_receive(self, message: Any) -> Any:
        self._got.append(message)
        return self._answer
