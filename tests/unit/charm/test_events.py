"""Every event leads to the same state of the machine, whatever was lost before it."""

import logging
from typing import Any

import pytest
from charm_world import STORAGE, Killed, Rebooted, World
from machine import MachineError, Setback, VersionRefused
from ops import testing
from ops.testing import ActiveStatus, BlockedStatus, MaintenanceStatus, WaitingStatus

LAST = {"stop": "stop", "remove": "remove"}
"""Those that end things."""


def test_a_deployment_installs_once_and_configures_once(world: World) -> None:
    world.run(world.ctx.on.storage_attached(STORAGE))
    assert world.machine.done == []

    world.run(world.ctx.on.install())
    assert world.machine.done == ["install 5.21/stable", "apply"]
    assert world.ctx.unit_status_history[-1] == MaintenanceStatus("installing LXD")

    for event in (world.ctx.on.config_changed, world.ctx.on.start):
        world.run(event())
    assert world.machine.done == ["install 5.21/stable", "apply", "prepare-lxd"]
    assert world.status == ActiveStatus("1 of 1 runners online: 1 idle")
    assert world.state.workload_version == "1.0"
    assert world.machine.owner == "runners/0"


def test_a_machine_that_is_as_wanted_is_left_alone_by_each_event(
    deployed: World, event: Any
) -> None:
    for _ in range(2):
        deployed.run(event(deployed))
        changing = [one for one in deployed.machine.done if not one.startswith("upgrade")]
        assert set(changing) <= {"prepare-lxd"}
        assert deployed.status == ActiveStatus("1 of 1 runners online: 1 idle")


def test_each_event_configures_what_was_set_meanwhile(deployed: World, event: Any) -> None:
    deployed.set(virtual_machines=3)
    deployed.run(event(deployed))
    assert deployed.machine.document["virtual-machines"] == 3
    assert deployed.status == ActiveStatus("3 of 3 runners online: 3 idle")


def test_each_event_tells_cos_what_to_look_at(deployed: World, event: Any) -> None:
    before = deployed.provided
    deployed.run(event(deployed))
    assert deployed.provided == before + 1


def test_cos_is_told_where_to_look_also_where_the_machine_can_not_be_set_up(world: World) -> None:
    world.machine.failures["install"] = MachineError("no room")
    world.run(world.ctx.on.install())
    assert world.status.message.startswith("no room")
    assert world.provided


def test_a_wrong_option_is_told_by_each_event_until_it_is_mended(
    deployed: World, event: Any
) -> None:
    before = deployed.machine.document
    deployed.set(vm_memory="much")
    for _ in range(2):
        deployed.run(event(deployed))
        assert deployed.status == BlockedStatus(
            "vm-memory: must be a whole number and a unit: KiB, MiB, GiB, TiB, PiB or EiB; "
            "`juju config runners vm-memory=7GiB`; the daemon keeps its last good configuration"
        )
        assert deployed.machine.document == before

    deployed.set(vm_memory="8GiB")
    deployed.run(event(deployed))
    assert isinstance(deployed.status, ActiveStatus)
    assert deployed.machine.document["vm-memory"] == "8GiB"


def test_a_wrong_option_at_the_deployment_says_nothing_of_a_last_good_one(world: World) -> None:
    world.set(path=None)
    world.deploy()
    assert world.status == BlockedStatus(
        "path: is not set; `juju config runners path=ORGANISATION`, or OWNER/REPOSITORY"
    )
    assert world.machine.environment == "1.0"
    assert not world.machine.running


def test_each_event_does_what_a_killed_one_has_left(deployed: World, event: Any) -> None:
    deployed.set(virtual_machines=2)
    deployed.machine.failures["apply"] = Killed()
    with pytest.raises(Killed):
        deployed.run(event(deployed))

    deployed.run(event(deployed))
    assert deployed.machine.document["virtual-machines"] == 2


def test_a_killed_installation_is_done_again(world: World) -> None:
    world.machine.failures["apply"] = Killed()
    with pytest.raises(Killed):
        world.run(world.ctx.on.install())

    world.run(world.ctx.on.install())
    assert world.machine.done == ["install 5.21/stable", "install 5.21/stable", "apply"]
    assert isinstance(world.status, ActiveStatus)


