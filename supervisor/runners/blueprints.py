"""What new runners are made from, settled from the configuration and what the host can do."""

import platform
from collections.abc import Collection
from dataclasses import dataclass

from supervisor.config import Config
from supervisor.github import places
from supervisor.guest.aproxy import Aproxy
from supervisor.guest.network import GuestNetwork, SshDebug
from supervisor.host.storage import pool_name
from supervisor.images.base import BaseImage
from supervisor.images.settings import ImageSettings
from supervisor.runners.instances import InstanceTemplate, generation
from supervisor.web.proxies import Proxies

_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def architecture() -> str:
    """Name this machine's architecture in GitHub's words, or in its own if GitHub has none."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


@dataclass(frozen=True)
class Blueprint:
    """What a new runner is made from.

    Attributes:
        installation: whose it is.
        template: the instance.
        labels: what jobs ask for. A just-in-time configuration carries no label but these.
        group: the runner group.
        place: where it is registered.
        network: what its guest is told of the network.
        generation: a short hash of all that, told apart when the configuration changes.
    """

    installation: str
    template: InstanceTemplate
    labels: tuple[str, ...]
    group: str
    place: str
    network: GuestNetwork
    generation: str


def blueprint_of(
    config: Config,
    *,
    ipv6_filtering: bool = True,
    application: str = "",
    image: str = "",
    left_out: Collection[tuple[str, int]] = (),
) -> Blueprint:
    """Read the blueprint off a configuration.

    Args:
        config: what the operator has set.
        ipv6_filtering: whether the host lets LXD filter IPv6 at the runners' ports of the bridge.
        application: the runner application's SHA-256. A prepared image does not tell which one it
            holds, so another makes another generation; one that is built follows by itself.
        image: the fingerprint of the image that they start from.
        left_out: hosts and ports of tmate servers that guests are not told of.
    """
    template = template_of(config, ipv6_filtering=ipv6_filtering, image=image)
    given = ("self-hosted", "linux", architecture())
    labels: dict[str, str] = {}
    for label in (*given, *config.labels):
        labels.setdefault(label.lower(), label)  # GitHub's labels know no case
    network = network_of(config, left_out)
    group, place = config.group, places.of(config)
    asked = () if config.policy.mode == "off" else (f"policy {config.policy.url or 'of the host'}",)
    runs = (f"application {application}",) if config.lxd.image and application else ()
    made_from = generation(
        template, *labels.values(), group, place, network.made_from(), *asked, *runs
    )
    return Blueprint(
        installation=config.name,
        template=template,
        labels=tuple(labels.values()),
        group=group,
        place=place,
        network=network,
        generation=made_from,
    )


def template_of(config: Config, *, ipv6_filtering: bool, image: str) -> InstanceTemplate:
    """Read off a configuration what instances are made from, given their image's fingerprint."""
    lxd = config.lxd
    return InstanceTemplate(
        type=lxd.instance_type,
        image=image,
        pool=pool_name(config),
        network=lxd.network,
        profiles=(lxd.profile,),
        cpu=config.vm_cpu,
        memory=config.vm_memory,
        disk=config.vm_disk,
        ipv6_filtering=ipv6_filtering,
    )


def image_settings_of(config: Config, *, ipv6_filtering: bool = True) -> ImageSettings:
    """Read off a configuration what the installation's images are to be."""
    return ImageSettings(
        installation=config.name,
        base=BaseImage.parse(config.base_image),
        template=template_of(config, ipv6_filtering=ipv6_filtering, image=""),
        key=config.state_directory / "image-key",
        architecture=architecture(),
        packages=config.image_extra_packages,
        script=config.image_script,
        proxies=config.proxies,
        needs_aproxy=network_of(config).aproxy is not None,
    )


def network_of(config: Config, left_out: Collection[tuple[str, int]] = ()) -> GuestNetwork:
    """Read off a configuration what guests are told of the network.

    What is set and has no effect, such as exceptions from no proxy, is left out.

    Args:
        config: what the operator has set.
        left_out: hosts and ports of tmate servers that guests are not told of.
    """
    proxies = config.proxies
    redirected_to = proxies.http or proxies.https
    aproxy = None
    if config.use_aproxy and redirected_to:
        aproxy = Aproxy(
            redirected_to, config.aproxy_redirect_ports, config.aproxy_exclude_addresses
        )
    servers = (
        SshDebug(**server.model_dump())
        for server in config.ssh_debug
        if (server.host, server.port) not in left_out
    )
    return GuestNetwork(
        proxies=proxies if proxies and not aproxy else Proxies(),
        aproxy=aproxy,
        dockerhub_mirror=config.dockerhub_mirror or "",
        ssh_debug=tuple(servers),
    )
