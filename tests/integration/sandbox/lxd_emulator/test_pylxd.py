"""pylxd works against the emulator unchanged."""

from __future__ import annotations

import tarfile
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from pylxd import Client, EventType
from pylxd.exceptions import Conflict, LXDAPIException, NotFound

if TYPE_CHECKING:
    from sandbox.lxd_emulator import LxdEmulator

REQUEST = {"name": "a1", "ephemeral": True, "source": {"type": "image", "alias": "tiny"}}


def a_tarball() -> bytes:
    text = b"architecture: x86_64\ncreation_date: 1700000000\nproperties: {os: tiny}\n"
    member = tarfile.TarInfo("metadata.yaml")
    member.size = len(text)
    content = BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.addfile(member, BytesIO(text))
    return content.getvalue()


def test_an_instance_lives_from_creation_to_its_stop(client: Client) -> None:
    instance = client.instances.create(REQUEST, wait=True)
    assert instance.status == "Stopped"
    instance.start(wait=True)
    assert instance.status == "Running"
    assert instance.state().pid > 0
    assert [one.name for one in client.instances.all(recursion=1)] == ["a1"]
    instance.stop(wait=True)
    assert client.instances.all() == []


def test_a_taken_name_fails_in_the_operation_only(client: Client) -> None:
    client.instances.create(REQUEST, wait=True)
    client.instances.create(REQUEST, wait=False)
    with pytest.raises(LXDAPIException, match="already exists") as caught:
        client.instances.create(REQUEST, wait=True)
    assert caught.value.response.status_code == 200


def test_an_unnamed_instance_gets_a_name(client: Client) -> None:
    request = {key: value for key, value in REQUEST.items() if key != "name"}
    instance = client.instances.create(request, wait=True)
    assert client.instances.get(instance.name).ephemeral


def test_configuration_is_saved(client: Client) -> None:
    instance = client.instances.create(REQUEST, wait=True)
    instance.config["user.supervisor.stage"] = "idle"
    instance.save(wait=True)
    assert client.instances.get("a1").config["user.supervisor.stage"] == "idle"


def test_a_virtual_machine_is_made_from_an_image_in_two_parts(client: Client) -> None:
    image = client.images.create(b"a disk", metadata=a_tarball(), vm=True)
    image.add_alias("machine", "")
    source = {"type": "image", "alias": "machine"}
    request = {**REQUEST, "type": "virtual-machine", "source": source}
    instance = client.virtual_machines.create(request, wait=True)
    assert (instance.type, instance.config["image.os"]) == ("virtual-machine", "tiny")


def test_an_image_in_one_part_comes_and_goes(client: Client) -> None:
    image = client.images.create(a_tarball())
    image.add_alias("second", "a second one")
    assert client.images.get_by_alias("second").properties == {"os": "tiny"}
    with pytest.raises(Conflict):
        image.add_alias("second", "")
    image.delete_alias("second")
    image.delete(wait=True)
    with pytest.raises(NotFound):
        client.images.get(image.fingerprint)


def test_what_instances_are_made_with_comes_and_goes(client: Client) -> None:
    client.profiles.create("p1", config={"limits.cpu": "1"})
    assert client.profiles.get("p1").config == {"limits.cpu": "1"}
    client.profiles.get("p1").delete()
    client.storage_pools.create({"name": "s1", "driver": "dir", "config": {}})
    client.storage_pools.get("s1").delete()
    client.networks.create("br1", type="bridge", config={"ipv4.address": "127.0.0.1/8"})
    assert client.networks.get("br1").config["ipv4.address"] == "127.0.0.1/8"
    client.networks.get("br1").delete()
    client.projects.create("pr", config={"features.images": "false"})
    assert client.projects.exists("pr")
    client.projects.get("pr").delete()
    assert not client.projects.exists("pr")


def test_a_project_keeps_its_instances_to_itself(lxd: LxdEmulator, client: Client) -> None:
    client.projects.create("pr", config={"features.images": "false", "features.profiles": "false"})
    inside = Client(endpoint=lxd.endpoint, project="pr")
    inside.instances.create(REQUEST, wait=True)
    assert inside.instances.exists("a1")
    assert not client.instances.exists("a1")


def test_pylxds_own_event_stream_hears_what_happens(client: Client) -> None:
    stream = client.events(event_types={EventType.Lifecycle})
    stream.connect()
    client.instances.create(REQUEST, wait=True).delete(wait=True)
    while len(stream.messages) < 2:
        assert stream.once()
    stream.close()
    told = [message["metadata"]["action"] for message in stream.messages]
    assert told == ["instance-created", "instance-deleted"]