def test_what_the_machine_can_not_is_told_and_tried_again_by_each_event(
    deployed: World, event: Any
) -> None:
    deployed.set(virtual_machines=2)
    deployed.machine.failures["apply"] = MachineError("LXD does not answer")
    deployed.run(event(deployed))
    assert deployed.status == BlockedStatus("LXD does not answer; it is tried again within minutes")

    deployed.run(event(deployed))
    assert deployed.status == ActiveStatus("2 of 2 runners online: 2 idle")


def test_an_installation_that_failed_is_tried_again_by_each_later_event(
    world: World, event: Any
) -> None:
    world.machine.failures["install"] = MachineError("apt is locked by another program")
    world.run(world.ctx.on.install())
    assert world.status == BlockedStatus(
        "apt is locked by another program; it is tried again within minutes"
    )
    assert world.machine.done == []

    prepared = event(world)
    world.run(prepared)
    if prepared.name == "runner_storage_attached":  # comes before any installation
        world.run(world.ctx.on.update_status())
    assert world.machine.done[:2] == ["install 5.21/stable", "apply"]
    assert set(world.machine.done[2:]) <= {"prepare-lxd"}
    assert isinstance(world.status, ActiveStatus)


def test_each_event_leaves_a_machine_that_another_unit_has_alone(world: World, event: Any) -> None:
    world.deploy()
    world.machine.owner = "gpu/3"
    world.set(virtual_machines=5)
    world.run(event(world))
    assert world.machine.done == []
    assert world.status == BlockedStatus(
        "gpu/3 has this machine: deploy runners/0 to another machine"
    )


