"""The messages between actors: facts are named as facts, orders as orders."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from supervisor.causes import Cause
from supervisor.lifecycle import Event, Life
from supervisor.planning import Registration
from supervisor.runners.marks import Marks

if TYPE_CHECKING:
    from supervisor.config import Config
    from supervisor.firewall.debug_servers import Server
    from supervisor.firewall.intent import Intent


_VERSION = re.compile(r"-(\d+(?:\.\d+)+)\.tar\.gz")


@dataclass(frozen=True)
class Application:
    """The runner application as GitHub offers it."""

    url: str
    sha256: str
    filename: str

    @property
    def version(self) -> str:
        """Its version, such as `2.330.0`, as its file's name tells it; empty if that tells none."""
        found = _VERSION.search(self.filename)
        return found[1] if found else ""


# To the fleet.


@dataclass(frozen=True)
class Reconcile:
    """List both sides and repair. Comes from the timer, a signal, the control socket, an edge.

    Asked, it is answered by how many reconciles the fleet will have done when this one is.
    """

    why: str


@dataclass(frozen=True)
class RunnerChanged:
    """A runner has come to another stage, or something else of note has changed in its life."""

    name: str
    life: Life


@dataclass(frozen=True)
class InstanceAppeared:
    """LXD has an instance that no runner's actor answers for."""

    name: str


@dataclass(frozen=True)
class TakenOver:
    """A runner's actor has begun anew, and its instance does not say how far the runner is."""

    name: str


@dataclass(frozen=True)
class ConfigChanged:
    """A new configuration has been loaded and is in force."""

    config: "Config"


@dataclass(frozen=True)
class Drain:
    """Create no more runners, and let those go that wait for a job; it stands until `Resume`."""


@dataclass(frozen=True)
class Resume:
    """Keep the wanted number again."""


@dataclass(frozen=True)
class SignalsListening:
    """Guests can report; `base` is the address to report to, such as `http://10.1.2.1:8642`."""

    base: str


@dataclass(frozen=True)
class GitHubChanged:
    """Whether runners can be registered now has changed.

    Attributes:
        open: a registration would be tried.
        proven: the last one tried did not fail: as many as wanted may be asked for, not only one.
        reason: why none can be registered, for the operator; empty if they can.
        cause: the same in a word.
    """

    open: bool
    proven: bool = True
    reason: str = ""
    cause: Cause = Cause.UNKNOWN


@dataclass(frozen=True)
class StorageChanged:
    """Whether there is a pool for runners' disks has changed.

    Attributes:
        pool: the pool that can be used; empty if none can.
        size: for how many bytes of disks it is known to be large enough.
        reason: why none can be used, for the operator; empty if one can.
    """

    pool: str = ""
    size: int = 0
    reason: str = ""


@dataclass(frozen=True)
class FirewallChanged:
    """Whether guests are held to what they may reach has changed.

    Attributes:
        in_place: they are.
        reason: why they aren't, for the operator; empty if they are.
        intent: what the settings wanted that are in force in the kernel.
        filters_ipv6: whether LXD can filter IPv6 at the ports of the bridge; None if that is not
            known yet.
        servers: of each tmate server, why runners can't reach it; empty if they can. One that is
            not named has not been looked at yet.
    """

    in_place: bool
    reason: str = ""
    intent: "Intent | None" = None
    filters_ipv6: bool | None = None
    servers: "Mapping[Server, str]" = field(default_factory=dict)


@dataclass(frozen=True)
class PolicyChanged:
    """Whether jobs can be checked against the policy has changed.

    Attributes:
        healthy: they can.
        reason: why they can't, for the operator; empty if they can.
        base: where guests ask, such as `http://10.1.2.1:8643`; empty while that is not known, and
            where they are not to ask.
    """

    healthy: bool
    reason: str = ""
    base: str = ""


@dataclass(frozen=True)
class ApplicationChanged:
    """The runner application that new runners get has changed. Told to fleet and image.

    Attributes:
        application: the verified one; None if there is none.
        reason: why there is none, for the operator; empty if there is one.
    """

    application: Application | None = None
    reason: str = ""


# To the upgrades' actor, and its answer.


@dataclass(frozen=True)
class AnnounceApplication:
    """Say which runner application new runners get: answered by `ApplicationChanged`."""


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
class GitHubReachable:
    """GitHub can be asked again; what was asked in vain may be asked for now."""


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
class ImageChanged:
    """What runners start from has changed.

    Attributes:
        image: the image's fingerprint; empty if there is none.
        reason: why there is none, for the operator; empty if there is one.
        application: SHA-256 of the runner application in it; empty if that is not known.
        instance_type: what it is for, as `lxd.instance-type` says it; no others start from it.
    """

    image: str = ""
    reason: str = ""
    application: str = ""
    instance_type: str = ""


# To the image's actor.


@dataclass(frozen=True)
class AnnounceImage:
    """Say to the fleet what runners start from: answered by `ImageChanged`."""


@dataclass(frozen=True)
class BuildImage:
    """Build the image anew, though nothing that it is made of has changed.

    Asked, it is answered by `BuildOrdered`, or by `BuildRefused`.
    """

    why: str = ""


@dataclass(frozen=True)
class BuildOrdered:
    """When a build that was ordered is done.

    Attributes:
        done_by: how many orders this incarnation of the actor will have carried out then.
        incarnation: of the actor; another one knows nothing of the order.
    """

    done_by: int
    incarnation: str


@dataclass(frozen=True)
class BuildRefused:
    """No image is built, and why."""

    reason: str


# To the firewall's actor.


