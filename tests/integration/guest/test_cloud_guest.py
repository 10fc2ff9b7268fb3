"""The same script in a stock system: this machine's own distribution, systemd and real cloud-init.

The image is made once and kept in the user's cache: it takes about 70 s and a package mirror.
"""

import fcntl
import hashlib
import inspect
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from sandbox.private_lxd import PrivateLxd
from supervisor.config import LogsConfig
from supervisor.gateways.log_store import LogStore
from supervisor.gateways.lxd import Lxd, LxdEndpoint
from supervisor.instance_work import InstanceWork, LogsSaved
from supervisor.lifecycle import Limits

Guests = Any
Inbox = Any
ALIAS = "cloud-init"
READY = {"signal": "ready"}
FINISHED = {"signal": "finished", "exit-code": "0"}
JIT_CONFIG = "and0LWNvbmZpZ3VyYXRpb24tb2YtdGhlLXRlc3Q="
TOKEN = "signal-token-of-the-test"

# Without curl, wget or nc: the script has to do with the Python that cloud-init brings.
PACKAGES = ("systemd-sysv", "cloud-init", "dbus", "iproute2", "udev")
FILES = {
    "etc/systemd/network/eth0.network": "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n",
    "etc/cloud/cloud.cfg.d/99-test.cfg": (
        "datasource_list: [NoCloud]\nlocale: false\nnetwork: {config: disabled}\n"
    ),
    "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
}
# As the images of LXD's own server have them.
TEMPLATES = {
    "/var/lib/cloud/seed/nocloud-net/meta-data": (
        "instance-id: {{ container.name }}\nlocal-hostname: {{ container.name }}\n"
    ),
    "/var/lib/cloud/seed/nocloud-net/user-data": '{{ config_get("cloud-init.user-data", "") }}',
}


@pytest.fixture(scope="session")
def cloud_image(real_lxd: PrivateLxd) -> str:
    """Return the alias of an image with cloud-init, imported into the real LXD."""
    if shutil.which("debootstrap") is None or shutil.which("mksquashfs") is None:
        pytest.fail("debootstrap or squashfs-tools is not installed")
    metadata, rootfs = build_cloud_image()
    Lxd(LxdEndpoint(real_lxd.endpoint.socket, real_lxd.project)).import_image(
        metadata, rootfs, alias=ALIAS
    )
    return ALIAS


def build_cloud_image() -> tuple[Path, Path]:
    """Return metadata and rootfs, built unless this very recipe was built before."""
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    # The recipe is this module's: whatever is changed in it makes another image.
    recipe = json.dumps([release, PACKAGES, FILES, TEMPLATES, inspect.getsource(furnish)])
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = base / "github-runner-supervisor" / "tests"
    directory.mkdir(parents=True, exist_ok=True)
    name = f"cloud-init-{release}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    metadata, rootfs = directory / f"{name}.tar.gz", directory / f"{name}.squashfs"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not rootfs.exists():
            for older in directory.glob("cloud-init-*"):
                older.unlink()
            write_metadata(metadata)
            build_rootfs(release, rootfs)
    return metadata, rootfs


