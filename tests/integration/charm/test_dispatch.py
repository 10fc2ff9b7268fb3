"""The packed charm's real `dispatch`, from install to remove, as Juju runs it.

The processes, users, files, the daemon's environment and its commands, LXD and GitHub's answers are
real; Juju's hook tools, systemd and apt are played and recorded. So no daemon runs here: what comes
of it is the whole-machine test's.

It is one story of one unit. Each test stands alone on the fixtures, but the last takes all away.
"""

from __future__ import annotations

import fcntl
import json
import re
import stat
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from charm_hooks import JujuUnit, Run
from scratch_machine import ScratchMachine, scratch_machine

from sandbox.github import SandboxGitHub
from sandbox.private_lxd import fresh_lxd
from supervisor.gateways.lxd import Lxd, LxdEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.lxd_daemon import LxdDaemon

pytestmark = pytest.mark.timeout(400)

NAME = "github-runner-supervisor"
CONFIG = f"/etc/{NAME}/config.yaml"
CREDENTIALS = f"/etc/{NAME}/credentials"
SERVICE = f"{NAME}.service"
TOKEN = "ghp_" + "t0ken" * 7
ROTATED = "ghp_" + "n3wer" * 7
# Rewritten whole by useradd(8) and userdel(8); what is in them is compared instead.
ACCOUNTS = ("group", "gshadow", "passwd", "shadow", "subgid", "subuid")


@dataclass(frozen=True)
class Place:
    """A unit on a machine that has an LXD."""

    unit: JujuUnit
    machine: ScratchMachine
    lxd: Lxd
    github: SandboxGitHub
    storage: str
    lxd_before: dict[str, set[str]]
    accounts_before: dict[str, str]

    def in_lxd(self) -> dict[str, set[str]]:
        return everything(self.lxd)

    def accounts(self) -> dict[str, str]:
        return {name: self.machine.path(f"/etc/{name}").read_text() for name in ACCOUNTS}

    def config(self) -> dict[str, object]:
        found: dict[str, object] = yaml.safe_load(self.machine.path(CONFIG).read_text())
        return found

    def acts(self) -> list[list[str]]:
        """Give what systemd was told since this was asked last; questions do not count."""
        calls = self.machine.calls("systemctl")
        self.machine.forget()
        return [call[1:] for call in calls if call[1] != "show"]


def everything(lxd: Lxd) -> dict[str, set[str]]:
    kinds = ("projects", "storage-pools", "networks", "profiles")
    return {
        kind: {one.name for one in lxd.resources(kind) if kind != "networks" or one.config}
        for kind in kinds
    }


