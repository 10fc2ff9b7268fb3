"""The packed charm on a whole machine, from its installation to its removal.

Juju is emulated; systemd, LXD, the daemon, its guests and their jobs are real. The tests are a
story: each takes the fleet over as the one before has left it, which is whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.charm.machine_unit import MachineUnit
from tests.e2e.charm.packing import pack, pack_next
from tests.e2e.charm.site import IMAGE, ORGANISATION, PROJECT, SERVICE, TOKEN, Site
from tests.e2e.charm.traces import Picture, differences, picture
from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from pathlib import Path

# The image and the charm may have to be made.
pytestmark = pytest.mark.timeout(400)

ROTATED = "ghp_theTokenThatCameAfterIt"
UNKNOWN = "ghp_thatGitHubHasNeverHeardOf"
NEXT_VERSION = "0.1.1.dev0"
CONFIG = "/etc/github-runner-supervisor/config.yaml"
SMALL = {"vm_cpu": 1, "vm_memory": "256MiB", "vm_disk": "256MiB"}


@dataclass(frozen=True)
class Deployment:
    """What was deployed.

    Attributes:
        unit: of the charm.
        before: the machine before it came.
        storage: of the unit.
        secret: with the token.
        first: the status after the installation, when nothing was configured.
    """

    unit: MachineUnit
    before: Picture
    storage: str
    secret: str
    first: tuple[str, str]

    def wait_active(self) -> str:
        """Wait for an active unit, as far as Juju looks; return what it says."""

        def is_active() -> bool:
            self.unit.hook("update-status")
            return self.unit.status[0] == "active"

        wait_until(is_active, "the unit is active")
        return self.unit.status[1]


@pytest.fixture(scope="module")
def deployment(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The events in Juju's order: it attaches storage before it installs."""
    charm = pack(tmp_path_factory.mktemp("charm"))
    site.machine.run("lxc", "list")  # a LXD that was never started has no directories yet
    before = picture(site.machine)
    unit = MachineUnit(site.machine, charm)
    storage = unit.attach_storage()
    for event in ("install", "leader-elected", "config-changed", "start"):
        unit.hook(event)
    first = unit.status
    secret: str = unit.call("add_secret", {"token": TOKEN})
    unit.configure(
        path=ORGANISATION,
        github_url=site.github.url,
        token_secret_id=secret,
        instance_type="container",  # there is no KVM in a container
        lxd_image=IMAGE,
        **SMALL,
    )
    site.import_image()
    return Deployment(unit, before, storage, secret, first)


def test_it_says_what_it_lacks_and_then_keeps_a_runner(site: Site, deployment: Deployment) -> None:
    word, message = deployment.first
    assert (word, "token-secret-id" in message) == ("blocked", True), message
    site.wait_whole(1)
    assert deployment.wait_active().startswith("1 of 1 runners")
    assert deployment.unit.model["version"] == "0.1.0"
    assert site.machine.show(SERVICE, "User") == "github-runner-supervisor"


def test_a_job_runs_that_the_policy_lets_run(site: Site, deployment: Deployment) -> None:
    job = site.wait_succeeded(site.queue("id; echo hello"))
    assert "policy: this job may run" in job.log
    site.wait_whole(1)


def test_runners_are_checked_and_reconciled(site: Site, deployment: Deployment) -> None:
    (name,) = site.wait_whole(1)
    reconciled = results(deployment.unit.act("reconcile-runners"))
    assert reconciled["delta.virtual-machines"] == "0"
    checked = results(deployment.unit.act("check-runners"))
    assert (checked["online"], checked["offline"], checked["unknown"]) == ("1", "0", "0")
    assert name in checked["runners"]


def test_the_tree_shows_every_actor(site: Site, deployment: Deployment) -> None:
    (name,) = site.wait_whole(1)
    shown = results(deployment.unit.act("tree"))["tree"]
    assert {"fleet", "firewall", "policy", name} <= set(shown.split())


def test_runners_are_flushed(site: Site, deployment: Deployment) -> None:
    before = site.wait_whole(1)
    flushed = results(deployment.unit.act("flush-runners", whom="idle"))
    assert flushed["delta.virtual-machines"] == "1"
    wait_until(lambda: not before & set(site.runners()), "the old one is gone")
    site.wait_whole(1)


def test_dependencies_are_brought_up_to_date_in_the_background(
    site: Site, deployment: Deployment
) -> None:
    assert results(deployment.unit.act("update-dependencies")) == {"flush": "false"}
    # No mirror is reached from here: it ends, and nothing of it stays.
    wait_until(lambda: not updates(site), "the update has ended")
    assert "update.env" not in site.machine.run("ls", "/var/lib/github-runner-supervisor-charm")
    site.wait_whole(1)


