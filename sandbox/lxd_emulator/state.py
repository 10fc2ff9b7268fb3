"""The emulated server's whole state, and how it survives a restart."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from sandbox.lxd_emulator.config_keys import is_true
from sandbox.lxd_emulator.errors import LxdError, not_found
from sandbox.lxd_emulator.model import (
    DEFAULT_PROJECT,
    STOPPED,
    Acl,
    Alias,
    Image,
    Instance,
    Network,
    Pool,
    Profile,
    Project,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Key = tuple[str, str]

_KINDS: Mapping[str, type[Any]] = {
    "projects": Project,
    "profiles": Profile,
    "images": Image,
    "aliases": Alias,
    "instances": Instance,
    "pools": Pool,
    "networks": Network,
    "acls": Acl,
}
_TUPLES = {"profiles", "egress", "ingress"}


def _first_projects() -> dict[str, Project]:
    features = ("images", "networks", "profiles", "storage.volumes")
    config = {f"features.{feature}": "true" for feature in features}
    project = Project(name=DEFAULT_PROJECT, description="Default LXD project", config=config)
    return {project.name: project}


def _first_profiles() -> dict[Key, Profile]:
    profile = Profile(project=DEFAULT_PROJECT, name="default", description="Default LXD profile")
    return {(profile.project, profile.name): profile}


@dataclass
class ServerState:
    """Everything LXD keeps in its database, by project and name.

    Not thread-safe: it belongs to the emulator's event loop. What it holds is frozen, so a value
    read from it stays true to the moment it was read.
    """

    projects: dict[str, Project] = field(default_factory=_first_projects)
    profiles: dict[Key, Profile] = field(default_factory=_first_profiles)
    images: dict[Key, Image] = field(default_factory=dict)
    aliases: dict[Key, Alias] = field(default_factory=dict)
    instances: dict[Key, Instance] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    acls: dict[str, Acl] = field(default_factory=dict)
    instances_made: int = 0

    def project_for(self, feature: str, project: str) -> str:
        """Return the project whose images, profiles, … a project uses: its own or the default one.

        Raises:
            LxdError: There is no such project.
        """
        found = self.projects.get(project)
        if found is None:
            raise not_found("Project")
        own = is_true(found.config.get(f"features.{feature}"))
        return found.name if own else DEFAULT_PROJECT

    def instances_of(self, project: str | None) -> Iterator[Instance]:
        """List a project's instances by name; all projects' if it is None."""
        for key in sorted(self.instances):
            if project is None or key[0] == project:
                yield self.instances[key]

    def instance(self, project: str, name: str) -> Instance:
        """Return one instance.

        Raises:
            LxdError: There is none.
        """
        found = self.instances.get((project, name))
        if found is None:
            raise not_found("Instance")
        return found

    def put(self, instance: Instance) -> None:
        """Keep an instance's new description in place of the old one."""
        self.instances[instance.project, instance.name] = instance

    def dump(self) -> str:
        """Return the state as JSON. It holds what guests were given, so it is secret."""
        document: dict[str, Any] = {"instances_made": self.instances_made}
        for kind in _KINDS:
            document[kind] = [asdict(item) for item in getattr(self, kind).values()]
        return json.dumps(document)

    @classmethod
    def load(cls, text: str) -> ServerState:
        """Return the state that `dump` has written.

        What was being done to an instance has not come to its end, so it isn't busy any more.

        Raises:
            ValueError: The text is something else.
        """
        try:
            document = json.loads(text)
            state = cls(projects={}, profiles={}, instances_made=document["instances_made"])
            for kind, made_of in _KINDS.items():
                known = getattr(state, kind)
                for entry in document[kind]:
                    item = made_of(**_restored(entry))
                    known[_key(item)] = item
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no state of the LXD emulator: {error}") from error
        return state


def _key(item: Any) -> Any:
    name = item.fingerprint if isinstance(item, Image) else item.name
    return (item.project, name) if any(f.name == "project" for f in fields(item)) else name


def _restored(entry: Mapping[str, Any]) -> dict[str, Any]:
    values = {k: tuple(v) if k in _TUPLES else v for k, v in entry.items()}
    if "busy" in values:
        values["busy"] = ""
    return values


def furnish(state: ServerState) -> None:
    """Give an empty server what a freshly initialised one has: pool, bridge, default profile.

    The bridge's address is the loopback's, so that the host's services can be bound to it.
    """
    state.pools["default"] = Pool(name="default", driver="dir")
    state.networks["lxdbr0"] = Network(
        name="lxdbr0", config={"ipv4.address": "127.0.0.1/8", "ipv6.address": "none"}
    )
    state.profiles[DEFAULT_PROJECT, "default"] = Profile(
        project=DEFAULT_PROJECT,
        name="default",
        description="Default LXD profile",
        devices={
            "root": {"type": "disk", "path": "/", "pool": "default"},
            "eth0": {"type": "nic", "name": "eth0", "network": "lxdbr0"},
        },
    )


def add_image(state: ServerState, alias: str, image_type: str, now: str) -> str:
    """Make an image of no content known by an alias, in the default project; return its hash."""
    fingerprint = hashlib.sha256(f"{alias} {image_type}".encode()).hexdigest()
    state.images[DEFAULT_PROJECT, fingerprint] = Image(
        project=DEFAULT_PROJECT,
        fingerprint=fingerprint,
        type=image_type,
        size=len(alias),
        uploaded_at=now,
        properties={"description": "an image of the LXD emulator"},
    )
    state.aliases[DEFAULT_PROJECT, alias] = Alias(
        project=DEFAULT_PROJECT, name=alias, target=fingerprint
    )
    return fingerprint


def address_in(project: str, path: str) -> str:
    """Return an address in the API, with the project where that isn't the default one."""
    return path if project == DEFAULT_PROJECT else f"{path}?project={project}"


def etag(*parts: Any) -> str:
    """Return a hash that changes when what it is made of does."""
    text = json.dumps(parts, sort_keys=True, default=asdict)
    return hashlib.sha256(text.encode()).hexdigest()


def check_match(given: str | None, current: str) -> None:
    """Refuse a change of something that has changed since the client looked.

    Raises:
        LxdError: The client's `If-Match` isn't the present etag.
    """
    if given is not None and given.strip('"') != current:
        given = given.strip('"')
        raise LxdError(412, f"ETag doesn't match: {current} vs {given}")


def strings(value: Any, field_name: str) -> dict[str, str]:
    """Read a JSON object of strings, as LXD does: a null is an empty string.

    Raises:
        LxdError: A value is no string.
    """
    kinds = {bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    result: dict[str, str] = {}
    for key, item in (value or {}).items():
        if item is not None and not isinstance(item, str):
            kind = kinds.get(type(item), "value")
            raise LxdError(
                400,
                f"json: cannot unmarshal {kind} into Go struct field {field_name} of type string",
            )
        result[key] = item or ""
    return result


def is_idle(instance: Instance) -> bool:
    """Tell whether nothing runs in an instance and nothing is being done to it."""
    return instance.status == STOPPED and not instance.busy
