"""A plain installation on a whole machine: what docs/installation.md says, word for word."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import yaml
from whole_machine import CommandFailed

from tests.e2e.charm import console
from tests.e2e.charm.packing import ROOT, pack
from tests.e2e.charm.site import IMAGE, ORGANISATION, PROJECT, SERVICE, TOKEN, Site
from tests.e2e.charm.traces import Picture, differences, picture
from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The image and the wheels may have to be made.
pytestmark = pytest.mark.timeout(400)

DOCUMENT = (ROOT / "docs/installation.md").read_text()
CONFIG = "/etc/github-runner-supervisor/config.yaml"
CHECKOUT = "/root/github-runner-supervisor"
WHEELS = "/root/wheels"
# So that what waits for these times does not take minutes; a busy machine keeps the daemon from a
# sign of life for seconds.
HURRY = "[Service]\nWatchdogSec=10\nRestartSec=1\n"
EXPOSURE_LIMIT = 3.0


@pytest.fixture(scope="module")
def before(site: Site) -> Picture:
    """The machine as it was."""
    site.machine.run("lxc", "list")  # a LXD that was never started has no directories yet
    return picture(site.machine)


@pytest.fixture(scope="module")
def installed(site: Site, before: Picture, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Install as the document says; gives what was said meanwhile."""
    bring_software(site, tmp_path_factory.mktemp("wheels"))
    script = console.replaced(
        console.commands(console.part(DOCUMENT, "## Install", "### Credentials")),
        {
            "usermod --append --groups github-runner-supervisor ALICE\n": "",
            # Neither Debian's mirror nor an index is reached from here: pip and what an index would
            # give have been brought.
            "python3 -m venv $home": "python3 -m venv --without-pip $home",
            "$home/bin/pip install --constraint $home/versions.txt .": (
                f"$home/bin/python $(echo {WHEELS}/pip-*.whl)/pip install --no-index"
                f" --find-links {WHEELS} --constraint $home/versions.txt github-runner-supervisor"
            ),
            # There is no image yet, so there are no runners: exit code 1 or 2.
            "supervisor-cli status\n": "supervisor-cli status || [ $? -le 2 ]\n",
            "ghp_…": TOKEN,
            **configuration(site),
        },
    )
    said = site.machine.run("bash", stdin=f"cd /root\n{script}", limit_s=120)
    site.machine.write(f"/etc/systemd/system/{SERVICE}.d/hurry.conf", HURRY)
    site.machine.systemctl("daemon-reload")
    site.import_image()
    return said


def test_what_the_document_says_installs_a_fleet(site: Site, installed: str) -> None:
    made = ("project", "storage pool", "bridge", "profile")
    assert all(f"made {what} github-runners" in installed for what in made), installed
    assert site.machine.show(SERVICE, "User") == "github-runner-supervisor"
    site.wait_whole(1)
    site.wait_succeeded(site.queue())
    site.wait_whole(1)


def test_the_journal_has_the_daemon_s_log_runner_by_runner(site: Site, installed: str) -> None:
    (name,) = site.wait_whole(1)
    site.wait_succeeded(site.queue())
    site.wait_whole(1)

    def entries_of_it() -> list[dict[str, str]]:
        said = site.machine.run("supervisor-cli", "logs", "--daemon", "--runner", name, "--json")
        return [json.loads(line) for line in said.splitlines()]

    wait_until(entries_of_it, "its last line is written")
    entries = entries_of_it()
    assert {entry["RUNNER"] for entry in entries} == {name}
    assert {entry["_SYSTEMD_UNIT"] for entry in entries} == {SERVICE}
    assert any(entry["MESSAGE"].startswith(f"{name}: deleted after ") for entry in entries)


def test_the_unit_exposes_little(site: Site, installed: str) -> None:
    threshold = f"--threshold={EXPOSURE_LIMIT * 10:.0f}"
    site.machine.run("systemd-analyze", "security", "--no-pager", threshold, SERVICE)


def test_a_killed_daemon_is_started_again_and_the_job_survives(site: Site, installed: str) -> None:
    site.wait_whole(1)
    with site.running_job() as busy:
        killed = site.machine.show(SERVICE, "ExecMainPID")
        site.machine.systemctl("kill", "--signal=SIGKILL", "--kill-whom=main", SERVICE)
        assert busy in restarted(site, killed)
    assert site.machine.show(SERVICE, "NRestarts") == "1"
    site.wait_whole(1)