@pytest.mark.parametrize("name", ["stop", "remove", "storage-detaching"])
def test_a_unit_that_goes_leaves_a_machine_that_another_unit_has_alone(
    world: World, name: str
) -> None:
    world.machine.owner = "gpu/3"
    on = world.ctx.on
    last = {"stop": on.stop(), "remove": on.remove(),
            "storage-detaching": on.storage_detaching(STORAGE)}  # fmt: skip
    world.run(last[name])
    assert world.machine.done == []
    assert world.machine.owner == "gpu/3"


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("activating/start", WaitingStatus("the daemon is starting")),
        ("active/running", WaitingStatus("the daemon is starting")),
        (
            "activating/auto-restart",
            WaitingStatus(
                "the daemon has failed, and is started again; "
                "`journalctl -u github-runner-supervisor` on the machine tells more"
            ),
        ),
        (
            "failed/failed: the state directory can't be written",
            BlockedStatus(
                "the daemon has failed: the state directory can't be written; "
                "`journalctl -u github-runner-supervisor` on the machine tells more"
            ),
        ),
    ],
)
def test_a_daemon_that_does_not_answer_is_told_by_each_event(
    deployed: World, event: Any, state: str, status: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed.machine.state = state
    monkeypatch.setattr(deployed.machine, "fleet", lambda: None)
    deployed.run(event(deployed))
    assert deployed.status == status


def test_each_event_tells_how_a_fleet_with_a_problem_is(deployed: World, event: Any) -> None:
    deployed.set(virtual_machines=3)
    deployed.machine.status = {
        "stages": {"idle": 1, "booting": 1},
        "problems": ["fleet: degraded: 1 of 3 runners are there"],
    }
    deployed.run(event(deployed))
    assert deployed.status == WaitingStatus(
        "1 of 3 runners online: 1 idle; 1 coming; "
        "problem: fleet: degraded: 1 of 3 runners are there"
    )


def test_an_upgrade_of_the_charm_upgrades_the_daemon_once(deployed: World) -> None:
    deployed.machine.brought = "1.1"
    deployed.run(deployed.ctx.on.upgrade_charm())
    deployed.run(deployed.ctx.on.config_changed())
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.machine.done == ["upgrade 5.21/stable", "prepare-lxd"]
    assert deployed.state.workload_version == "1.1"


def test_an_upgrade_takes_what_was_set_with_it_by_one_start(deployed: World) -> None:
    deployed.machine.brought = "1.1"
    deployed.set(virtual_machines=3)
    deployed.run(deployed.ctx.on.upgrade_charm())
    assert "apply" not in deployed.machine.done
    assert deployed.machine.document["virtual-machines"] == 3


def test_each_event_does_what_a_killed_upgrade_has_left(deployed: World, event: Any) -> None:
    deployed.machine.brought = "1.1"
    deployed.run(event(deployed))
    assert deployed.machine.done[0] == "upgrade 5.21/stable"
    assert deployed.state.workload_version == "1.1"


@pytest.mark.parametrize("wrong", [{"path": ""}, {"vm_memory": "much"}])
def test_options_that_are_wrong_keep_no_upgrade_back(
    deployed: World, wrong: dict[str, str]
) -> None:
    deployed.machine.brought = "1.1"
    deployed.set(**wrong)
    deployed.run(deployed.ctx.on.upgrade_charm())
    assert deployed.state.workload_version == "1.1"
    assert isinstance(deployed.status, BlockedStatus)
    assert deployed.status.message.startswith(next(iter(wrong)).replace("_", "-"))


def test_a_version_that_refuses_the_options_is_told_in_their_words_and_they_reach_the_former(
    deployed: World, event: Any
) -> None:
    deployed.machine.brought = "1.1"
    deployed.set(virtual_machines=3)
    faults = "config.yaml.new: vm-cpu: must be 4 or more; for example `vm-cpu: 4`\n"
    deployed.machine.failures["upgrade"] = VersionRefused("1.1", "1.0", faults)
    deployed.run(event(deployed))
    assert deployed.status == BlockedStatus(
        "version 1.1 can't be used: vm-cpu: must be 4 or more; `juju config runners vm-cpu=4`; "
        "1.0 stays in use; it is tried again within minutes"
    )
    assert deployed.machine.document["virtual-machines"] == 3


def test_a_version_that_does_not_come_up_is_told_and_not_tried_again_until_another_revision(
    deployed: World,
) -> None:
    deployed.machine.brought = "1.1"
    deployed.machine.stillborn = ("1.1",)
    deployed.run(deployed.ctx.on.upgrade_charm())
    deployed.set(virtual_machines=3)
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.status == BlockedStatus(
        "version 1.1 did not come up: no socket; 1.0 runs on, until `juju refresh` brings another "
        "revision; 3 of 3 runners online: 3 idle"
    )
    assert deployed.machine.done.count("upgrade 5.21/stable") == 1
    assert deployed.machine.document["virtual-machines"] == 3

    deployed.machine.brought = "1.2"
    deployed.run(deployed.ctx.on.upgrade_charm())
    assert deployed.state.workload_version == "1.2"
    assert isinstance(deployed.status, ActiveStatus)


def test_what_the_former_version_refuses_is_told_after_what_did_not_come_up(
    deployed: World,
) -> None:
    deployed.machine.set_back = Setback("1.1", "1.0", "no socket")
    deployed.machine.brought = "1.1"
    deployed.set(vm_memory="much")
    deployed.run(deployed.ctx.on.update_status())
    assert isinstance(deployed.status, BlockedStatus)
    assert deployed.status.message.startswith("version 1.1 did not come up: no socket; 1.0 runs on")
    assert "; vm-memory: must be a whole number" in deployed.status.message
    assert deployed.status.message.count("`juju ") == 2


def test_an_option_that_is_wrong_is_told_after_what_did_not_come_up(deployed: World) -> None:
    deployed.machine.set_back = Setback("1.1", "1.0", "no socket")
    deployed.machine.brought = "1.1"
    deployed.set(path="")
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.status.message.startswith("version 1.1 did not come up: no socket; 1.0 runs on")
    assert "; path: " in deployed.status.message
    assert deployed.status.message.endswith("; 1 of 1 runners online: 1 idle")


def test_after_a_setback_a_credential_that_github_refuses_is_told_with_what_mends_it(
    deployed: World,
) -> None:
    deployed.machine.set_back = Setback("1.1", "1.0", "no socket" * 90)
    deployed.machine.brought = "1.1"
    refused = "tokens: failing: GitHub answered 401: Bad credentials"
    deployed.machine.status = {
        "problems": [refused],
        "parts": {"github": {"cause": "credential-rejected"}},
    }
    deployed.run(deployed.ctx.on.update_status())
    assert "; GitHub refuses the credential (401)" in deployed.status.message
    assert "`juju config runners token-secret-id=SECRET`" in deployed.status.message
    assert "`juju refresh`" in deployed.status.message


def test_a_former_version_that_does_not_answer_is_not_said_to_run_on(deployed: World) -> None:
    deployed.machine.set_back = Setback("1.1", "1.0", "no socket")
    deployed.machine.brought = "1.1"
    deployed.machine.state = "failed/failed: no port"
    deployed.machine.running = False
    deployed.set(path="")
    deployed.run(deployed.ctx.on.update_status())
    assert "; 1.0 is put back, until `juju refresh`" in deployed.status.message
    assert "the daemon has failed: no port" in deployed.status.message


@pytest.mark.parametrize("wrong", [{"path": ""}, {"lxd_channel": "5.21/unstable"}])
def test_options_that_are_wrong_keep_nothing_half_done(
    deployed: World, wrong: dict[str, str], event: Any
) -> None:
    deployed.set(**wrong)
    deployed.run(event(deployed))
    assert deployed.machine.completed == 1
    assert isinstance(deployed.status, BlockedStatus)


def test_a_daemon_that_is_down_is_told_beside_the_wrong_option(deployed: World) -> None:
    deployed.machine.running, deployed.machine.state = False, "failed/failed: no port"
    deployed.set(path="")
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.status.message.startswith("path: ")
    assert "; the daemon has failed: no port" in deployed.status.message


def test_of_a_daemon_that_was_never_configured_only_the_wrong_option_is_told(
    world: World,
) -> None:
    world.set(path="")
    world.run(world.ctx.on.install())
    assert world.status.message.startswith("path: ")
    assert "daemon" not in world.status.message


def test_what_can_not_be_completed_is_logged_and_the_wrong_option_is_told(
    deployed: World, caplog: pytest.LogCaptureFixture
) -> None:
    deployed.machine.failures["complete"] = MachineError("the daemon can't start: no port")
    deployed.set(path="")
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.status.message.startswith("path: ")
    assert "the daemon can't start: no port" in caplog.text


@pytest.mark.parametrize("name", ["start", "upgrade_charm"])
def test_what_lxd_must_have_is_looked_for_when_the_machine_or_the_charm_begins_anew(
    deployed: World, name: str
) -> None:
    deployed.run(getattr(deployed.ctx.on, name)())
    assert deployed.machine.done[-1] == "prepare-lxd"

    deployed.machine.failures["prepare-lxd"] = MachineError("LXD does not answer")
    deployed.run(getattr(deployed.ctx.on, name)())
    assert isinstance(deployed.status, ActiveStatus)


def test_each_event_makes_again_what_the_daemon_misses_in_lxd(deployed: World, event: Any) -> None:
    missing = "fleet: failing: could not list instances: LXD says: Project not found"
    deployed.machine.status = {"problems": [missing], "causes": ["lxd-incomplete"]}
    deployed.run(event(deployed))
    assert deployed.machine.done[-1] == "prepare-lxd"


def test_where_that_fails_the_fleet_is_told_all_the_same(deployed: World, event: Any) -> None:
    missing = "images: failing: could not list the images: LXD says: Project not found"
    deployed.machine.status = {"problems": [missing], "causes": ["lxd-incomplete"]}
    deployed.machine.failures["prepare-lxd"] = MachineError("LXD can't be made ready: no space")
    deployed.run(event(deployed))
    assert isinstance(deployed.status, ActiveStatus)
    assert deployed.status.message.startswith("1 of 1 runners online: 1 idle; problem: images:")
    assert deployed.status.message.endswith("; warning: LXD can't be made ready: no space")

    deployed.machine.status = {}
    deployed.run(event(deployed))
    assert deployed.status == ActiveStatus("1 of 1 runners online: 1 idle")


def test_a_failed_update_is_told_until_one_goes_well(deployed: World, event: Any) -> None:
    deployed.machine.update_failed = "E: no route to the archive"
    deployed.run(event(deployed))
    assert deployed.status == ActiveStatus(
        "1 of 1 runners online: 1 idle; warning: update-dependencies failed: E: no route to the "
        "archive; `juju run runners/0 update-dependencies` tries again"
    )
    deployed.machine.update_failed = ""
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.status == ActiveStatus("1 of 1 runners online: 1 idle")


def test_a_channel_that_can_be_none_is_told_and_nothing_is_installed(world: World) -> None:
    world.set(lxd_channel="5.21/unstable")
    world.run(world.ctx.on.install())
    assert world.machine.done == []
    assert world.status == BlockedStatus(
        "lxd-channel: must be a track, a risk (stable, candidate, beta or edge) or both of the "
        "snap lxd, such as 5.21/stable; "
        "`juju config runners lxd-channel=5.21/stable`"
    )


def test_an_upgrade_that_failed_is_tried_again_and_told_until_it_succeeds(
    deployed: World,
) -> None:
    deployed.machine.failures["upgrade"] = MachineError("1.1 does not start, 1.0 goes on")
    deployed.run(deployed.ctx.on.upgrade_charm())
    assert deployed.status == BlockedStatus(
        "1.1 does not start, 1.0 goes on; it is tried again within minutes"
    )

    deployed.run(deployed.ctx.on.update_status())
    assert deployed.machine.done == ["prepare-lxd", "upgrade 5.21/stable"]
    assert isinstance(deployed.status, ActiveStatus)


def test_an_upgrade_that_comes_before_an_installation_has_succeeded_installs(world: World) -> None:
    world.machine.failures["install"] = MachineError("no network")
    world.run(world.ctx.on.install())
    world.run(world.ctx.on.upgrade_charm())
    assert world.machine.done == ["install 5.21/stable", "apply", "prepare-lxd"]


def test_the_channel_of_lxd_is_the_option(world: World) -> None:
    world.set(lxd_channel="6/stable")
    world.run(world.ctx.on.install())
    world.run(world.ctx.on.upgrade_charm())
    assert world.machine.done == ["install 6/stable", "apply", "upgrade 6/stable", "prepare-lxd"]


@pytest.mark.parametrize("storage", ["memory", "pool"])
def test_where_runners_disks_are_can_not_be_changed(world: World, storage: str) -> None:
    world.deploy()
    world.set(runner_storage=storage, virtual_machines=2)
    world.run(world.ctx.on.config_changed())
    assert world.status == BlockedStatus(
        "runner-storage: is juju-storage since the deployment, and can't be changed; `juju config "
        "runners runner-storage=juju-storage`, or deploy another application; the daemon keeps "
        "its last good configuration"
    )
    assert world.machine.document["runner-storage"] == "juju-storage"

    world.set(runner_storage="juju-storage")
    world.run(world.ctx.on.config_changed())
    assert world.machine.document["virtual-machines"] == 2


def test_where_runners_disks_are_can_be_changed_until_the_daemon_is_configured(
    world: World,
) -> None:
    world.set(path=None)
    world.deploy()
    world.set(path="acme", runner_storage="memory")
    world.run(world.ctx.on.config_changed())
    assert world.machine.document["runner-storage"] == "memory"
    assert isinstance(world.status, ActiveStatus)


def test_without_its_storage_nothing_is_installed(world: World, event: Any) -> None:
    world.state = testing.State(config=world.state.config)
    prepared = event(world)
    if prepared.name == "runner_storage_attached":
        return  # with it, it is there
    world.run(prepared)
    assert world.machine.done == []
    assert world.status == BlockedStatus(
        "runner-storage: the storage `runner` is not attached; `juju add-storage runners/0 runner`"
    )


def test_where_disks_are_elsewhere_no_storage_is_missed(world: World) -> None:
    world.state = testing.State(config={**world.state.config, "runner-storage": "pool"})
    world.run(world.ctx.on.install())
    assert isinstance(world.status, ActiveStatus)


def test_the_model_s_proxies_are_passed_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUJU_CHARM_HTTP_PROXY", "http://proxy.example.com:3128")
    monkeypatch.setenv("JUJU_CHARM_NO_PROXY", "127.0.0.1,localhost,::1,.example.com")
    world.deploy()
    assert world.machine.document["http-proxy"] == "http://proxy.example.com:3128"
    assert world.machine.proxies["HTTP_PROXY"] == "http://proxy.example.com:3128"
    assert world.machine.proxies["no_proxy"] == "127.0.0.1,localhost,::1,.example.com"
    assert world.machine.installs_through == world.machine.proxies
    assert isinstance(world.status, ActiveStatus)


def test_the_servers_of_debug_ssh_come_into_the_configuration(deployed: World, event: Any) -> None:
    server = {
        "host": "10.5.0.7",
        "port": 10022,
        "rsa-fingerprint": "SHA256:ovh8Zf0fzPbDnFyfp1Hrl2nOxNDlWcGEkWVaHnRJ2+s",
        "ed25519-fingerprint": "SHA256:yVbQu2mVd7hJ2OEb4R0k7bvSuDPrrkOUNfDZqyXEnKk",
    }
    deployed.debug_servers = [server]
    deployed.run(event(deployed))
    assert deployed.machine.document["ssh-debug"] == [server]

    deployed.debug_servers = []
    deployed.run(event(deployed))
    assert deployed.machine.document["ssh-debug"] == []


def test_the_text_of_the_image_s_script_is_handed_over(deployed: World) -> None:
    deployed.set(image_script="#!/bin/sh\napt-get install -y cmake\n")
    deployed.run(deployed.ctx.on.config_changed())
    assert deployed.machine.script == "#!/bin/sh\napt-get install -y cmake\n"

    deployed.set(image_script=None)
    deployed.run(deployed.ctx.on.config_changed())
    assert deployed.machine.script == ""


def test_a_machine_is_rebooted_right_after_the_installation_and_goes_on_then(
    world: World,
) -> None:
    world.machine.reboot = "kernel 6.8 is installed, 6.5 is running"
    with pytest.raises(Rebooted):
        world.run(world.ctx.on.install())
    assert world.machine.done == ["install 5.21/stable", "reboot"]
    assert world.ctx.unit_status_history[-1] == MaintenanceStatus("installing LXD")

    world.machine.done.clear()
    world.run(world.ctx.on.install())  # Juju runs it again
    assert world.machine.done == ["install 5.21/stable", "apply"]


def test_each_event_reboots_a_machine_that_is_due(deployed: World, event: Any) -> None:
    deployed.machine.reboot = "a reboot is needed, and no runner is there"
    with pytest.raises(Rebooted):
        deployed.run(event(deployed))
    assert deployed.machine.done[-1] == "reboot"

    deployed.run(event(deployed))
    assert isinstance(deployed.status, ActiveStatus)


def test_no_reboot_is_made_while_the_configuration_is_refused(deployed: World) -> None:
    deployed.machine.reboot = "a reboot is needed"
    deployed.set(path="")
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.machine.done == []


def test_a_unit_that_is_stopped_drains_within_limits(
    deployed: World, caplog: pytest.LogCaptureFixture
) -> None:
    deployed.machine.left_by_drain = "1 is left: 1 busy"
    with caplog.at_level(logging.WARNING):
        deployed.run(deployed.ctx.on.stop())
    assert deployed.machine.done == ["drain"]
    assert any("1 is left: 1 busy" in one.message for one in deployed.ctx.juju_log)


def test_a_unit_that_is_removed_takes_all_with_it(deployed: World) -> None:
    deployed.run(deployed.ctx.on.stop())
    deployed.run(deployed.ctx.on.remove())
    assert deployed.machine.done == ["drain", "remove"]
    assert deployed.machine.owner == ""


def test_what_is_left_after_a_removal_makes_juju_try_again(deployed: World) -> None:
    deployed.machine.left = ["2 instances: LXD does not answer"]
    with pytest.raises(testing.errors.UncaughtCharmError) as raised:
        deployed.run(deployed.ctx.on.remove())
    assert "2 instances: LXD does not answer" in str(raised.value.__cause__)

    deployed.machine.left = []
    deployed.run(deployed.ctx.on.remove())
    assert deployed.machine.owner == ""


def test_a_unit_leaves_its_storage_before_that_goes_and_does_not_come_back(
    deployed: World,
) -> None:
    deployed.run(deployed.ctx.on.storage_detaching(STORAGE))
    assert deployed.machine.done == ["drain", "remove"]

    deployed.state = testing.State(
        config=deployed.state.config, stored_states=deployed.state.stored_states
    )
    for event in ("update_status", "config_changed", "stop", "remove"):
        deployed.run(getattr(deployed.ctx.on, event)())
    assert "install 5.21/stable" not in deployed.machine.done
    assert not deployed.machine.running
    assert deployed.machine.owner == ""


def test_a_unit_whose_storage_comes_back_is_installed_anew(deployed: World) -> None:
    deployed.run(deployed.ctx.on.storage_detaching(STORAGE))
    deployed.machine.done.clear()
    deployed.run(deployed.ctx.on.storage_attached(STORAGE))
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.machine.done == ["install 5.21/stable", "apply"]
    assert isinstance(deployed.status, ActiveStatus)


@pytest.mark.parametrize("storage", ["memory", "pool"])
def test_a_storage_that_is_not_used_is_let_go_without_a_word(world: World, storage: str) -> None:
    world.set(runner_storage=storage)
    world.deploy()
    world.run(world.ctx.on.storage_detaching(STORAGE))
    assert world.machine.done == []
    assert world.machine.running


def test_no_secret_is_in_juju_s_log(deployed: World, event: Any) -> None:
    deployed.machine.failures["apply"] = MachineError("no")
    deployed.run(event(deployed))
    assert not [one for one in deployed.ctx.juju_log if "ghp_secret" in one.message]
