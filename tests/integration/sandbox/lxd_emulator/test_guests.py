"""Simulated guests, with the sandbox GitHub and a host that listens to their signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pylxd.exceptions import LXDAPIException

from sandbox.github import JobRequest
from sandbox.lxd_emulator import GuestBehaviour, GuestFault, LxdEmulator
from supervisor.gateways.lxd import Lxd, LxdEndpoint, Output

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pylxd import Client

    from sandbox.github import SandboxGitHub

NAME = "r-1"


@pytest.fixture
def launch(client: Client, host: Any, github: SandboxGitHub) -> Callable[[], Any]:
    """Start a guest with a registration."""

    def start() -> Any:
        config = {"cloud-init.user-data": host.script(github, NAME)}
        source = {"type": "image", "alias": "tiny"}
        request = {"name": NAME, "ephemeral": True, "source": source, "config": config}
        instance = client.instances.create(request, wait=True)
        # Without wait: pylxd would look at the instance again, which may be gone by then.
        instance.start()
        return instance

    return start


def queue(github: SandboxGitHub, script: str = "echo hi\n") -> Any:
    return github.queue(JobRequest(script=script, repository="acme/demo"))


def test_a_guest_takes_one_job_and_is_gone(
    lxd: LxdEmulator, launch: Any, host: Any, github: SandboxGitHub, events: Any
) -> None:
    job = queue(github)
    launch()
    assert events.actions(4) == [
        "instance-created",
        "instance-started",
        "instance-shutdown",
        "instance-deleted",
    ]
    assert github.job(job.id).conclusion == "success"
    assert github.runners() == ()
    assert lxd.instances() == ()
    assert host.signals(NAME) == ["ready", "job-started", "job-finished", "finished"]
    told = dict(host.told)[NAME]
    assert told["exit-code"] == "0"
    started = next(fields for _, fields in host.told if fields["signal"] == "job-started")
    assert started["repository"] == "acme/demo"


def test_a_guest_waits_for_its_job(lxd: LxdEmulator, launch: Any, github: SandboxGitHub) -> None:
    launch()
    assert lxd.wait_for(lambda: lxd.guests() == {f"default/{NAME}": "idle"})
    assert [runner.status for runner in github.runners()] == ["online"]
    job = queue(github)
    assert github.wait_for(lambda: github.job(job.id).conclusion == "success", 5)
    assert lxd.wait_for(lambda: lxd.instances() == ())


def test_a_job_that_fails_is_a_failure(
    lxd: LxdEmulator, launch: Any, github: SandboxGitHub
) -> None:
    job = queue(github, "exit 1\n")
    launch()
    assert lxd.wait_for(lambda: lxd.instances() == ())
    assert github.job(job.id).conclusion == "failure"


def test_a_guest_without_a_contract_runs_until_it_is_stopped(
    lxd: LxdEmulator, client: Client
) -> None:
    source = {"type": "image", "alias": "tiny"}
    instance = client.instances.create({"name": "plain", "source": source}, wait=True)
    instance.start(wait=True)
    assert lxd.wait_for(lambda: lxd.guests() == {"default/plain": "without orders"})
    assert "booted" in client.api.instances["plain"].console.get(is_api=False).text
    instance.stop(wait=True)
    assert lxd.guests() == {}


def test_a_guest_that_never_boots_says_nothing(lxd: LxdEmulator, launch: Any, host: Any) -> None:
    lxd.want(GuestFault(way="never-boots", name="r-*"))
    launch()
    assert lxd.wait_for(lambda: lxd.guests() == {f"default/{NAME}": "dead to the world"})
    assert host.told == []


def test_a_guest_that_never_signals_works_all_the_same(
    lxd: LxdEmulator, launch: Any, host: Any, github: SandboxGitHub
) -> None:
    lxd.want(GuestFault(way="never-signals"))
    job = queue(github)
    launch()
    assert lxd.wait_for(lambda: lxd.instances() == ())
    assert github.job(job.id).conclusion == "success"
    assert host.told == []


def test_a_guest_that_signals_garbage_says_nothing_readable(
    lxd: LxdEmulator, launch: Any, host: Any, github: SandboxGitHub
) -> None:
    lxd.want(GuestFault(way="garbage-signals"))
    queue(github)
    launch()
    assert lxd.wait_for(lambda: lxd.instances() == ())
    assert set(host.signals(NAME)) == {""}


def test_a_guest_that_dies_in_its_job_leaves_the_job(
    lxd: LxdEmulator, launch: Any, host: Any, github: SandboxGitHub
) -> None:
    lxd.want(GuestFault(way="dies-in-job"))
    job = queue(github)
    launch()
    assert lxd.wait_for(lambda: lxd.instances() == ())
    assert github.job(job.id).status == "in_progress"
    assert host.signals(NAME) == ["ready", "job-started"]


def test_a_guest_whose_registration_is_gone_ends_with_an_error(
    lxd: LxdEmulator, launch: Any, host: Any
) -> None:
    lxd.want(GuestFault(way="registration-gone"))
    launch()
    assert lxd.wait_for(lambda: lxd.instances() == ())
    assert dict(host.told)[NAME] == {"signal": "finished", "exit-code": "1"}


def test_a_guest_that_fails_says_why(lxd: LxdEmulator, launch: Any, host: Any) -> None:
    lxd.want(GuestFault(way="fails"))
    launch()
    assert lxd.wait_for(lambda: lxd.instances() == ())
    assert host.told == [(NAME, {"signal": "failed", "reason": "the emulator was told to fail"})]


def test_a_guest_that_never_ends_stays(
    lxd: LxdEmulator, launch: Any, host: Any, github: SandboxGitHub
) -> None:
    lxd.want(GuestFault(way="never-ends"))
    queue(github)
    launch()
    assert lxd.wait_for(lambda: lxd.guests() == {f"default/{NAME}": "not ending"})
    assert host.signals(NAME)[-1] == "finished"
    assert [instance.status for instance in lxd.instances()] == ["Running"]


def test_only_force_stops_a_guest_that_ignores_its_host(
    lxd: LxdEmulator, client: Client, launch: Any
) -> None:
    lxd.want(GuestFault(way="ignores-shutdown"))
    launch()
    assert lxd.wait_for(lambda: lxd.guests() != {})
    instance = client.instances.get(NAME)
    with pytest.raises(LXDAPIException, match="shutting down the container failed"):
        instance.stop(force=False, timeout=0, wait=True)
    instance.stop(force=True, wait=True)
    assert lxd.instances() == ()


def test_a_host_that_refuses_signals_costs_no_job(
    lxd: LxdEmulator, launch: Any, host: Any, github: SandboxGitHub
) -> None:
    host.status = 500
    job = queue(github)
    launch()
    assert lxd.wait_for(lambda: lxd.instances() == ())
    assert github.job(job.id).conclusion == "success"
    assert host.signals(NAME).count("ready") == 3


def test_a_guest_that_failed_waits_for_its_host_and_tells_it_why(
    tmp_path: Path, github: SandboxGitHub, host: Any
) -> None:
    socket, patient = tmp_path / "lxd.socket", GuestBehaviour(boot_s=0, linger_s=3600)
    with LxdEmulator(socket, guest=patient, images={"tiny": "container"}) as lxd:
        lxd.want(GuestFault(way="fails"))
        gateway = Lxd(LxdEndpoint(socket))
        config = {"cloud-init.user-data": host.script(github, NAME)}
        source = {"type": "image", "alias": "tiny"}
        gateway.create({"name": NAME, "source": source, "config": config}, limit_s=10)
        gateway.start(NAME, limit_s=10)
        assert lxd.wait_for(lambda: lxd.guests() == {f"default/{NAME}": "waiting to be removed"})
        output = gateway.output_of(NAME, ("/bin/sh",), most_bytes=1 << 20, limit_s=10)
        assert b"failed: the emulator was told to fail" in output.data
        assert gateway.delete(NAME, limit_s=10)


def test_a_guest_that_never_boots_answers_no_command(lxd: LxdEmulator, launch: Any) -> None:
    lxd.want(GuestFault(way="never-boots"))
    launch()
    gateway = Lxd(LxdEndpoint(lxd.socket))
    output = gateway.output_of(NAME, ("/bin/sh",), most_bytes=99, limit_s=0.3)
    assert output == Output(b"", "is cut off after 0.3 s")