def test_a_daemon_that_hangs_is_replaced(site: Site, installed: str) -> None:
    kept = site.wait_whole(1)
    stopped = site.machine.show(SERVICE, "ExecMainPID")
    site.machine.systemctl("kill", "--signal=SIGSTOP", "--kill-whom=main", SERVICE)
    assert restarted(site, stopped) == kept
    assert site.machine.show(SERVICE, "NRestarts") == "2"


def test_a_reload_takes_a_good_file_and_refuses_a_bad_one(site: Site, installed: str) -> None:
    started = site.machine.show(SERVICE, "ExecMainPID")
    change(site, **{"virtual-machines": 2})
    site.machine.systemctl("reload", SERVICE)
    site.wait_whole(2)
    good = site.machine.read(CONFIG)
    change(site, **{"vm-memory": "lots"})
    site.machine.systemctl("reload", SERVICE)
    wait_until(lambda: refusals(site), "the refusal is shown")
    assert all("vm-memory" in refusal for refusal in refusals(site))
    assert "vm-memory" in site.machine.journal(SERVICE)
    site.machine.run("tee", CONFIG, stdin=good)
    site.machine.systemctl("reload", SERVICE)
    wait_until(lambda: not refusals(site), "the refusal is forgotten")
    site.wait_whole(2)
    assert site.machine.show(SERVICE, "ExecMainPID") == started


def test_after_a_reboot_the_fleet_is_back(site: Site, installed: str) -> None:
    before = site.wait_whole(2)
    site.machine.reboot()
    wait_until(lambda: not before & set(site.runners()), "those from before are gone")
    site.wait_whole(2)
    site.wait_succeeded(site.queue())


def test_removed_as_the_document_says_it_has_left_nothing(
    site: Site, installed: str, before: Picture
) -> None:
    site.wait_whole(2)
    script = console.commands(console.part(DOCUMENT, "**Removal**", "## The units"))
    assert f"kept: project {PROJECT}: " in site.machine.run("bash", stdin=script)
    site.delete_image()
    site.machine.run("lxc", "project", "delete", PROJECT)
    for brought in (CHECKOUT, WHEELS):
        site.machine.run("rm", "-r", brought)
    assert not site.github.runners()
    assert differences(before, picture(site.machine)) == {}


def bring_software(site: Site, directory: Path) -> None:
    """Have a checkout on the machine, and wheels in an index's place: those of the charm."""
    shutil.unpack_archive(pack(directory), directory / "charm", "zip")
    site.machine.push(directory / "charm/payload", WHEELS)
    for part in ("systemd", "requirements.lock"):
        site.machine.push(ROOT / part, f"{CHECKOUT}/{part}")


def configuration(site: Site) -> Mapping[str, str]:
    """Change the document's example to what can run here."""
    return {
        "path: my-organisation": f"path: {ORGANISATION}\ngithub-url: {site.github.url}",
        "virtual-machines: 3": (
            "virtual-machines: 1\nvm-cpu: 1\nvm-memory: 256MiB\nvm-disk: 256MiB"
        ),
        "  project: github-runners": (
            f"  image: {IMAGE}\n  instance-type: container\n  project: github-runners"
        ),
    }


def change(site: Site, **values: object) -> None:
    """Change the configuration's file; it stays whose it is."""
    config = yaml.safe_load(site.machine.read(CONFIG))
    site.machine.run("tee", CONFIG, stdin=yaml.safe_dump(config | values))


def refusals(site: Site) -> list[str]:
    """Give what `status` says of a configuration that the daemon did not take."""
    said = site.machine.attempt("supervisor-cli", "status", "--json").stdout
    return [one for one in json.loads(said)["problems"] if "the last change was refused" in one]


def restarted(site: Site, before: str) -> set[str]:
    """Wait for another daemon and a whole fleet; name its runners."""

    def is_another() -> bool:
        if site.machine.show(SERVICE, "ExecMainPID") in {before, "0"}:
            return False
        with suppress(CommandFailed):
            site.cli("status")
            return True
        return False

    wait_until(is_another, "another daemon answers")
    return site.wait_whole(1)
