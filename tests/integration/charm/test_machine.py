"""The charm's hands with the real daemon: its wheels, its environment, its own commands.

systemd and LXD are emulated here: the whole-machine test has them.
"""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from emulated_host import EmulatedHost, HostStand
from machine import Applied, ConfigRefused, Machine, MachineError, Wanted
from machine import accounts as accounts_module
from machine.accounts import Accounts
from machine.commands import Commands
from machine.environment import Environments
from machine.packages import Packages
from machine.places import NAME

if TYPE_CHECKING:
    from machine.commands import Done

pytestmark = pytest.mark.timeout(400)

USER = f"{NAME}-test"[:31]
TINY = "hello"
HALF_MADE = "half-made"
TOKEN = "ghp_" + "0" * 36
DOCUMENT: dict[str, Any] = {
    "name": "app-0",
    "path": "octo-org",
    "token-file": "$CREDENTIALS_DIRECTORY/token",
    "virtual-machines": 1,
    "policy": {"mode": "off"},
    "lxd": {
        **dict.fromkeys(("project", "pool", "network", "profile"), "github-runners"),
        "image": "prepared",
        "instance-type": "container",
    },
}


class HalfEmulatedHost(EmulatedHost):
    """Python and the daemon's command are real; of the latter, what needs LXD is not.

    The command asks at a socket of this machine's own, as the host may have a daemon, too.
    """

    def run(
        self,
        *command: str | Path,
        limit_s: float,
        environment: Mapping[str, str] | None = None,
        ends_with_us: bool = False,
    ) -> Done:
        real = Path(command[0]).name in {"python", "python3", "supervisor-cli"}
        if real and command[1] not in {"prepare-lxd", "uninstall"}:
            self.runs.append(tuple(map(str, command)))
            own = {"SUPERVISOR_SOCKET": str(self.root / "run/control.sock")}
            return Commands().run(
                *command,
                limit_s=limit_s,
                environment={**own, **(environment or {})},
                ends_with_us=ends_with_us,
            )
        return super().run(*command, limit_s=limit_s, environment=environment)