def write_metadata(path: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(path, "w:gz") as archive:
        templates = {}
        for target, text in TEMPLATES.items():
            name = f"{target.rpartition('/')[2]}.tpl"
            (Path(scratch) / name).write_text(text)
            archive.add(f"{scratch}/{name}", f"templates/{name}")
            templates[target] = {"when": ["create", "copy"], "template": name}
        described = {
            "architecture": platform.machine(),
            "creation_date": 1,
            "templates": templates,
        }
        (Path(scratch) / "metadata.yaml").write_text(json.dumps(described))
        archive.add(f"{scratch}/metadata.yaml", "metadata.yaml")


def build_rootfs(release: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        root = Path(scratch) / "root"
        run("debootstrap", "--variant=minbase", release, str(root), mirror(release))
        with mounted_proc(root):
            furnish(root, lambda *command: run("chroot", str(root), *command))
        partial = target.with_suffix(".partial")
        options = ("-noappend", "-no-xattrs", "-comp", "zstd", "-Xcompression-level", "3", "-quiet")
        run("mksquashfs", str(root), str(partial), *options)
        partial.rename(target)


def furnish(root: Path, inside: Callable[..., None]) -> None:
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    environment = ("env", "DEBIAN_FRONTEND=noninteractive")
    inside(*environment, "apt-get", "install", "-qy", "--no-install-recommends", *PACKAGES)
    inside("systemctl", "enable", "systemd-networkd")
    inside("systemctl", "mask", "systemd-binfmt.service")
    inside("apt-get", "clean")
    for kind in ("doc", "locale", "man"):
        shutil.rmtree(root / "usr/share" / kind, ignore_errors=True)
    (root / "etc/machine-id").write_text("")


@contextmanager
def mounted_proc(root: Path) -> Iterator[None]:
    run("mount", "-t", "proc", "proc", str(root / "proc"))
    try:
        yield
    finally:
        run("umount", str(root / "proc"))


def mirror(release: str) -> str:
    """Return where this machine gets its own packages from."""
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return next(
        site for site, found in (line.split() for line in listing.splitlines()) if found == release
    )


def run(*command: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        pytest.fail(f"{' '.join(command)}: {(done.stdout + done.stderr)[-2000:]}")


@pytest.mark.timeout(420)
def test_the_same_script_works_in_a_stock_system_with_cloud_init(
    guests: Guests, inbox: Inbox, cloud_image: str
) -> None:
    found = "$(grep -rlF {} /var /etc /run /home /opt /tmp 2>/dev/null | sort | xargs)"
    jit = found.format(f"{JIT_CONFIG[:9]}''{JIT_CONFIG[9:]}")
    token = found.format(f"{TOKEN[:9]}''{TOKEN[9:]}")
    said = guests.run(
        f"""
        . ./.env
        tell() {{ GITHUB_WORKFLOW=$1 bash -e "$ACTIONS_RUNNER_HOOK_JOB_STARTED"; }}
        tell "$(id -un) $(id -Gn) $HOME $PWD $ACTIONS_RUNNER_INPUT_JITCONFIG"
        tell "jit {jit}"
        tell "token {token}"
        bash -e "$ACTIONS_RUNNER_HOOK_JOB_COMPLETED"
        """,
        image=cloud_image,
        limit_s=30,
    )
    assert [entry.get("workflow") or entry for entry in said[:4]] == [
        READY,
        f"runner runner /home/runner /opt/actions-runner {JIT_CONFIG}",
        "jit ",
        "token /var/lib/github-runner-guest/endpoint",
    ]
    assert said[4:] == [{"signal": "job-finished"}, FINISHED]
    assert inbox.leaks == []


@pytest.mark.timeout(420)
def test_a_stock_system_powers_off_when_its_application_is_refused(
    guests: Guests, inbox: Inbox, cloud_image: str
) -> None:
    name = guests.start("exit 0", image=cloud_image, application_sha256="0" * 64)
    guests.wait_until_failed(name)
    guests.wait_until_gone(name)
    said = inbox.signals
    assert [entry["signal"] for entry in said] == ["failed"]
    assert said[0]["reason"].endswith(f"wanted {'0' * 64}")


@pytest.mark.timeout(420)
def test_a_stock_systems_journal_and_the_output_of_its_cloud_init_are_kept(
    guests: Guests, lxd: Lxd, cloud_image: str, tmp_path: Path
) -> None:
    name = guests.start("exit 0", image=cloud_image, application_sha256="0" * 64)
    guests.wait_until_failed(name)
    store = LogStore(tmp_path / "logs")
    work = InstanceWork(lxd, name, Limits())
    at = datetime(2030, 1, 1, tzinfo=timezone.utc)
    assert work.save_logs(store, LogsConfig(), reason="a test", at=at) == LogsSaved(kept=True)
    (kept,) = store.listing()
    whole = store.read(kept.runner)
    assert whole is not None
    _, output, journal = re.split(r"== /var/log/cloud-init-output.log ==|== journal ==", whole.text)
    assert "guest: failed: the application's SHA-256 is" in output
    assert "systemd" in journal
    assert JIT_CONFIG not in whole.text
    assert TOKEN not in whole.text
    lxd.delete(name, limit_s=30)