def test_another_number_and_other_labels_take_effect(site: Site, deployment: Deployment) -> None:
    started = site.machine.show(SERVICE, "ExecMainPID")
    deployment.unit.configure(virtual_machines=2, labels="large, gpu")
    site.wait_whole(2)
    wait_until(lambda: all_labelled(site, {"runners", "large", "gpu"}), "all have the labels")
    deployment.unit.configure(virtual_machines=1)
    site.wait_whole(1)
    assert site.machine.show(SERVICE, "ExecMainPID") == started


def test_a_bad_value_blocks_the_unit_and_the_daemon_goes_on(
    site: Site, deployment: Deployment
) -> None:
    before, kept = site.wait_whole(1), site.machine.read(CONFIG)
    deployment.unit.configure(vm_memory="lots")
    word, message = deployment.unit.status
    assert (word, message.partition(":")[0]) == ("blocked", "vm-memory")
    assert message.endswith("the daemon keeps its last good configuration")
    assert site.machine.read(CONFIG) == kept
    deployment.unit.hook("update-status")
    assert deployment.unit.status == (word, message)
    assert site.wait_whole(1) == before
    deployment.unit.configure(**SMALL)
    deployment.wait_active()


def test_a_token_that_github_refuses_blocks_the_unit_and_its_runners_stay(
    site: Site, deployment: Deployment
) -> None:
    before = site.wait_whole(1)
    give_token(deployment, UNKNOWN)

    def is_told() -> bool:
        deployment.unit.hook("update-status")
        word, message = deployment.unit.status
        return word == "blocked" and message.startswith("GitHub refuses the classic personal ")

    wait_until(is_told, "the unit is blocked")
    assert "; 1 of 1 runners online: " in deployment.unit.status[1]
    give_token(deployment, TOKEN)
    deployment.wait_active()
    assert site.wait_whole(1) == before


def test_a_rotated_token_is_used_and_the_job_survives(site: Site, deployment: Deployment) -> None:
    site.wait_whole(1)
    with site.running_job() as busy:
        site.github.add_token(ROTATED)
        give_token(deployment, ROTATED)
        site.github.revoke(TOKEN)
        assert busy in site.wait_whole(1)
    site.wait_succeeded(site.queue())
    site.wait_whole(1)


def test_an_upgrade_of_the_charm_keeps_the_job(
    site: Site, deployment: Deployment, tmp_path: Path
) -> None:
    charm = pack_next(tmp_path, NEXT_VERSION)
    site.wait_whole(1)
    with site.running_job() as busy:
        deployment.unit.upgrade(charm)
        assert deployment.unit.model["version"] == NEXT_VERSION
        assert busy in site.wait_whole(1)
    assert NEXT_VERSION in running_program(site)
    site.wait_whole(1)
    deployment.wait_active()


def test_after_a_reboot_the_fleet_is_back(site: Site, deployment: Deployment) -> None:
    before = site.wait_whole(1)
    site.machine.reboot()
    deployment.unit.hook("start")
    wait_until(lambda: not before & set(site.runners()), "those from before are gone")
    site.wait_whole(1)
    site.wait_succeeded(site.queue())
    deployment.wait_active()


def test_what_is_somebody_elses_stays_and_the_unit_goes(site: Site, deployment: Deployment) -> None:
    run = deployment.unit.hook(deployment.storage, "storage_event", "detaching")
    assert any(f"project {PROJECT}: it is used by /1.0/images/" in line for _, line in run["log"])
    site.delete_image()
    site.machine.run("lxc", "project", "delete", PROJECT)


def test_removed_it_has_left_nothing(site: Site, deployment: Deployment) -> None:
    deployment.unit.detach_storage(deployment.storage)
    for event in ("stop", "remove"):
        deployment.unit.hook(event)
    assert not site.github.runners()
    assert differences(deployment.before, picture(site.machine)) == {}


def test_juju_was_told_no_secret(deployment: Deployment) -> None:
    told = json.dumps(deployment.unit.model["calls"]) + json.dumps(deployment.unit.model["log"])
    assert TOKEN not in told
    assert ROTATED not in told
    assert UNKNOWN not in told


def give_token(deployment: Deployment, token: str) -> None:
    """Have the secret hold another token, and the unit be told."""
    deployment.unit.call("update_secret", deployment.secret, {"token": token})
    deployment.unit.hook(deployment.secret, "secret_changed")


def results(run: dict[str, Any]) -> dict[str, str]:
    """Give an action's results; it must have gone well."""
    assert (run["code"], run["failure"]) == (0, ""), run
    found: dict[str, str] = run["results"]
    return found


def updates(site: Site) -> str:
    """Give the units of an update in the background."""
    options = ("--all", "--plain", "--no-legend")
    return site.machine.systemctl("list-units", *options, "github-runner-supervisor-update*")


def all_labelled(site: Site, labels: set[str]) -> bool:
    return all(
        labels <= {label.name for label in runner.labels} for runner in site.github.runners()
    )


def running_program(site: Site) -> str:
    """Give the command line of the daemon."""
    pid = site.machine.show(SERVICE, "ExecMainPID")
    return site.machine.read(f"/proc/{pid}/cmdline").replace("\0", " ")