@pytest.fixture(scope="module")
def place(packed_charm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A unit of which no hook has run yet; storage is attached to it."""
    directory = tmp_path_factory.mktemp("machine")
    with (
        the_only_one(),
        fresh_lxd() as daemon,
        SandboxGitHub(org="acme", token=TOKEN) as github,
        contextmanager(scratch_machine)(directory, daemon.socket.parent) as machine,
    ):
        unit = JujuUnit.deploy(directory / "juju", packed_charm, inside=machine.inside)
        disk = directory / "disk"
        disk.mkdir()
        yield made(daemon, github, machine, unit, unit.attach_storage("runner", disk))


@contextmanager
def the_only_one() -> Iterator[None]:
    """Wait until no other run has the charm's bridge: it has the same name everywhere."""
    with (Path(tempfile.gettempdir()) / "github-runners.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made(
    daemon: LxdDaemon,
    github: SandboxGitHub,
    machine: ScratchMachine,
    unit: JujuUnit,
    storage: str,
) -> Place:
    lxd = Lxd(LxdEndpoint(daemon.socket))
    accounts = {name: machine.path(f"/etc/{name}").read_text() for name in ACCOUNTS}
    return Place(unit, machine, lxd, github, storage, everything(lxd), accounts)


@pytest.fixture(scope="module")
def attached(place: Place) -> Run:
    return place.unit.storage_event(place.storage, "attached")


@pytest.fixture(scope="module")
def killed(place: Place, attached: Run) -> Run:
    """An installation that is killed when it has just begun to make the daemon's environment."""
    versions = place.machine.path(f"/opt/{NAME}/versions")

    def has_begun() -> bool:
        return any(versions.glob("*/pyvenv.cfg"))

    return place.unit.dispatch("install", kill_when=has_begun)


@pytest.fixture(scope="module")
def installed(place: Place, killed: Run) -> Run:
    return place.unit.dispatch("install")


@pytest.fixture(scope="module")
def secret(place: Place) -> str:
    return place.unit.add_secret({"token": TOKEN}, granted=False)


@pytest.fixture(scope="module")
def ungranted(place: Place, installed: Run, secret: str) -> Run:
    """The operator has set all that is needed, and forgotten to grant the secret."""
    place.unit.set_config(
        {
            "path": "acme",
            "github-url": place.github.url,
            "token-secret-id": secret,
            "runner-storage": "pool",
            "instance-type": "container",
            "lxd-image": "tiny",
            "vm-memory": "128MiB",
            "vm-disk": "96MiB",
        }
    )
    return place.unit.dispatch("config-changed")


@pytest.fixture(scope="module")
def running(place: Place, ungranted: Run, secret: str) -> Run:
    place.unit.grant(secret)
    place.machine.forget()
    return place.unit.dispatch("config-changed")


def test_a_charm_packed_for_another_python_says_so(packed_charm: Path, tmp_path: Path) -> None:
    unit = JujuUnit.deploy(tmp_path / "juju", packed_charm)
    (packages,) = unit.charm_dir.glob("venv/lib/python*")
    packages.rename(packages.with_name("python3.4"))

    run = unit.dispatch("install")

    assert run.code == 1
    assert "this charm is packed for python3.4, and this machine's /usr/bin/python3" in run.output
    assert run.log == [("ERROR", run.output.strip())]
    assert unit.status.word == "error"


def test_storage_may_be_attached_before_anything_is_installed(place: Place, attached: Run) -> None:
    assert (attached.code, attached.output) == (0, "")
    assert not place.machine.path(f"/opt/{NAME}").exists()


def test_an_installation_that_is_killed_is_completed_by_the_next(
    place: Place, killed: Run, installed: Run
) -> None:
    assert killed.code != 0
    assert (installed.code, installed.output) == (0, "")
    assert place.unit.version == "0.1.0"
    (environment,) = place.machine.path(f"/opt/{NAME}/versions").iterdir()
    assert (environment / ".complete").exists()
    assert place.machine.run("supervisor-cli", "--version").strip().endswith("0.1.0")


def test_the_installation_tells_its_steps_and_then_what_the_operator_has_to_do(
    place: Place, installed: Run
) -> None:
    steps = [status.message for status in installed.statuses if status.word == "maintenance"]
    assert steps == ["installing packages", "installing LXD", "installing the daemon"]
    word, message = installed.statuses[-1]
    assert word == "blocked"
    assert message.startswith("there is no credential for GitHub")
    assert "`juju config github-runner token-secret-id=" in message


def test_nothing_is_asked_of_an_archive_or_a_store_where_nothing_is_missing(
    place: Place, killed: Run, installed: Run
) -> None:
    assert place.machine.calls("apt-get", "snap") == []


def test_a_secret_that_is_not_granted_blocks_with_what_mends_it(
    place: Place, ungranted: Run
) -> None:
    assert ungranted.code == 0
    word, message = ungranted.statuses[-1]
    assert word == "blocked"
    assert "juju grant-secret" in message
    assert not place.machine.path(CONFIG).exists()


def test_the_daemon_is_configured_and_started(place: Place, running: Run) -> None:
    assert (running.code, running.output) == (0, "")
    assert running.statuses[-1] == ("waiting", "the daemon is starting")
    verbs = [call[0] for call in place.acts()]
    assert verbs.index("daemon-reload") < verbs.index("enable") < verbs.index("start")
    assert verbs.count("start") == 1
    assert place.config()["path"] == "acme"
    assert place.config()["name"] == "github-runner-0"


def test_what_is_secret_is_the_daemons_or_roots_alone(place: Place, running: Run) -> None:
    uid = int(place.machine.run("id", "-u", NAME))
    assert uid != 0
    for path, owner in ((CONFIG, uid), (f"{CREDENTIALS}/token", 0)):
        found = place.machine.path(path).stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (owner, 0o600)
    assert place.machine.path(f"{CREDENTIALS}/token").read_text().strip() == TOKEN
    assert place.config()["token-file"] == "$CREDENTIALS_DIRECTORY/token"


def test_lxd_is_prepared_for_the_unit(place: Place, running: Run) -> None:
    now = place.in_lxd()
    for kind in ("projects", "storage-pools", "networks"):
        assert {name.split("?")[0] for name in now[kind] - place.lxd_before[kind]} == {
            "github-runners"
        }


@pytest.mark.parametrize("event", ["install", "config-changed", "start", "update-status"])
def test_an_event_that_comes_again_changes_nothing(place: Place, running: Run, event: str) -> None:
    place.machine.forget()
    before = marks(place)

    run = place.unit.dispatch(event)

    assert (run.code, run.output) == (0, "")
    assert place.unit.status == ("waiting", "the daemon is starting")
    assert place.acts() == []
    assert marks(place) == before


def marks(place: Place) -> dict[str, tuple[int, int]]:
    """Give when each file that was written was written last."""
    files = {path: place.machine.path(path).lstat() for path in place.machine.written()}
    return {path: (found.st_ino, found.st_mtime_ns) for path, found in files.items()}


def test_an_option_that_is_changed_is_told_to_the_daemon(place: Place, running: Run) -> None:
    place.machine.forget()
    place.unit.set_config({"labels": "fast"})

    assert place.unit.dispatch("config-changed").code == 0

    assert place.config()["labels"] == ["github-runner", "fast"]
    assert [call for call in place.acts() if call[0] in {"reload", "restart"}] == [
        ["reload", SERVICE]
    ]


def test_a_bad_value_blocks_with_one_sentence_and_the_daemon_keeps_what_it_has(
    place: Place, running: Run
) -> None:
    place.machine.forget()
    before = marks(place)
    place.unit.set_config({"vm-memory": "much"})

    run = place.unit.dispatch("config-changed")

    assert run.code == 0
    word, message = run.statuses[-1]
    assert word == "blocked"
    assert message.startswith("vm-memory: must be a whole number and a unit")
    assert "\n" not in message
    assert (place.acts(), marks(place)) == ([], before)
    place.unit.set_config({"vm-memory": "128MiB"})


def test_a_rotated_token_reaches_the_daemon_by_a_restart(
    place: Place, running: Run, secret: str
) -> None:
    place.machine.forget()
    place.unit.update_secret(secret, {"token": ROTATED})

    assert place.unit.secret_changed(secret).code == 0

    assert place.machine.path(f"{CREDENTIALS}/token").read_text().strip() == ROTATED
    assert ["restart", SERVICE] in place.acts()
    place.unit.update_secret(secret, {"token": TOKEN})
    assert place.unit.secret_changed(secret).code == 0


def test_a_daemon_that_fails_blocks_with_its_own_last_words(place: Place, running: Run) -> None:
    place.machine.fail_to_start("the bridge github-runners is gone\n")

    word, message = place.unit.dispatch("update-status").statuses[-1]

    place.machine.start_again()
    assert word == "blocked"
    assert "the bridge github-runners is gone" in message
    assert place.unit.dispatch("update-status").statuses[-1].word == "waiting"


def test_debug_servers_and_the_observability_stack_are_served(place: Place, running: Run) -> None:
    tmate = {
        "host": "10.0.0.7",
        "port": "10022",
        "rsa_fingerprint": "SHA256:" + "r" * 43,
        "ed25519_fingerprint": "SHA256:" + "e" * 43,
    }
    debug = place.unit.relate("debug-ssh", "tmate", {"tmate/0": tmate})
    cos = place.unit.relate("cos-agent", "grafana-agent", {"grafana-agent/0": {}})

    assert place.unit.relation_event(debug, "changed", "tmate/0").code == 0
    assert place.unit.relation_event(cos, "joined", "grafana-agent/0").code == 0

    (server,) = place.config()["ssh-debug"]  # type: ignore[misc]
    assert server["host"] == "10.0.0.7"
    told = json.loads(place.unit.relation_data(cos, place.unit.name)["config"])
    assert told["metrics_scrape_jobs"]


@pytest.mark.parametrize("action", ["tree", "flush-runners"])
def test_an_action_says_when_no_daemon_answers(place: Place, running: Run, action: str) -> None:
    run = place.unit.run_action(action)
    assert run.failure == "the daemon does not run on this unit; `juju status` says why"
    assert (run.code, run.results) == (0, {})


def test_updates_are_left_to_systemd(place: Place, running: Run) -> None:
    place.machine.forget()
    run = place.unit.run_action("update-dependencies")
    assert (run.code, run.failure, set(run.results)) == (0, "", {"flush"})
    (call,) = place.machine.calls("systemd-run")
    assert "--no-block" in call
    assert place.machine.calls("apt-get") == []


def test_a_second_unit_on_the_machine_is_refused(
    place: Place, running: Run, packed_charm: Path, tmp_path: Path
) -> None:
    place.machine.forget()
    before = marks(place)
    other = JujuUnit.deploy(
        tmp_path / "juju", packed_charm, name="other/3", inside=place.machine.inside
    )

    assert other.dispatch("install").code == 0
    assert other.status.word == "blocked"
    assert "github-runner/0" in other.status.message
    assert "deploy to another machine" in other.status.message
    assert other.dispatch("remove").code == 0
    assert (place.acts(), marks(place)) == ([], before)


def test_another_revision_is_taken_by_one_restart(
    place: Place, running: Run, packed_charm: Path, tmp_path: Path
) -> None:
    newer = tmp_path / "newer.charm"
    with zipfile.ZipFile(packed_charm) as old, zipfile.ZipFile(newer, "w") as new:
        for entry in old.infolist():
            more = b"\n# newer\n" if entry.filename == f"systemd/{SERVICE}" else b""
            new.writestr(entry, old.read(entry) + more)
    place.machine.forget()

    place.unit.upgrade(newer)
    assert place.unit.dispatch("upgrade-charm").code == 0
    assert place.machine.path(f"/etc/systemd/system/{SERVICE}").read_text().endswith("# newer\n")
    acts = place.acts()
    assert acts.count(["restart", SERVICE]) == 1
    assert ["stop", SERVICE] not in acts

    assert place.unit.dispatch("upgrade-charm").code == 0
    assert place.acts() == []


def test_no_program_gets_what_is_the_hooks_own(place: Place, running: Run) -> None:
    ours = re.compile(r"^(JUJU_|CHARM_|PYTHON|VIRTUAL_ENV|LD_)")
    names = {name for told in place.machine.environments() for name in told}
    assert "PATH" in names
    assert {name for name in names if ours.match(name)} == set()


def test_no_secret_is_told_to_anybody(place: Place, running: Run) -> None:
    model = place.unit.model
    told = json.dumps([model["calls"], model["log"], model["statuses"]])
    records = (place.machine.directory / "calls").read_text()
    assert "juju-log" in told
    assert [one for one in (TOKEN, ROTATED) if one in told or one in records] == []
    holds = {
        path
        for path in place.machine.written()
        if place.machine.path(path).is_file() and TOKEN.encode() in read(place, path)
    }
    assert holds == {f"{CREDENTIALS}/token"}


def read(place: Place, path: str) -> bytes:
    return place.machine.path(path).read_bytes()


def test_at_the_end_nothing_of_it_is_left(place: Place, running: Run) -> None:
    assert place.unit.dispatch("stop").code == 0
    assert place.unit.storage_event(place.storage, "detaching").code == 0
    run = place.unit.dispatch("remove")
    assert (run.code, run.output) == (0, "")

    files = {path for path in place.machine.written() if not path.startswith("/etc/.pwd.lock")}
    assert files - {f"/etc/{name}{old}" for name in ACCOUNTS for old in ("", "-")} == set()
    assert place.accounts() == place.accounts_before
    assert place.in_lxd() == place.lxd_before
    assert ["stop", SERVICE] in [[call[0], SERVICE] for call in place.acts() if SERVICE in call]

    assert place.unit.dispatch("remove").code == 0
