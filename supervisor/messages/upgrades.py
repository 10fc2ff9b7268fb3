"""What the upgrades' actor may be told, and what it announces."""

from collections.abc import Mapping
from dataclasses import dataclass

from supervisor.upgrades.application import Application


@dataclass(frozen=True)
class AnnounceApplication:
    """Say which runner application new runners get: answered by `ApplicationChanged`."""


@dataclass(frozen=True)
class ApplicationChanged:
    """The runner application that new runners get has changed. Told to fleet and image.

    Attributes:
        application: the verified one; None if there is none.
        reason: why there is none, for the operator; empty if there is one.
    """

    application: Application | None = None
    reason: str = ""


@dataclass(frozen=True)
class CheckUpgrades:
    """Look whether there is something newer of all that is kept current.

    Asked, it is answered by `UpgradesOrdered`.

    Attributes:
        fresh_s: nothing is done where it was looked for within so many seconds.
        why: for the log.
        ordered: by the operator, who has what is offered taken although it is older.
    """

    fresh_s: float = 0.0
    why: str = ""
    ordered: bool = False


@dataclass(frozen=True)
class UpgradesOrdered:
    """When the looks that were ordered are done.

    Attributes:
        done_by: how many looks this incarnation of the actor will have done then, by what is
            looked after.
        incarnation: of the actor; the first looks of another one come after the order.
    """

    done_by: Mapping[str, int]
    incarnation: str


@dataclass(frozen=True)
class GitHubReachable:
    """GitHub can be asked again; what was asked in vain may be asked for now."""


@dataclass(frozen=True)
class AnnouncePolicyPackage:
    """Say which environment the service is to run from: answered by `PolicyPackageChanged`."""


@dataclass(frozen=True)
class PolicyPackageChanged:
    """The environment that the policy service is to run from has changed.

    Attributes:
        environment: its directory; empty if there is none that is good.
        version: what is installed there, for people.
        reason: why there is none, for the operator; empty if there is one.
        unproven: it has not served well yet, and there is one before it.
    """

    environment: str = ""
    version: str = ""
    reason: str = ""
    unproven: bool = False


@dataclass(frozen=True)
class PolicyPackageFailed:
    """The service fails since it runs from another environment: the one before is to be used.

    Attributes:
        environment: the directory of the one that fails.
        reason: for the operator.
        trouble: it runs, and says that it can't check jobs, which may be no fault of its own.
    """

    environment: str
    reason: str
    trouble: bool = False


@dataclass(frozen=True)
class PolicyPackageProven:
    """The service has served well for a while from another environment: it is kept.

    Attributes:
        environment: its directory.
    """

    environment: str