@dataclass(frozen=True)
class AnnounceFirewall:
    """Say to fleet and image whether the firewall is in place: answered by `FirewallChanged`."""


@dataclass(frozen=True)
class CheckFirewall:
    """Look at everything that the firewall depends on, and at what the kernel has of it.

    Asked, it is answered by `CheckOrdered`.

    Attributes:
        with_runners: also learn which runner has which hardware address.
    """

    with_runners: bool = False


@dataclass(frozen=True)
class CheckOrdered:
    """When a look that was ordered is done.

    Attributes:
        done_by: how many such looks this incarnation of the actor will have done then.
        incarnation: of the actor; the first look of another one comes after the order.
    """

    done_by: int
    incarnation: str


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


# To the upgrades' actor, from the policy's.


@dataclass(frozen=True)
class AnnouncePolicyPackage:
    """Say which environment the service is to run from: answered by `PolicyPackageChanged`."""


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


# To the policy's actor.


@dataclass(frozen=True)
class AnnouncePolicy:
    """Say to the fleet whether jobs can be checked: answered by `PolicyChanged`."""


# To the actor of LXD's filters.


@dataclass(frozen=True)
class CheckFilters:
    """Look whether LXD's own filters of guests are there.

    Attributes:
        checks: how many looks at the firewall have been done when this one is.
    """

    checks: int


# To the storage actor.


@dataclass(frozen=True)
class AnnounceStorage:
    """Say to fleet and image whether there is room for disks: answered by `StorageChanged`."""


# To the signals actor.


@dataclass(frozen=True)
class AnnounceSignals:
    """Say to fleet and image where guests can report, as soon as they can."""


# To a runner.


@dataclass(frozen=True)
class Happened:
    """Something happened in a runner's life."""

    event: Event


@dataclass(frozen=True)
class Look:
    """See whether the instance is as it should be: something was missed."""


# To the tokens actor, and its answers.


@dataclass(frozen=True)
class AnnounceGitHub:
    """Say to the fleet whether runners can be registered: answered by `GitHubChanged`."""


@dataclass(frozen=True)
class RequestJitConfig:
    """Register a runner: answered by `JitConfigMade` or `JitConfigFailed` to the runner.

    Attributes:
        name: the runner's.
        labels: what jobs ask for.
        group: the runner group.
        place: where; refused if another is configured by now.
    """

    name: str
    labels: tuple[str, ...]
    group: str
    place: str


@dataclass(frozen=True)
class RegisterAhead:
    """Register a runner that will be asked for soon: the answer is kept until it is."""

    name: str
    labels: tuple[str, ...]
    group: str
    place: str


@dataclass(frozen=True)
class ForgetAhead:
    """Let go of all registrations that were made ahead and not asked for."""


@dataclass(frozen=True)
class JitConfigMade:
    """GitHub has registered the runner. The configuration is a secret: never shown."""

    runner_id: int
    encoded: str = field(repr=False)
    place: str


@dataclass(frozen=True)
class JitConfigFailed:
    """GitHub has not registered the runner.

    Attributes:
        reason: why, for people.
        cause: the same in a word.
    """

    reason: str
    cause: Cause = Cause.UNKNOWN


@dataclass(frozen=True)
class InquireJob:
    """Tell the feed what GitHub knows of a job that has ended, when GitHub has time to spare.

    Attributes:
        runner: that had it.
        repository: whose it was, by the guest's word.
        run_id: its workflow run's, by the guest's word.
        place: where the runner was registered.
    """

    runner: str
    repository: str
    run_id: str
    place: str


@dataclass(frozen=True)
class AskApplication:
    """Find out which runner application GitHub offers for this machine, for `upgrades`.

    Answered by `ApplicationOffered` or `ApplicationNotOffered`.
    """


@dataclass(frozen=True)
class ApplicationOffered:
    """GitHub offers this runner application, with a checksum."""

    application: Application


@dataclass(frozen=True)
class ApplicationNotOffered:
    """GitHub offers no runner application that can be used.

    Attributes:
        reason: for the operator.
        outage: GitHub could not be asked at all, of which others tell.
    """

    reason: str
    outage: bool = False


@dataclass(frozen=True)
class DeleteRegistration:
    """Delete a registration; a runner that waits for it hears of the outcome as `Happened`."""

    runner_id: int
    name: str
    place: str


@dataclass(frozen=True)
class ListRegistrations:
    """List what is registered: answered by `RegistrationsListed` to the fleet."""

    ticket: int


@dataclass(frozen=True)
class RegistrationsListed:
    """What GitHub has, whole for each place that was listed.

    Attributes:
        ticket: of the order.
        registrations: of all those places.
        error: why the configured place could not be listed.
        places: those that were.
        cause: the same as the error, in a word.
    """

    ticket: int
    registrations: tuple[Registration, ...] = ()
    error: str = ""
    places: frozenset[str] = frozenset()
    cause: Cause = Cause.UNKNOWN


# From workers, to the actor that gave them the work.


@dataclass(frozen=True)
class InstancesListed:
    """What LXD has of ours, with what each says of itself; or why there is no list.

    Attributes:
        ticket: of the reconcile that it is for.
        instances: by name.
        error: why there is no list.
        cause: the same in a word.
        asked: the names that were asked for one by one, as the list was not believed of them; where
            there is no list, as not all could be asked for, those that LXD has not.
    """

    ticket: int
    instances: Mapping[str, Marks] = field(default_factory=dict)
    error: str = ""
    cause: Cause = Cause.UNKNOWN
    asked: frozenset[str] = frozenset()
