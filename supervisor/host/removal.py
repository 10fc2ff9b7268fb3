"""What is an installation's, of all that a host has: decided of each thing by what it says itself.

Only what says that it is ours is touched. What is ours and of use to somebody else is kept, and
named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from supervisor.host import preparation
from supervisor.images import properties
from supervisor.images.properties import BuiltImage
from supervisor.runners import marks, naming

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from supervisor.images.seal import Seal
    from supervisor.planning import Registration

STATE = (
    "applications",
    "drained",
    "image-key",
    "image-logs",
    "journal",
    "logs",
    "names",
    "places",
    "policy",
    "policy-package",
    "policy-secrets",
    "storage-wanted",
    "upgrade-notes",
)
"""What a daemon makes in its state directory."""

_UNSEALED = (
    "it says that it is this installation's, which has not sealed it; if nobody needs it: "
    "lxc image delete"
)


UNGUARDED = (
    "without this installation's firewall nothing keeps what is on it from the networks of the "
    "denylist"
)
"""What is to be known of a bridge that is kept."""


@dataclass(frozen=True)
class Claim:
    """Something that is ours.

    Attributes:
        what: in words.
        obstacle: why it is kept nevertheless, for somebody else; empty if it may be removed.
    """

    what: str
    obstacle: str = ""


def claim_instance(installation: str, name: str, config: Mapping[str, str]) -> Claim | None:
    """Claim a runner's instance, or one that an image was built or tried in."""
    is_runner = marks.are_of(installation, config)
    if is_runner or marks.is_builder_of(installation, config):
        return Claim(f"instance {name}")
    return None


def claim_registration(
    installation: str, registration: Registration, numbers: Collection[int], place: str
) -> Claim | None:
    """Claim a registration: by its number, which instances of ours tell, or else by its name.

    Args:
        installation: whose.
        registration: as GitHub lists it.
        numbers: those that instances of ours say to have at that place.
        place: in words.
    """
    is_named = registration.ephemeral and naming.belongs_to(installation, registration.name)
    if is_named or registration.id in numbers:
        return Claim(f"registration of {registration.name} at {place}")
    return None


def claim_image(
    installation: str,
    fingerprint: str,
    said: Mapping[str, str],
    aliases: tuple[str, ...],
    seal: Seal | None,
) -> Claim | None:
    """Claim an image that was built, or pulled to build others from.

    What somebody has given a name to is not ours alone any more; and what is not sealed says so
    only, as anybody's image may.

    Args:
        installation: whose.
        fingerprint: the image's.
        said: its properties.
        aliases: its names.
        seal: the installation's; None if it has none.
    """
    what = " ".join(("image", fingerprint[:12], *aliases))
    if seal is None:
        return Claim(what, _UNSEALED) if properties.names(installation, said) else None
    built = BuiltImage.read(fingerprint, said, seal, aliases=aliases)
    if built and built.installation == installation:
        return Claim(what, _named(set(aliases) - {built.alias}, fingerprint))
    if properties.is_base_of(installation, fingerprint, said, seal):
        return Claim(what, _named(set(aliases), fingerprint))
    return Claim(what, _UNSEALED) if properties.names(installation, said) else None


def claim_pool(name: str, used_by: Iterable[str]) -> Claim:
    """Claim a pool that the daemon has made.

    Args:
        name: of one that is known as ours.
        used_by: addresses of what uses it.
    """
    return Claim(f"storage pool {name}", _used(used_by, way_to_delete(name)))


def way_to_delete(pool: str) -> str:
    """Say how somebody deletes a pool that is kept for him."""
    volume = f"lxc storage volume delete {pool} VOLUME"
    return f"if nobody needs it: {volume}, for each; then lxc storage delete {pool}"


def claim_prepared(
    installation: str,
    what: str,
    config: Mapping[str, str],
    used_by: Iterable[str],
    if_kept: str = "",
) -> Claim | None:
    """Claim what was made for the installation in LXD before it began.

    Args:
        installation: whose.
        what: in words.
        config: its configuration.
        used_by: addresses of what uses it.
        if_kept: what is to be known of it then.
    """
    is_ours = preparation.prepared_for(config) == installation
    return Claim(what, _used(used_by, if_kept)) if is_ours else None


def state_to_keep(left: Collection[str]) -> frozenset[str]:
    """Say what of the state is needed to remove what is left, when that is tried again.

    Args:
        left: kinds of things, of `registrations`, `images` and `pools`.
    """
    needs = {"registrations": "places", "images": "image-key"}
    return frozenset(needs[kind] for kind in left if kind in needs)


def _used(used_by: Iterable[str], if_kept: str) -> str:
    users = sorted(used_by)
    if not users:
        return ""
    return f"it is used by {', '.join(users)}" + (f"; {if_kept}" if if_kept else "")


def _named(names: Collection[str], fingerprint: str) -> str:
    if not names:
        return ""
    return (
        f"somebody has named it {' and '.join(sorted(names))}; if nobody needs it: "
        f"lxc image delete {fingerprint[:12]}"
    )
