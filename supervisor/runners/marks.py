"""What an instance's own configuration says of it: written, and read again by whoever comes after.

The keys and their meaning are part of the guest contract (docs/guest-contract.md). Without them a
restarted daemon would have to guess; with them it needs no database.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from supervisor.github import places
from supervisor.lifecycle import Job, Life, Seen, Stage
from supervisor.runners.instances import USER_DATA
from supervisor.text import moments

PREFIX = "user.supervisor."
_STOPPED = "Stopped"
"""The one state of LXD's that surely runs no job: a frozen or failing instance may still."""
_LAST_POWER = "volatile.last_state.power"
"""Whether an instance ran when LXD last knew; there is none before its first start.

LXD writes that it has stopped when it sees it stop. Where the host loses its power nobody does.

https://documentation.ubuntu.com/lxd/stable-5.21/reference/instance_options/#instance-volatile
"""


@dataclass(frozen=True)
class Marks:
    """An instance of ours, as its configuration describes it.

    Attributes:
        seen: what its runner's life goes on from.
        generation: the settings it was made from.
        signal_digest: SHA-256 of the token its guest shows.
        place: where it is registered; empty in one that was made before that was noted.
        policy: whom it asks whether its job may run, as `policy.mode` was; empty likewise.
    """

    seen: Seen
    generation: str
    signal_digest: str
    place: str = ""
    policy: str = ""


def of_new_instance(
    *,
    installation: str,
    generation: str,
    place: str,
    runner_id: int,
    created_at: datetime,
    signal_digest: str,
    policy: str,
) -> dict[str, str]:
    """Make the keys that an instance is created with."""
    return _prefixed(
        {
            "installation": installation,
            "generation": generation,
            "place": place,
            "runner-id": str(runner_id),
            "created-at": created_at.isoformat(timespec="seconds"),
            "signal-sha256": signal_digest,
            "policy": policy,
        }
    )


def of_builder(installation: str) -> dict[str, str]:
    """Make the key of an instance that an image is built or tried in: it is no runner."""
    return _prefixed({"image-builder": installation})


def of_place(place: str) -> dict[str, str]:
    """Make the key that says where the runner is registered."""
    return _prefixed({"place": place})


def of_life(life: Life) -> dict[str, str]:
    """Make the keys that change while the runner lives.

    The guest has taken what it was given: the secrets go, as an empty key is none to LXD.
    """
    stage = Stage.BUSY if life.stage is Stage.BUSY else Stage.READY
    since = (life.job_began_at if stage is Stage.BUSY else life.ready_at) or life.since
    keys = {"stage": str(stage), "since": since.isoformat(timespec="seconds")}
    if life.job:
        keys["job"] = json.dumps(asdict(life.job))
    return {**_prefixed(keys), USER_DATA: ""}


def are_of(installation: str, config: Mapping[str, str]) -> bool:
    """Tell whether an instance was made by this installation."""
    return config.get(f"{PREFIX}installation") == installation


def is_builder_of(installation: str, config: Mapping[str, str]) -> bool:
    """Tell whether this installation builds or tries an image in an instance."""
    return config.get(f"{PREFIX}image-builder") == installation


def read(status: str, config: Mapping[str, str]) -> Marks:
    """Read what an instance says of itself. What can't be read counts as not there.

    Args:
        status: LXD's word for its state.
        config: its configuration.
    """
    runner_id = config.get(f"{PREFIX}runner-id", "")
    seen = Seen(
        running=status != _STOPPED,
        stage=config.get(f"{PREFIX}stage", ""),
        runner_id=int(runner_id) if re.fullmatch(r"[0-9]{1,18}", runner_id) else None,
        job=_read_job(config.get(f"{PREFIX}job", "")),
        holds_secrets=bool(config.get(USER_DATA)),
        since=moments.read(config.get(f"{PREFIX}since", "")),
        created_at=moments.read(config.get(f"{PREFIX}created-at", "")),
        started=_LAST_POWER in config,
        stop_noticed=config.get(_LAST_POWER) == "STOPPED",
    )
    generation = config.get(f"{PREFIX}generation", "")
    place = places.parse(config.get(f"{PREFIX}place", ""))
    digest, policy = (config.get(f"{PREFIX}{key}", "") for key in ("signal-sha256", "policy"))
    return Marks(seen, generation, digest, place, policy)


def _read_job(text: str) -> Job | None:
    try:
        job = Job(**json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None
    return job if all(isinstance(value, str) for value in asdict(job).values()) else None


def _prefixed(keys: Mapping[str, str]) -> dict[str, str]:
    return {f"{PREFIX}{key}": value for key, value in keys.items()}