@pytest.fixture(scope="module")
def content(packed_charm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("content")
    with zipfile.ZipFile(packed_charm) as found:
        found.extractall(directory)
    return directory


@pytest.fixture(scope="module")
def stand(content: Path, tmp_path_factory: pytest.TempPathFactory) -> HostStand:
    """A machine with the daemon of the packed charm installed, over a half-made environment."""
    directory = tmp_path_factory.mktemp("machine")
    made = HostStand.at(directory)
    stand = HostStand(
        HalfEmulatedHost(made.host.root, installed=made.host.installed),
        content / "payload",
        content / "systemd",
    )
    versions = stand.host.places.software / "versions"
    half = (
        versions / Environments(versions.parent, stand.payload, stand.units, Commands()).offered()
    )
    half.mkdir(parents=True)
    (half / HALF_MADE).write_text("of a hook that was killed")
    machine = stand.machine()
    machine.claim("app/0")
    machine.install(lxd_channel="5.21/stable", progress=lambda _: None)
    return stand


@pytest.fixture
def machine(stand: HostStand) -> Machine:
    return stand.machine()


def apply(machine: Machine, **changes: Any) -> Applied:
    token = changes.pop("token", TOKEN)
    return machine.apply(Wanted({**DOCUMENT, **changes}, {"token": token}), environment={})


def test_the_daemon_is_installed_from_the_wheels_that_came_along(
    stand: HostStand, machine: Machine
) -> None:
    done = machine.order("--version", limit_s=30)
    assert done.out.strip().endswith(machine.version())
    installed = subprocess.run(
        (stand.host.places.current / "bin/python", "-m", "pip", "check"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert installed.returncode == 0, installed.stdout


def test_whom_the_daemon_runs_as_may_read_it_and_nobody_may_write_it(stand: HostStand) -> None:
    versions = stand.host.places.software / "versions"
    for path in versions.rglob("*"):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        assert mode & 0o022 == 0, path
        assert mode & 0o004, path


def test_it_is_not_made_again(stand: HostStand, machine: Machine) -> None:
    stand.host.runs.clear()
    machine.install(lxd_channel="5.21/stable", progress=lambda _: None)
    assert not [run for run in stand.host.runs if "python" in run[0]]


def test_a_half_made_one_was_made_again(stand: HostStand) -> None:
    made = stand.host.places.current.resolve()
    assert (made / ".complete").exists()
    assert not (made / HALF_MADE).exists()


def test_a_wheel_that_is_lacking_is_named(content: Path, tmp_path: Path) -> None:
    payload = tmp_path / "payload"
    payload.mkdir()
    for wheel in (content / "payload").iterdir():
        if not wheel.name.startswith("pykka-"):
            (payload / wheel.name).symlink_to(wheel)
    environments = Environments(tmp_path / "opt", payload, content / "systemd", Commands())
    with pytest.raises(MachineError, match=r"the daemon can't be installed in .*: ERROR:.*pykka"):
        environments.make()
    assert environments.in_use == ""


def test_the_daemon_s_own_check_decides_of_a_configuration(
    stand: HostStand, machine: Machine
) -> None:
    assert apply(machine).changed
    before = stand.tree("etc")
    with pytest.raises(ConfigRefused, match="virtual-machines: "):
        apply(machine, **{"virtual-machines": -1})
    with pytest.raises(ConfigRefused, match=r"token-file: .*token") as refused:
        apply(machine, token="no token\n")
    assert "no token" not in str(refused.value)
    assert stand.tree("etc") == before


def test_the_daemon_itself_says_whether_a_reload_is_enough(machine: Machine) -> None:
    apply(machine)
    assert apply(machine, **{"virtual-machines": 2}) == Applied(changed=True, restarted=False)
    elsewhere = {**DOCUMENT["lxd"], "project": "others"}
    assert apply(machine, lxd=elsewhere) == Applied(changed=True, restarted=True)
    assert apply(machine, token=TOKEN.replace("0", "1")).restarted


def test_the_daemon_s_code_says_whether_this_machine_wants_a_reboot(stand: HostStand) -> None:
    machine = stand.machine()
    offered = machine._supervisor.reboot_before_first_start()
    assert offered["when"] in {"no", "now"}
    assert offered["reason"]


def test_without_a_daemon_there_is_no_fleet(machine: Machine) -> None:
    assert machine.fleet() is None
    order = machine.order("tree", "--socket", "/nowhere/control.sock", limit_s=30)
    assert order.code == 3


@pytest.fixture
def another_user(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A user's name of the test's own, whom nobody else has."""
    monkeypatch.setattr(accounts_module, "NAME", USER)
    yield USER
    for command in (("userdel", USER), ("groupdel", USER)):
        subprocess.run(command, check=False, capture_output=True)


def test_the_daemon_s_user_is_made_and_removed(another_user: str, tmp_path: Path) -> None:
    accounts = Accounts()
    with pytest.raises(MachineError, match="there is no user"):
        accounts.owner()
    made = accounts.ensure(tmp_path)
    assert accounts.ensure(tmp_path) == made == accounts.owner()
    shown = subprocess.run(("id", "-nG", another_user), capture_output=True, text=True, check=True)
    assert set(shown.stdout.split()) == {another_user, "lxd"}
    assert accounts.remove() == ""
    assert accounts.remove() == ""
    with pytest.raises(MachineError):
        accounts.owner()


@pytest.fixture
def without_tiny_package() -> Iterator[None]:
    def purge() -> None:
        subprocess.run(("dpkg", "--purge", TINY), check=False, capture_output=True)

    purge()
    yield
    purge()


@pytest.mark.usefixtures("without_tiny_package")
def test_a_package_that_is_missing_is_installed(caplog: pytest.LogCaptureFixture) -> None:
    packages = Packages(Commands())
    assert packages.ensure([TINY], ["no-such-package-anywhere"])
    assert packages.installed([TINY, "no-such-package-anywhere"]) == {TINY}
    assert "no source of packages here has no-such-package-anywhere" in caplog.text


def test_a_package_that_there_is_none_of_is_named() -> None:
    with pytest.raises(MachineError, match=r"no source of packages here has no-such-package$"):
        Packages(Commands()).ensure(["no-such-package"])
