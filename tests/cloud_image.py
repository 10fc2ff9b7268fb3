"""An image of a stock system: this machine's own distribution, systemd and real cloud-init.

It is made once and kept in the user's cache: it takes about 80 s and a package mirror.
"""

import fcntl
import hashlib
import inspect
import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CURL = "/opt/curl"
"""curl, for jobs alone: the script has to do with the Python that cloud-init brings."""

PACKAGES = (
    *("systemd-sysv", "cloud-init", "dbus", "iproute2", "udev"),
    *("ca-certificates", "curl", "jq", "nftables", "redsocks"),
)
# snapd's store can't be reached where tests run: its aproxy is another transparent proxy.
SNAP = """\
#!/bin/sh
[ "$1 $2" = "set aproxy" ] || exit 0
proxy=${3#proxy=}
cat >/etc/redsocks.conf <<END
base {
    daemon = on;
    redirector = iptables;
    log = "file:/var/log/redsocks.log";
}
redsocks {
    type = http-connect;
    local_ip = 0.0.0.0;
    local_port = ${4#listen=:};
    ip = ${proxy%:*};
    port = ${proxy#*:};
}
END
exec redsocks -c /etc/redsocks.conf
"""
# It shows what systemd gives it, and how often it was started.
DOCKER = """\
[Service]
ExecStart=/bin/sh -c 'umask 022; echo started >>/run/docker-starts; env >/run/docker-environment; \
    exec sleep infinity'
[Install]
WantedBy=multi-user.target
"""
FILES = {
    "etc/systemd/network/eth0.network": "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n",
    "etc/cloud/cloud.cfg.d/99-test.cfg": (
        "datasource_list: [NoCloud]\nlocale: false\nnetwork: {config: disabled}\n"
    ),
    "etc/systemd/system/docker.service": DOCKER,
    "etc/docker/daemon.json": '{"log-level": "warn"}\n',
    "usr/bin/snap": SNAP,
    "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
}
# As the images of LXD's own server have them.
TEMPLATES = {
    "/var/lib/cloud/seed/nocloud-net/meta-data": (
        "instance-id: {{ container.name }}\nlocal-hostname: {{ container.name }}\n"
    ),
    "/var/lib/cloud/seed/nocloud-net/user-data": '{{ config_get("cloud-init.user-data", "") }}',
}


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
    # In memory: dpkg syncs each of the thousands of files that it unpacks.
    with tempfile.TemporaryDirectory() as scratch, mounted("tmpfs", Path(scratch)):
        root = Path(scratch) / "root"
        run("debootstrap", "--variant=minbase", release, str(root), mirror(release))
        with mounted("proc", root / "proc"):
            furnish(root, lambda *command: run("chroot", str(root), *command))
        partial = target.with_suffix(".partial")
        options = ("-noappend", "-no-xattrs", "-comp", "zstd", "-Xcompression-level", "3")
        run("mksquashfs", str(root), str(partial), "-quiet", *options)
        partial.rename(target)


def furnish(root: Path, inside: Callable[..., None]) -> None:
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for program in ("usr/sbin/policy-rc.d", "usr/bin/snap"):
        (root / program).chmod(0o755)
    environment = ("env", "DEBIAN_FRONTEND=noninteractive")
    inside(*environment, "apt-get", "install", "-qy", "--no-install-recommends", *PACKAGES)
    inside("mv", "/usr/bin/curl", CURL)
    inside("systemctl", "enable", "systemd-networkd", "docker")
    inside("systemctl", "mask", "redsocks")
    inside("systemctl", "mask", "systemd-binfmt.service")
    inside("apt-get", "clean")
    for kind in ("doc", "locale", "man"):
        shutil.rmtree(root / "usr/share" / kind, ignore_errors=True)
    (root / "etc/machine-id").write_text("")


@contextmanager
def mounted(kind: str, directory: Path) -> Iterator[None]:
    run("mount", "-t", kind, kind, str(directory))
    try:
        yield
    finally:
        run("umount", str(directory))


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
