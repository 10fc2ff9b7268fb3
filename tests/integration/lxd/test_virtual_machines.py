"""The real LXD's opinion of our virtual machines' configuration: stored, and never started.

LXD asks `modprobe` whether vhost_vsock can be had, and otherwise offers no virtual machines. The
daemon of these tests finds a modprobe that says yes; everything else is real.
"""

from __future__ import annotations

import io
import json
import platform
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.private_lxd import PrivateLxd, private_lxd
from supervisor.gateways.lxd import Lxd, LxdError, Refused
from supervisor.runners.instances import InstanceTemplate, instance_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "genisoimage": "genisoimage",
}
_USER_DATA = "#!/bin/sh\nJIT_CONFIG='a\\b\"c'\n\techo \u00e4 $x `y` {{ z }}\n\n"


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateLxd]:
    _install_missing()
    shim = tmp_path_factory.mktemp("programs") / "modprobe"
    shim.write_text('#!/bin/sh\ncase "$*" in *vsock*) exit 0 ;; esac\nexit 1\n')
    shim.chmod(0o755)
    with private_lxd(path_entry=shim.parent) as made:
        _import_disk_image(Lxd(made.endpoint), tmp_path_factory.mktemp("image"))
        yield made


@pytest.fixture
def gateway(machines: PrivateLxd) -> Iterator[Lxd]:
    lxd = Lxd(machines.endpoint)
    yield lxd
    for instance in lxd.instances():
        lxd.delete(instance.name, limit_s=30)


def _request(machines: PrivateLxd, **config: str) -> dict[str, Any]:
    template = InstanceTemplate(
        type="virtual-machine",
        image=str(Lxd(machines.endpoint).image("disk")),
        pool=machines.pool,
        network=machines.network,
        profiles=(machines.profile,),
        cpu=2,
        memory="1GiB",
        disk="128MiB",
    )
    marks = {"user.supervisor.installation": "test", "user.supervisor.job": '{"run": "1"}'}
    request = instance_request(template, name="one", user_data=_USER_DATA, metadata=marks)
    request["config"].update(config)
    return request


def test_lxd_offers_virtual_machines_here(gateway: Lxd) -> None:
    assert gateway.server().virtual_machines


def test_a_virtual_machines_configuration_is_accepted_and_stored_byte_for_byte(
    machines: PrivateLxd, gateway: Lxd
) -> None:
    request = _request(machines)

    gateway.create(request, limit_s=60)

    found = gateway.instance("one")
    assert (found.type, found.status, found.ephemeral) == ("virtual-machine", "Stopped", True)
    assert request["config"].items() <= found.config.items()
    assert found.config["cloud-init.user-data"] == _USER_DATA
    stored = gateway._call("look", "get", "instances", "one").metadata
    assert stored["devices"] == request["devices"]
    assert stored["profiles"] == request["profiles"]
    filters = [key for key in stored["devices"]["eth0"] if key.startswith("security.")]
    assert len(filters) == 4, "those of a container's interface"
    gateway.update_config("one", {"cloud-init.user-data": ""})
    assert "cloud-init.user-data" not in gateway.instance("one").config
    assert gateway.console_log("one") == ""
    assert gateway.delete("one", limit_s=30) is True


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("limits.cpu", "many", "Invalid CPU limit syntax"),
        ("limits.memory", "nope", "Invalid value: nope"),
        ("security.nesting", "true", "Unknown configuration key: security.nesting"),
        ("security.privileged", "false", "Unknown configuration key: security.privileged"),
        ("security.secureboot", "maybe", 'Invalid value for a boolean "maybe"'),
        ("bogus", "1", "Unknown configuration key: bogus"),
        ("cloud-init.foo", "1", "Unknown configuration key: cloud-init.foo"),
    ],
)
def test_a_wrong_key_of_a_virtual_machine_is_refused(
    machines: PrivateLxd, gateway: Lxd, key: str, value: str, words: str
) -> None:
    with pytest.raises(Refused, match=words):
        gateway.create(_request(machines, **{key: value}), limit_s=60)

    assert gateway.instances() == []


@pytest.mark.parametrize(
    ("device", "change", "words"),
    [
        ("root", {"size": "huge"}, 'Invalid value for device option "size"'),
        ("root", {"pool": "none"}, "Storage pool not found"),
        ("eth0", {"network": "none"}, "none"),
        ("eth0", {"security.port_isolation": "maybe"}, 'Invalid value for a boolean "maybe"'),
        ("eth0", {"vlan": "5"}, "IP filtering cannot be used with VLAN filtering"),
        ("cloud-init", {"source": "/none"}, "none"),
    ],
)
def test_a_wrong_device_of_a_virtual_machine_is_refused(
    machines: PrivateLxd, gateway: Lxd, device: str, change: dict[str, str], words: str
) -> None:
    request = _request(machines)
    request["devices"][device].update(change)

    with pytest.raises(LxdError, match=words):
        gateway.create(request, limit_s=60)

    assert gateway.instances() == []


def test_an_image_of_the_other_type_is_refused(machines: PrivateLxd, gateway: Lxd) -> None:
    request = {**_request(machines), "source": {"type": "image", "alias": machines.image}}

    with pytest.raises(Refused, match="doesn't match instance type"):
        gateway.create(request, limit_s=60)


def _import_disk_image(lxd: Lxd, directory: Path) -> None:
    disk, metadata = directory / "disk.qcow2", directory / "metadata.tar.gz"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "64M"], check=True, timeout=30
    )
    text = json.dumps(
        {"architecture": platform.machine(), "creation_date": 1, "properties": {}}
    ).encode()
    with tarfile.open(metadata, "w:gz") as archive:
        info = tarfile.TarInfo("metadata.yaml")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    lxd.import_image(metadata, disk, alias="disk", virtual_machine=True)


def _install_missing() -> None:
    missing = [package for program, package in _PACKAGES.items() if not shutil.which(program)]
    if missing:
        command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing, "ovmf"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
