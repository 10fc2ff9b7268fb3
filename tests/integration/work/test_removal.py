"""What an installation has in a real LXD, at GitHub and on this host goes, and nothing else."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.github import Fault, SandboxGitHub
from sandbox.image import build_image
from sandbox.namespaces import namespace
from supervisor.config import Config, parse
from supervisor.firewall import filters
from supervisor.firewall.names import table_name
from supervisor.gateways import storage as file_systems
from supervisor.gateways.image_key import seal_of
from supervisor.gateways.lxd import Lxd, LxdEndpoint
from supervisor.gateways.nftables import Nftables
from supervisor.gateways.place_notes import PlaceNotes
from supervisor.github import conversations, places
from supervisor.github.credential import PersonalToken
from supervisor.host import storage
from supervisor.images import properties
from supervisor.runners import marks, naming
from supervisor.runners.instances import instance_request
from supervisor.work import registrations as registrations_work
from supervisor.work.preparation import PreparationWork
from supervisor.work.registrations import Line
from supervisor.work.removal import RemovalWork
from supervisor.work.removal_report import Report
from supervisor.work.storage import PoolReady, StorageWork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.private_lxd import PrivateLxd

TOKEN = "ghp_theTokenOfTheseTests"
_KINDS = ("projects", "storage-pools", "networks")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_image(tmp_path_factory.mktemp("image")).path


@dataclass
class Installation:
    """An installation without a daemon, and all that one would have made for it."""

    host: PrivateLxd
    github: SandboxGitHub
    nftables: Nftables
    given: dict[str, Any]
    runners: list[str] = field(default_factory=list)
    timeout_s: float = 30

    @property
    def config(self) -> Config:
        return parse(self.given, "test")

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def endpoint(self) -> LxdEndpoint:
        return LxdEndpoint(self.host.daemon.socket, self.config.lxd.project, self.timeout_s)

    @property
    def lxd(self) -> Lxd:
        return Lxd(self.endpoint)

    @property
    def table(self) -> str:
        return table_name(self.name, self.config.lxd.network)

    def register(self, name: str) -> int:
        """Register a runner, as the daemon does."""
        line = Line(self.config, PersonalToken(TOKEN), float("inf"))
        registered = line.lead(conversations.register(line.scope, name, ("x",), 1))
        line.close()
        return registered.runner_id

    def registered(self) -> set[str]:
        return {runner.name for runner in self.github.runners()}

    def settle(self, image: Path) -> None:
        """Have everything that an installation can have, except guests at work."""
        PreparationWork(self.endpoint, self.config, self.nftables, str).prepare()
        found = StorageWork(self.lxd, self.config).ensure()
        assert isinstance(found, PoolReady), found
        fingerprint = self.lxd.import_image(image, alias="temporary")
        self.lxd._call("drop the alias", "delete", "images", "aliases", "temporary")
        seal = seal_of(self.config.state_directory / "image-key")
        said = properties.of_base(self.name, fingerprint, seal)
        self.lxd.update_image(fingerprint, said)
        for _ in range(2):
            name = naming.new_runner_name(self.name)
            self.add(name, fingerprint, **self.marks(self.register(name)))
            self.runners.append(name)
        self.add(f"{self.name}-builder", fingerprint, **marks.of_builder(self.name))
        self.nftables.apply(f"table inet {self.table} {{ chain guards {{ }}; }}")
        PlaceNotes(self.config.state_directory / "places").add(places.of(self.config))
        (self.config.state_directory / "logs").mkdir()
        (self.config.state_directory / "drained").write_text("")
        for log in ("metrics.log", "metrics.log.1"):
            (self.logs / log).touch()

    def marks(self, number: int) -> dict[str, str]:
        return marks.of_new_instance(
            installation=self.name,
            generation="g",
            place=places.of(self.config),
            runner_id=number,
            created_at=datetime.now(timezone.utc),
            signal_digest="",
            policy="off",
        )

    def add(self, name: str, image: str, **metadata: str) -> None:
        template = replace(
            self.host.template(),
            image=image,
            pool=storage.pool_name(self.config),
            network=self.config.lxd.network,
            profiles=(self.config.lxd.profile,),
        )
        request = instance_request(template, name=name, user_data="", metadata=metadata)
        self.lxd.create(request, limit_s=30)

    def remove(self, meanwhile: Callable[[str], object] = str) -> Report:
        """Remove it all; the report is also told to `meanwhile`, thing by thing."""
        report = Report(lambda _outcome, what, _why: meanwhile(what))
        RemovalWork(self.endpoint, self.config, self.nftables, report).remove()
        return report

    @property
    def logs(self) -> Path:
        assert self.config.metric_log.path
        return self.config.metric_log.path.parent

    def state(self) -> set[str]:
        kept = (*self.config.state_directory.iterdir(), *self.logs.iterdir())
        return {path.name for path in kept}

    def pools(self) -> set[str]:
        return set(file_systems.noted(storage.homes(self.config)))


def everything(host: PrivateLxd) -> dict[str, Any]:
    """Return all that LXD has, with its configuration."""
    everywhere, theirs = Lxd(LxdEndpoint(host.daemon.socket)), Lxd(host.endpoint)
    found: dict[str, Any] = {
        kind: {one.name: dict(one.config) for one in everywhere.resources(kind) if one.config}
        for kind in _KINDS
    }
    found["instances"] = {one.name: one.status for one in theirs.instances()}
    found["images"] = theirs.stored_images()
    found["profiles"] = {one.name for one in theirs.resources("profiles")}
    return found


@pytest.fixture
def installed(real_lxd: PrivateLxd, image: Path) -> Iterator[Installation]:
    """An installation with everything it can have, in a LXD and at a GitHub that others use."""
    name = f"gone-{secrets.token_hex(3)}"
    # Below LXD's directory: what cleans up after a killed run unmounts what is there, too.
    directory = Path(tempfile.mkdtemp(dir=real_lxd.daemon.directory, prefix="gone-"))
    logs = directory.with_name(f"{directory.name}-logs")
    logs.mkdir()
    theirs = Lxd(real_lxd.endpoint)
    template = real_lxd.template()
    other = {f"{marks.PREFIX}installation": f"{name}-2"}
    theirs.create(
        instance_request(template, name="theirs", user_data="", metadata=other), limit_s=30
    )
    before = everything(real_lxd)
    with ExitStack() as stack:
        github = stack.enter_context(SandboxGitHub(org="acme", token=TOKEN))
        there = stack.enter_context(namespace())
        stack.callback(theirs.delete, "theirs", limit_s=30)
        given = {
            "name": name,
            "path": "acme",
            "github-url": github.url,
            "token": TOKEN,
            "virtual-machines": 2,
            "vm-disk": "64MiB",
            "vm-memory": "128MiB",
            "runner-storage": "memory",
            "state-directory": str(directory),
            "metric-log": {"path": str(logs / "metrics.log")},
            "lxd": {
                "socket": str(real_lxd.daemon.socket),
                "project": name,
                "pool": name,
                "network": name,
                "profile": name,
                "image": "prepared",
                "instance-type": "container",
            },
        }
        nftables = Nftables((*there.prefix, "nft"))
        made = Installation(real_lxd, github, nftables, given)
        made.settle(image)
        nftables.apply(f"table inet {table_name(f'{name}-2', 'lxdbr0')} {{ }}")
        yield made
        real_lxd.daemon.resume()
        real_lxd.daemon.start()
        github.faults.clear()
        report = made.remove()
        assert report.left == {}
        assert everything(real_lxd) == before
        assert nftables.tables() == [table_name(f"{name}-2", "lxdbr0")]
    shutil.rmtree(directory)
    shutil.rmtree(logs)


def test_all_that_it_has_goes_and_a_second_call_finds_nothing(installed: Installation) -> None:
    for others in (
        "buildserver",
        f"{installed.name}-2-abcdefghijkl",
        f"{installed.name}-abcdefghijkl",
    ):
        installed.register(others)
    report = installed.remove()
    assert report.left == {}
    kinds = [what.split()[0] for what in report.removed]
    assert kinds[:2] == ["registration", "registration"]
    assert kinds.count("instance") == 3
    for one in ("image", "storage", "nft", "profile", "project", "bridge"):
        assert kinds.count(one) == 1, report.removed
    assert installed.state() == set()
    assert installed.registered() == {
        "buildserver",
        f"{installed.name}-2-abcdefghijkl",
        f"{installed.name}-abcdefghijkl",
    }
    again = installed.remove()
    assert (again.removed, again.left) == ([], {})


def test_what_lxd_has_left_of_guests_goes_and_what_is_of_others_stays(
    installed: Installation,
) -> None:
    ours = (installed.runners[0], naming.new_runner_name(installed.name))
    others = (f"{installed.name}-buildserver1", naming.new_runner_name("another"))
    chains = [f"in.{installed.name}_{name}.eth0" for name in (*ours, *others)]
    table = "\n".join(f"chain {chain} {{ ether type ip drop; }}" for chain in chains)
    installed.nftables.apply(f"table bridge lxd {{ {table}\n }}")
    removed = installed.remove().removed
    gone = {what.rpartition(" ")[2] for what in removed if what.startswith("nft chain bridge lxd")}
    assert gone == set(chains[:2])
    left = filters.read(installed.nftables.table("lxd", "bridge"))
    assert set(left.spelled) == set(chains[2:])


def test_a_guest_that_lxd_does_not_list_stays_guarded_and_is_told(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlisted, gone = installed.runners[0], naming.new_runner_name(installed.name)
    chains = [f"in.{installed.name}_{name}.eth0" for name in (unlisted, gone)]
    table = "\n".join(f"chain {chain} {{ ether type ip drop; }}" for chain in chains)
    installed.nftables.apply(f"table bridge lxd {{ {table}\n }}")
    whole = Lxd.instances
    with monkeypatch.context() as patched:
        patched.setattr(
            Lxd, "instances", lambda lxd: [one for one in whole(lxd) if one.name != unlisted]
        )
        left = installed.remove().left
    assert left[f"instance {unlisted}"] == "LXD has it, and did not list it"
    assert f"nft table inet {installed.table}" in left
    there = filters.read(installed.nftables.table("lxd", "bridge"))
    assert set(there.spelled) == {chains[0]}


def test_without_github_the_rest_goes_and_what_is_not_known_is_said(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrations_work, "_RETRY_S", 0.01)
    installed.github.faults.add(Fault(status=503, times=None))
    report = installed.remove()
    assert report.left.keys() == {"registrations at acme"}
    assert installed.state() == {"places"}
    assert installed.registered() == set(installed.runners)


@pytest.mark.parametrize("hangs", [False, True], ids=["dead", "hanging"])
def test_without_lxd_guests_stay_guarded_and_github_is_left(
    installed: Installation, hangs: bool
) -> None:
    daemon = installed.host.daemon
    daemon.pause() if hangs else daemon.kill()
    installed.timeout_s = 1
    report = installed.remove()
    installed.timeout_s = 30
    assert report.left.keys() == {"what is in LXD", f"nft table inet {installed.table}"}
    assert installed.registered() == set()
    assert "image-key" in installed.state()
    assert installed.pools()


def test_a_lxd_that_ends_half_way_is_gone_on_with_later(installed: Installation) -> None:
    def meanwhile(what: str) -> None:
        if what.startswith("image "):
            installed.host.daemon.kill()

    report = installed.remove(meanwhile)
    assert any(what.startswith("image ") for what in report.removed)
    assert report.left
    assert installed.pools()


def test_an_order_of_things_that_ends_anywhere_is_completed(installed: Installation) -> None:
    class Ended(Exception):
        pass

    seen: set[str] = set()

    def end_at_what_is_new(what: str) -> None:
        kind = what.split(maxsplit=1)[0]
        if kind not in seen:
            seen.add(kind)
            raise Ended

    for _ in range(20):
        try:
            report = installed.remove(end_at_what_is_new)
            break
        except Ended:
            continue
    assert report.left == {}
    assert {"registration", "instance", "image", "project", "bridge"} <= seen
    assert installed.state() == set()


def test_what_is_of_use_to_somebody_else_is_kept_and_named(installed: Installation) -> None:
    (fingerprint,) = installed.lxd.images()
    installed.lxd.name_image("theirs", fingerprint)
    report = installed.remove()
    assert report.left == {}
    assert "somebody has named it theirs" in report.kept[f"image {fingerprint[:12]} theirs"]
    assert f"/1.0/images/{fingerprint}" in report.kept[f"project {installed.name}"]
    gone = {what.partition(" ")[0] for what in report.removed}
    assert {"registration", "instance", "profile", "bridge", "storage", "nft"} <= gone
    assert "image-key" in installed.state()
    installed.lxd._call("drop the alias", "delete", "images", "aliases", "theirs")


def test_a_lxd_that_has_no_project_of_that_name_is_no_trouble(installed: Installation) -> None:
    installed.remove()
    installed.given["lxd"]["project"] = "there-is-none"
    assert installed.remove().left == {}
