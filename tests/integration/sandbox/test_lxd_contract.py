"""The same calls to a real LXD and to the emulator: what comes back must be the same.

Compared are status codes, error texts, the shape of what is described (which keys, of which type),
how operations end, and the order of events. Where LXD's words hold a name, both get the same name.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from pylxd import Client
from pylxd.client import get_session_for_url
from waiting import eventually
from ws4py.client import WebSocketBaseClient

from sandbox.image import build_image
from sandbox.lxd_emulator import LxdEmulator
from sandbox.private_lxd import private_lxd
from supervisor.gateways.lxd import Lxd, LxdEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROJECT, POOL, PROFILE, IMAGE = "runners", "runners", "runner", "tiny"
LIMIT_S = 30

# Objects whose keys are data, and what is LXD's own business.
FREE = {"config", "expanded_config", "devices", "expanded_devices", "properties", "environment"}
OPAQUE = {"memory", "network", "disk", "cpu", "bridge", "counters", "api_extensions"}


@dataclass
class Side:
    """One of the two servers.

    Attributes:
        socket: Where it is.
        network: Its bridge; both have one, under different names.
        crash: Lets an instance's guest die.
        seen: What came back, to be compared.
    """

    socket: Path
    network: str
    crash: Callable[[str], None]
    seen: list[Any] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return "http+unix://" + str(self.socket).replace("/", "%2F")

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        project: str | None = PROJECT,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> Any:
        """Make a call, wait for its operation if there is one, and note how both came out."""
        session = get_session_for_url(self.endpoint)
        session.trust_env = False
        path = path.replace("NETWORK", self.network)
        if isinstance(body, dict):
            body = json.loads(json.dumps(body).replace("NETWORK", self.network))
        params = {"project": project} if project else {}
        with session:
            answer = session.request(
                method,
                f"{self.endpoint}/1.0{path}",
                json=body,
                data=data,
                params=params,
                headers=headers,
                timeout=LIMIT_S,
            )
            document = answer.json()
            note: dict[str, Any] = {
                "call": f"{method} {path}",
                "status": answer.status_code,
                "type": document["type"],
                "error": document["error"],
                "error_code": document["error_code"],
                "etag": "Etag" in answer.headers,
                "location": answer.headers.get("Location"),
                "shape": shape(document["metadata"]),
            }
            if document["type"] == "async":
                note.pop("shape")
                note.pop("location")
                operation = document["metadata"]
                note["operation"] = [operation["description"], operation["resources"]]
                note["operation keys"] = sorted(operation)
                waiting = f"{self.endpoint}{document['operation']}/wait?timeout={LIMIT_S}"
                ended = session.get(waiting, timeout=LIMIT_S + 5).json()["metadata"]
                note["ended"] = [ended["status"], ended["status_code"], ended["err"]]
        self.seen.append(json.loads(json.dumps(note).replace(self.network, "NETWORK")))
        return document["metadata"]


def shape(value: Any, key: str = "") -> Any:
    """Return what a value is made of: keys and types."""
    if key in OPAQUE:
        return "anything"
    if isinstance(value, dict):
        if key in FREE:
            return "map"
        return {name: shape(item, name) for name, item in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0], key)] if value else []
    return type(value).__name__


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    # LXD asks modprobe whether there is vhost_vsock; this one says yes, and so machines are
    # validated and stored. None is started.
    shim = tmp_path_factory.mktemp("programs") / "modprobe"
    shim.write_text("#!/bin/sh\nexit 0\n")
    shim.chmod(0o755)
    with private_lxd(path_entry=shim.parent, project=PROJECT) as made:
        socket = made.daemon.socket

        def crash(name: str) -> None:
            client = Client(
                endpoint=f"http+unix://{str(socket).replace('/', '%2F')}", project=PROJECT
            )
            os.kill(client.instances.get(name).state().pid, 9)

        yield Side(socket, made.network, crash)


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    directory = tmp_path_factory.mktemp("emulated")
    with LxdEmulator(directory / "lxd.socket", furnished=False) as emulator:
        lxd = Lxd(LxdEndpoint(emulator.socket, PROJECT))
        lxd.ensure_project(PROJECT)
        lxd.ensure_pool(POOL)
        lxd.ensure_network("emubr0", {"ipv4.address": "127.0.0.1/8", "ipv6.address": "none"})
        lxd.ensure_profile(PROFILE)
        lxd.import_image(build_image(directory).path, alias=IMAGE)

        def crash(name: str) -> None:
            assert emulator.crash_guest(name, PROJECT)

        yield Side(emulator.socket, "emubr0", crash)


DEVICES = {
    "root": {"type": "disk", "path": "/", "pool": POOL},
    "eth0": {"type": "nic", "name": "eth0", "network": "NETWORK"},
}


def wanted(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "ephemeral": True,
        "profiles": [PROFILE],
        "devices": DEVICES,
        "source": {"type": "image", "alias": IMAGE},
        **more,
    }


def machine(name: str, **more: Any) -> dict[str, Any]:
    return wanted(name, type="virtual-machine", **{"source": {"type": "none"}, **more})


def state(action: str, **more: Any) -> dict[str, Any]:
    return {"action": action, "force": True, "timeout": 30, **more}


def an_instance_from_creation_to_deletion(side: Side) -> None:
    side.ask(
        "POST", "/instances", wanted("c1", config={"user.a": "b", "cloud-init.user-data": "A=1"})
    )
    for path in ("", "?recursion=1", "?recursion=2", "/c1", "/c1?recursion=1", "/c1/state"):
        side.ask("GET", f"/instances{path}")
    side.ask("PUT", "/instances/c1/state", state("start"))
    side.ask("GET", "/instances/c1")
    side.ask("GET", "/instances/c1/state")
    side.ask("PUT", "/instances/c1/state", state("start"))
    side.ask("DELETE", "/instances/c1")
    side.ask("PATCH", "/instances/c1", {"config": {"user.supervisor.stage": "idle"}})
    side.ask("PATCH", "/instances/c1", {"config": {"user.supervisor.stage": None}})
    side.ask("PATCH", "/instances/c1", {"config": {"zz": "1"}})
    side.ask("PUT", "/instances/c1/state", state("restart"))
    side.ask("PUT", "/instances/c1/state", state("stop"))
    side.ask("GET", "/instances/c1")
    side.ask("DELETE", "/instances/c1")
    side.ask("PUT", "/instances/c1/state", state("stop"))


def instances_that_stay_after_their_stop(side: Side) -> None:
    side.ask("POST", "/instances", wanted("c2", ephemeral=False))
    side.ask("PUT", "/instances/c2/state", state("stop"))
    side.ask("PUT", "/instances/c2/state", state("restart"))
    side.ask("PUT", "/instances/c2/state", state("freeze"))
    side.ask("PUT", "/instances/c2/state", state("dance"))
    side.ask("PUT", "/instances/c2/state", state("start"))
    side.ask("PUT", "/instances/c2/state", state("freeze"))
    side.ask("PUT", "/instances/c2/state", state("unfreeze"))
    side.ask("PUT", "/instances/c2/state", state("stop"))
    side.ask("GET", "/instances/c2/state")
    side.ask("DELETE", "/instances/c2")


def instances_of_an_image_by_its_fingerprint(side: Side) -> None:
    fingerprint = side.ask("GET", f"/images/aliases/{IMAGE}")["target"]
    source = {"type": "image", "fingerprint": fingerprint}
    side.ask("POST", "/instances", wanted("c6", source=source))
    side.ask("GET", "/instances/c6")
    side.ask("DELETE", "/instances/c6")
    source = {"type": "image", "fingerprint": "0" * 64}
    side.ask("POST", "/instances", wanted("c6", source=source))


def instances_that_are_refused(side: Side) -> None:
    side.ask("POST", "/instances", wanted("c3"))
    side.ask("POST", "/instances", wanted("c3"))
    for name in ("-bad", "bad-", "c_3", "a" * 64, "9a"):
        side.ask("POST", "/instances", wanted(name))
    side.ask("POST", "/instances", wanted("c4", profiles=["zz"]))
    side.ask("POST", "/instances", wanted("c4", type="zz"))
    side.ask("POST", "/instances", wanted("c4", type="virtual-machine"))
    side.ask("POST", "/instances", wanted("c4", source={"type": "image", "alias": "zz"}))
    side.ask("POST", "/instances", wanted("c4", source={"type": "image", "fingerprint": "abcd"}))
    side.ask("POST", "/instances", wanted("c4", source={"type": "zz"}))
    side.ask("POST", "/instances", {"name": "c4"})
    side.ask("POST", "/instances", wanted("c4"), project="zz")
    side.ask("POST", "/instances", wanted("c4", config={"user.x": 5}))
    side.ask("GET", "/instances/c4")
    side.ask("GET", "/instances/c4/state")
    side.ask("PATCH", "/instances/c4", {"config": {}})
    side.ask("PUT", "/instances/c4/state", state("start"))
    side.ask("GET", "/instances", project="zz")
    side.ask("GET", "/instances?instance-type=zz")
    side.ask("DELETE", "/instances/c3")


CONTAINER_CONFIGS = [
    {"zzz": "1"},
    {"limits.memory": "lots"},
    {"limits.memory": "-3MB"},
    {"limits.memory": "1.5GiB"},
    {"limits.memory": "1XB"},
    {"limits.memory": "512"},
    {"limits.memory": "50%"},
    {"limits.cpu": "x"},
    {"limits.cpu": "-1"},
    {"limits.cpu": "0-3,5"},
    {"limits.processes": "x"},
    {"security.nesting": "maybe"},
    {"boot.autostart": "x"},
    {"boot.autostart": "false"},
    {"boot.autostart.priority": "x"},
    {"cloud-init.foo": "x"},
    {"security.secureboot": "true"},
    {"volatile.foo": "x"},
    {"environment.A": "1", "image.x": "2", "user.y": "3", "linux.sysctl.net.ipv4.ip_forward": "1"},
]
FILTERS = {
    "security.mac_filtering": "true",
    "security.ipv4_filtering": "true",
    "security.ipv6_filtering": "true",
    "security.port_isolation": "true",
}
CARDS: list[dict[str, str]] = [
    FILTERS,
    *({key: value} for key in FILTERS for value in ("true", "maybe", "")),
    *({"security.ipv4_filtering": value, "vlan": "5"} for value in ("true", "1", "maybe", "false")),
    {"security.ipv6_filtering": "true", "vlan.tagged": "5"},
    {"security.mac_filtering": "true", "vlan": "5"},
    {**FILTERS, "security.port_isolation": "maybe", "vlan": "5"},
]
DEVICE_SETS: list[dict[str, dict[str, str]]] = [
    {},
    {"root": {"type": "disk", "path": "/", "pool": "nopool"}},
    {"root": {**DEVICES["root"], "size": "x"}},
    {"root": {**DEVICES["root"], "zz": "1"}},
    {**DEVICES, "eth0": {"type": "nic", "network": "nonet"}},
    {**DEVICES, "eth0": {**DEVICES["eth0"], "zz": "1"}},
    {**DEVICES, "x": {"type": "bogus"}},
    {**DEVICES, "eth0": {"type": "none"}},
    *({**DEVICES, "eth0": {**DEVICES["eth0"], **card}} for card in CARDS),
]


def configurations_of_containers(side: Side) -> None:
    for number, config in enumerate(CONTAINER_CONFIGS):
        side.ask("POST", "/instances", wanted(f"k{number}", config=config))
        side.ask("DELETE", f"/instances/k{number}")
    for number, devices in enumerate(DEVICE_SETS):
        side.ask("POST", "/instances", wanted(f"d{number}", devices=devices))
        side.ask("DELETE", f"/instances/d{number}")


def configurations_of_virtual_machines(side: Side) -> None:
    plain = {"limits.cpu": "2", "limits.memory": "1GiB", "security.secureboot": "false"}
    configs: list[dict[str, str]] = [
        plain,
        {**plain, "cloud-init.user-data": "#!/bin/sh\n", "boot.autostart": "false"},
        {"limits.cpu": "x"},
        {"limits.memory": "nope"},
        {"security.nesting": "true"},
        {"security.privileged": "true"},
        {"limits.processes": "5"},
        {"linux.sysctl.net.ipv4.ip_forward": "1"},
        {"security.secureboot": "maybe"},
        {"bogus": "1"},
        {"cloud-init.foo": "1"},
    ]
    for number, config in enumerate(configs):
        side.ask("POST", "/instances", machine(f"v{number}", config=config))
        side.ask("GET", f"/instances/v{number}")
        side.ask("GET", "/instances?recursion=1&instance-type=virtual-machine")
        side.ask("DELETE", f"/instances/v{number}")
    for number, card in enumerate(CARDS):
        devices = {**DEVICES, "eth0": {**DEVICES["eth0"], **card}}
        side.ask("POST", "/instances", machine(f"w{number}", devices=devices))
        side.ask("DELETE", f"/instances/w{number}")
    small = {**DEVICES, "root": {**DEVICES["root"], "size": "x"}}
    side.ask("POST", "/instances", machine("v99", devices=small))


def changes_of_configuration(side: Side) -> None:
    side.ask("POST", "/instances", wanted("c5", config={"user.a": "b"}))
    whole = side.ask("GET", "/instances/c5")
    keys = ("architecture", "config", "devices", "ephemeral", "profiles", "description")
    body = {key: whole[key] for key in keys}
    side.ask("PUT", "/instances/c5", body)
    side.ask("PUT", "/instances/c5", {**body, "config": {**body["config"], "a.b": "c"}})
    side.ask("PATCH", "/instances/c5", {"bogus": 1})
    for card in CARDS:
        side.ask("PATCH", "/instances/c5", {"devices": {"eth0": {**DEVICES["eth0"], **card}}})
    side.ask("PATCH", "/instances/c5", {"profiles": ["zz"]})
    side.ask("PUT", "/instances/c5", {**body, "profiles": ["zz"]})
    side.ask("PUT", "/instances/c5", {**body, "devices": {}})
    side.ask("PUT", "/instances/c5", {**body, "devices": {**DEVICES, "x": {"type": "zz"}}})
    bad = {"type": "nic", "network": "nonet"}
    side.ask("PUT", "/instances/c5", {**body, "devices": {**DEVICES, "eth0": bad}})
    side.ask("PATCH", "/instances/c5", {"devices": {"eth0": bad}})
    side.ask("PUT", "/instances/c5", {**body, "config": {}})
    side.ask("PATCH", "/instances/c5", {"config": {"user.b": "c", "user.a": ""}})
    config = side.ask("GET", "/instances/c5")["config"]
    side.seen.append({key: value for key, value in config.items() if key.startswith("user.")})
    side.ask("DELETE", "/instances/c5")


def filters_that_are_made_anew(side: Side) -> None:
    side.seen.append(side.ask("GET", "")["environment"]["firewall"])
    card = {**DEVICES["eth0"], "network": side.network, **FILTERS}
    side.ask("POST", "/instances", wanted("c8", devices={**DEVICES, "eth0": card}))
    side.ask("PUT", "/instances/c8/state", state("start"))
    for value in ("1", "true"):
        devices = {"eth0": {**card, "security.mac_filtering": value}}
        side.ask("PATCH", "/instances/c8", {"devices": devices})
        found = side.ask("GET", "/instances/c8")
        side.seen.append([found["status"], sorted(found["devices"])])
        side.seen.append(found["expanded_devices"]["eth0"]["security.mac_filtering"])
    for value in ("true", "1", "maybe", ""):
        side.ask("PATCH", f"/networks/{side.network}", {"config": {"ipv4.firewall": value}})
        config = side.ask("GET", f"/networks/{side.network}")["config"]
        side.seen.append(config.get("ipv4.firewall"))
    side.ask("PUT", "/instances/c8/state", state("stop"))
    side.ask("DELETE", "/instances/c8")


def a_stale_etag(side: Side) -> None:
    side.ask("POST", "/instances", wanted("c6"))
    for method in ("PATCH", "PUT"):
        side.ask(method, "/instances/c6", {"config": {}}, headers={"If-Match": "no"})
        refusal = side.seen.pop()
        side.seen.append([refusal["status"], refusal["error"].split(":")[0]])
        assert refusal["error"].endswith(" vs no")
    side.ask("DELETE", "/instances/c6")


def operations(side: Side) -> None:
    unknown = "/operations/00000000-0000-0000-0000-000000000000"
    side.ask("GET", unknown)
    side.ask("GET", f"{unknown}/wait?timeout=1")
    side.ask("DELETE", unknown)


def images_and_aliases(side: Side) -> None:
    side.ask("GET", "/images?recursion=1")
    alias = side.ask("GET", f"/images/aliases/{IMAGE}")
    fingerprint = alias["target"]
    side.ask("GET", "/images/aliases")
    side.ask("GET", "/images/aliases?recursion=1")
    side.ask("GET", f"/images/{fingerprint}")
    side.ask("GET", f"/images/{fingerprint[:12]}")
    side.ask("GET", "/images/zzzz")
    side.ask("GET", "/images/aliases/zz")
    side.ask("GET", "/images", project="zz")
    side.ask("POST", "/images/aliases", {"name": IMAGE, "target": fingerprint})
    side.ask("POST", "/images/aliases", {"name": "second", "target": "abc"})
    side.ask("POST", "/images/aliases", {"name": "second", "target": fingerprint})
    side.ask("PUT", "/images/aliases/second", {"target": fingerprint, "description": "x"})
    side.ask("DELETE", "/images/aliases/second")
    side.ask("DELETE", "/images/aliases/second")
    side.ask("DELETE", "/images/zzzz")
    headers = {"Content-Type": "application/octet-stream"}
    side.ask("POST", "/images", data=b"garbage", headers=headers)
    # The operation names the image by a hash that it may not have yet.
    side.seen[-1].pop("operation")


def what_instances_are_made_with(side: Side) -> None:
    for kind in ("profiles", "projects", "storage-pools", "networks", "network-acls"):
        side.ask("GET", f"/{kind}/zz")
        side.ask("POST", f"/{kind}", {})
    side.ask("POST", "/profiles", {"name": PROFILE})
    side.ask("POST", "/profiles", {"name": "p1", "config": {"zz": "1"}})
    side.ask("POST", "/profiles", {"name": "p1", "config": {"limits.cpu": "1"}, "devices": {}})
    side.ask("GET", "/profiles/p1")
    side.ask("PUT", "/profiles/p1", {"devices": {"eth0": {"type": "nic", "network": "zz"}}})
    for card in (*CARDS, {"zz": "1"}):
        devices = {"eth0": {**DEVICES["eth0"], **card}}
        side.ask("POST", "/profiles", {"name": "p3", "devices": devices})
        side.ask("DELETE", "/profiles/p3")
        side.ask("PUT", "/profiles/p1", {"devices": devices})
    side.ask("PUT", "/profiles/p1", {"description": "x", "devices": DEVICES})
    side.ask("POST", "/instances", wanted("c7", profiles=["p1"], devices={}))
    side.ask("GET", "/profiles/p1")
    side.ask("DELETE", "/profiles/p1")
    side.ask("DELETE", "/instances/c7")
    side.ask("DELETE", "/profiles/p1")
    side.ask("DELETE", "/profiles/p1")
    side.ask("DELETE", "/profiles/default")
    side.ask("GET", "/profiles", project="zz")
    side.ask("POST", "/projects", {"name": PROJECT})
    side.ask("POST", "/projects", {"name": "p2", "config": {"zz": "1"}})
    side.ask("POST", "/projects", {"name": "p 2"})
    side.ask("POST", "/projects", {"name": "p2"})
    side.ask("GET", "/projects/p2")
    side.ask("GET", "/profiles?recursion=1", project="p2")
    side.ask("DELETE", "/projects/p2")
    side.ask("DELETE", "/projects/p2")
    side.ask("DELETE", "/projects/default")
    side.ask("DELETE", f"/projects/{PROJECT}")
    side.ask("POST", "/storage-pools", {"name": POOL, "driver": "dir"})
    side.ask("POST", "/storage-pools", {"name": "s1"})
    side.ask("POST", "/storage-pools", {"name": "s1", "driver": "zz"})
    side.ask("GET", f"/storage-pools/{POOL}")
    side.ask("POST", "/networks", {"name": "NETWORK", "type": "bridge"})
    side.ask("POST", "/networks", {"name": "x" * 16})
    side.ask("POST", "/networks", {"name": "x1", "type": "zz"})
    side.ask("GET", "/networks/NETWORK")
    side.ask("GET", "/networks/NETWORK/state")
    side.ask("DELETE", "/networks/zz")
    side.ask("POST", "/network-acls", {"name": "a1"})
    side.ask("GET", "/network-acls/a1")
    side.ask("POST", "/network-acls", {"name": "a1"})
    side.ask("DELETE", "/network-acls/a1")


def commands_that_come_to_nothing(side: Side) -> None:
    order = {"command": ["/bin/echo", "hi"], "wait-for-websocket": True}
    side.ask("POST", "/instances/none/exec", order)
    side.ask("POST", "/instances", wanted("x1"))
    side.ask("POST", "/instances/x1/exec", order)
    side.ask("PUT", "/instances/x1/state", state("start"))
    side.ask("POST", "/instances/x1/exec", {**order, "command": "/bin/echo"})
    side.ask("POST", "/instances/x1/exec", order)  # nobody connects
    side.ask("PUT", "/instances/x1/state", state("stop"))


def what_there_is_not(side: Side) -> None:
    side.ask("GET", "")
    side.ask("GET", "/zz")
    side.ask("DELETE", "/instances")
    side.ask("GET", "/cluster/members")


@pytest.mark.parametrize(
    "scenario",
    [
        an_instance_from_creation_to_deletion,
        instances_that_stay_after_their_stop,
        instances_of_an_image_by_its_fingerprint,
        instances_that_are_refused,
        configurations_of_containers,
        configurations_of_virtual_machines,
        changes_of_configuration,
        filters_that_are_made_anew,
        a_stale_etag,
        operations,
        images_and_aliases,
        what_instances_are_made_with,
        commands_that_come_to_nothing,
        what_there_is_not,
    ],
    ids=lambda scenario: scenario.__name__,
)
def test_the_emulator_answers_as_the_real_lxd_does(
    scenario: Callable[[Side], None], real: Side, emulated: Side
) -> None:
    for side in (real, emulated):
        side.seen.clear()
        scenario(side)

    assert len(emulated.seen) == len(real.seen)
    assert [(e, r) for e, r in zip(emulated.seen, real.seen, strict=True) if e != r] == []


class _Stream(WebSocketBaseClient):  # type: ignore[misc]
    """Keeps what comes; the project is named, as pylxd's own stream doesn't do."""

    def handshake_ok(self) -> None:
        self.arrived: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self.run, daemon=True).start()

    def received_message(self, message: Any) -> None:
        self.arrived.put(json.loads(message.data))


def _stream(side: Side, query: str) -> _Stream:
    stream = _Stream(f"ws+unix://{side.socket}", exclude_headers=["origin"])
    stream.resource = f"/1.0/events?{query}"
    stream.connect()
    return stream


def _until(stream: _Stream, action: str) -> list[dict[str, Any]]:
    events = []
    while not events or events[-1]["metadata"].get("action") != action:
        events.append(stream.arrived.get(timeout=LIMIT_S))
    return events


def _told(event: dict[str, Any]) -> dict[str, Any]:
    """Return what must be equal of an event."""
    metadata = event["metadata"]
    if event["type"] == "operation":
        said: Any = [metadata["description"], metadata["status"], metadata["resources"]]
    else:
        said = [metadata["action"], metadata["source"], sorted(metadata)]
    return {"keys": sorted(event), "project": event["project"], "said": said}


LIVES: list[tuple[str, list[Callable[[Side], object]], str]] = [
    (
        "a forced stop of an ephemeral instance",
        [
            lambda side: side.ask("POST", "/instances", wanted("e1")),
            lambda side: side.ask("PUT", "/instances/e1/state", state("start")),
            lambda side: side.ask("PATCH", "/instances/e1", {"config": {"user.a": "1"}}),
            lambda side: side.ask("PUT", "/instances/e1/state", state("stop")),
        ],
        "instance-stopped",
    ),
    (
        "a guest that dies",
        [
            lambda side: side.ask("POST", "/instances", wanted("e2")),
            lambda side: side.ask("PUT", "/instances/e2/state", state("start")),
            lambda side: side.crash("e2"),
        ],
        "instance-deleted",
    ),
    (
        "a restart of an ephemeral instance",
        [
            lambda side: side.ask("POST", "/instances", wanted("e6")),
            lambda side: side.ask("PUT", "/instances/e6/state", state("start")),
            lambda side: side.ask("PUT", "/instances/e6/state", state("restart")),
            lambda side: side.ask("PUT", "/instances/e6/state", state("stop")),
        ],
        "instance-deleted",
    ),
    (
        "a restart and a deletion",
        [
            lambda side: side.ask("POST", "/instances", wanted("e3", ephemeral=False)),
            lambda side: side.ask("PUT", "/instances/e3/state", state("start")),
            lambda side: side.ask("PUT", "/instances/e3/state", state("restart")),
            lambda side: side.ask("PUT", "/instances/e3/state", state("stop")),
            lambda side: side.ask("DELETE", "/instances/e3"),
        ],
        "instance-deleted",
    ),
]


@pytest.mark.parametrize(("steps", "last"), [life[1:] for life in LIVES], ids=[x[0] for x in LIVES])
def test_events_come_in_the_real_ones_order(
    steps: list[Callable[[Side], object]], last: str, real: Side, emulated: Side
) -> None:
    lives = []
    for side in (real, emulated):
        stream = _stream(side, f"type=lifecycle&project={PROJECT}")
        for step in steps:
            step(side)
        lives.append([_told(event) for event in _until(stream, last)])
        stream.close()

    assert lives[1] == lives[0]


def test_operations_are_told_as_the_real_one_does(real: Side, emulated: Side) -> None:
    lives = []
    for side in (real, emulated):
        stream = _stream(side, f"type=operation&project={PROJECT}")
        side.ask("POST", "/instances", wanted("e4"))
        side.ask("POST", "/instances", wanted("e4"))
        side.ask("DELETE", "/instances/e4")
        began, ended = [], []
        while len(ended) < 3 or len(began) < 3:
            event = _told(stream.arrived.get(timeout=LIMIT_S))
            status = event["said"][1]
            # How often a running operation tells its progress is not fixed, and what is told at
            # once may change places.
            if status == "Pending":
                began.append(event)
            elif status in {"Success", "Failure"}:
                ended.append(event)
        lives.append((began, ended))
        stream.close()

    assert lives[1] == lives[0]


def test_a_stream_without_project_tells_of_the_default_project_only(
    real: Side, emulated: Side
) -> None:
    heard = []
    for side in (real, emulated):
        stream = _stream(side, "type=lifecycle")
        side.ask("POST", "/instances", wanted("e5"))
        side.ask("DELETE", "/instances/e5")
        side.ask("POST", "/profiles", {"name": "last"}, project=None)
        side.ask("DELETE", "/profiles/last", project=None)
        heard.append([_told(event) for event in _until(stream, "profile-deleted")])
        stream.close()

    assert heard[1] == heard[0]


@pytest.mark.parametrize("query", ["type=zz", "project=zz"])
def test_a_stream_that_can_not_be_is_refused_alike(query: str, real: Side, emulated: Side) -> None:
    said = []
    for side in (real, emulated):
        session = get_session_for_url(side.endpoint)
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "bWFkZSB1cCBmb3IgdGVzdHM=",
        }
        answer = session.get(
            f"{side.endpoint}/1.0/events?{query}", headers=headers, timeout=LIMIT_S
        )
        said.append((answer.status_code, answer.json()))
        session.close()

    assert said[1] == said[0]


def test_a_command_is_run_through_the_same_calls_and_streams(real: Side, emulated: Side) -> None:
    ends = []
    for side in (real, emulated):
        stream = _stream(side, f"type=lifecycle&project={PROJECT}")
        lxd = Lxd(LxdEndpoint(side.socket, PROJECT))
        side.ask("POST", "/instances", wanted("x2"))
        side.ask("PUT", "/instances/x2/state", state("start"))
        _until(stream, "instance-started")
        run = partial(lxd.output_of, "x2", ("/bin/sh", "-c", "echo hi"), limit_s=10)
        # The emulated guest takes a while to boot.
        output = eventually(lambda run=run: (got := run(most_bytes=1000)).data and got)
        executed = [_told(event) for event in _until(stream, "instance-exec")]
        cut = run(most_bytes=2)
        known = side.ask("GET", "/operations?recursion=1")["success"]
        operation = next(o for o in known if o["description"] == "Executing command")
        said = {key: operation[key] for key in ("class", "err", "status", "resources")}
        side.ask("GET", f"/operations/{operation['id']}/websocket")
        late = side.seen[-1]["error"]
        ends.append((output.cut, cut.cut, len(cut.data), said, shape(operation), executed, late))
        side.ask("PUT", "/instances/x2/state", state("stop"))
        stream.close()

    assert ends[1] == ends[0]
