"""Build the tiny runner image: busybox, a shell script for an init, and optionally the application.

It meets ``docs/guest-contract.md`` without cloud-init, weighs about 2 MB and boots in a fraction of
a second, so that a machine with two cores can run dozens. It is made from files of this machine
alone and needs neither root nor a network.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath

RUNNER_USER = "runner"
RUNNER_HOME = "opt/actions-runner"
_RUNNER_ID = 1000

# What the init, the guest's script and the application can't do without: all of it is in Debian's
# busybox and in Debian's and Ubuntu's busybox-static.
_NEEDED = (
    "awk base64 basename cat chmod chown cp cut date dd dirname echo env expr false find grep gzip "
    "gunzip head hostname id ifconfig ip kill ln ls mkdir mkfifo mktemp mv nc nproc poweroff "
    "printf ps readlink rm rmdir route sed seq setsid sh sha256sum sleep sort stat "
    "start-stop-daemon tail tar tee test timeout touch tr true udhcpc uname uniq wc wget xargs"
    " ["
)
# What is nice to have in a job; linked where this machine's busybox has it.
_WELCOME = (
    "adduser ash bc bzip2 clear cmp cpio df diff dmesg du egrep fgrep free halt killall less "
    "logger md5sum more mount nameif netstat nice nl nohup nslookup od paste patch pgrep pidof "
    "ping pkill realpath reboot renice rev sha1sum sha512sum shuf split ssl_client strings su "
    "sync time top traceroute truncate tty umount unexpand unxz unzip uptime usleep vi watch "
    "which who whoami xxd xz xzcat yes zcat"
)

_TEXTS = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/:/bin/false\n"
        f"{RUNNER_USER}:x:{_RUNNER_ID}:{_RUNNER_ID}::/home/{RUNNER_USER}:/bin/sh\n"
    ),
    "etc/group": f"root:x:0:\nnogroup:x:65534:\n{RUNNER_USER}:x:{_RUNNER_ID}:\n",
    "etc/shells": "/bin/sh\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/os-release": 'ID=busybox\nNAME="Tiny runner image"\n',
}
_DIRECTORIES = {
    **dict.fromkeys(("bin", "dev", "etc", "home", "mnt", "opt", "proc", "run", "sys"), 0o755),
    **dict.fromkeys(("var", "var/lib", "var/log", "usr"), 0o755),
    **dict.fromkeys(("root", "var/lib/user-data"), 0o700),
    **dict.fromkeys(("tmp", "var/tmp"), 0o1777),
}
_LINKS = {
    "sbin": "bin",
    "usr/bin": "../bin",
    "usr/sbin": "../bin",
    "var/run": "../run",
}
_USER_DATA = "var/lib/user-data/script"
_POLICY_TOOLS = ("bash", "curl", "jq")


class ImageError(Exception):
    """The image can't be built on this machine; the message says what is missing."""


@dataclass(frozen=True)
class Image:
    """A unified image tarball, as ``lxc image import`` takes it.

    Attributes:
        path: The tarball.
        fingerprint: What LXD will call it: the SHA-256 of the file.
    """

    path: Path
    fingerprint: str


def build_image(
    cache_dir: Path, application: Path | None = None, *, policy_tools: bool = False
) -> Image:
    """Return the image, built anew only if what it is made of has changed; a build takes 0.2 s.

    Args:
        cache_dir: Where images are kept; made if it is missing.
        application: The runner application's tarball, to be unpacked in the image. Without it each
            guest fetches the application.
        policy_tools: Whether it has this machine's bash, curl and jq, without which no guest asks
            a policy. They weigh ten times as much as all the rest.

    Raises:
        ImageError: Busybox or a tool is missing or lacks something.
        OSError: A file can't be read or written.
    """
    busybox = _find_busybox()
    rootfs = _Rootfs()
    for name, mode in _DIRECTORIES.items():
        rootfs.directory(name, mode)
    _add_busybox(rootfs, busybox)
    for tool in _POLICY_TOOLS if policy_tools else ():
        _add_tool(rootfs, tool)
    for name, text in _TEXTS.items():
        rootfs.file(name, text.encode(), 0o644)
    scripts = files("sandbox") / "image_files"
    rootfs.file("bin/init", (scripts / "init.sh").read_bytes(), 0o755)
    rootfs.file("etc/dhcp.sh", (scripts / "dhcp.sh").read_bytes(), 0o755)
    rootfs.directory(f"home/{RUNNER_USER}", 0o755, _RUNNER_ID)
    if application is not None:
        _add_application(rootfs, application.read_bytes())

    cache_dir.mkdir(parents=True, exist_ok=True)
    path = cache_dir / f"runner-image-{rootfs.digest()[:16]}.tar.gz"
    if not path.exists():
        _write_atomically(path, _packed(rootfs))
    return Image(path, hashlib.sha256(path.read_bytes()).hexdigest())


class _Rootfs:
    """The members of an archive, in a fixed order and free of this machine's times and owners."""

    def __init__(self) -> None:
        self._members: dict[str, tuple[tarfile.TarInfo, bytes]] = {}

    def file(self, path: str, content: bytes, mode: int, owner: int = 0) -> None:
        info = _info(path, mode, owner)
        info.size = len(content)
        self._add(info, content)

    def directory(self, path: str, mode: int, owner: int = 0) -> None:
        info = _info(path, mode, owner)
        info.type = tarfile.DIRTYPE
        self._add(info)

    def link(self, path: str, target: str, owner: int = 0) -> None:
        info = _info(path, 0o777, owner)
        info.type = tarfile.SYMTYPE
        info.linkname = target
        self._add(info)

    def directories_above(self, path: str) -> None:
        """Add those that are missing."""
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            if str(parent) not in self._members:
                self.directory(str(parent), 0o755)

    def digest(self) -> str:
        """Name the contents by a hash, without packing them."""
        digest = hashlib.sha256(_metadata())
        for path, (info, content) in sorted(self._members.items()):
            head = [path, info.mode, info.uid, info.linkname, hashlib.sha256(content).hexdigest()]
            digest.update(json.dumps(head).encode())
        return digest.hexdigest()

    def write(self, archive: tarfile.TarFile, prefix: str) -> None:
        archive.addfile(_directory_info(prefix))
        for path, (info, content) in sorted(self._members.items()):
            info.name = f"{prefix}/{path}"
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)

    def _add(self, info: tarfile.TarInfo, content: bytes = b"") -> None:
        self._members[info.name] = (info, content)


def _find_busybox() -> Path:
    found = shutil.which("busybox", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin")
    if found is None:
        raise ImageError(
            "there is no busybox on this machine; install Debian's package busybox"
            " or Ubuntu's busybox-static"
        )
    return Path(found)


def _add_busybox(rootfs: _Rootfs, busybox: Path) -> None:
    applets = set(_output(str(busybox), "--list").split())
    missing = set(_NEEDED.split()) - applets
    if missing:
        raise ImageError(
            f"{busybox} lacks {', '.join(sorted(missing))}; Debian's package busybox"
            " and Ubuntu's busybox-static have them"
        )
    rootfs.file("bin/busybox", busybox.read_bytes(), 0o755)
    for path, target in _LINKS.items():
        rootfs.link(path, target)
    for applet in sorted(applets & {*_NEEDED.split(), *_WELCOME.split()}):
        rootfs.link(f"bin/{applet}", "busybox")
    _add_libraries(rootfs, busybox)


def _add_tool(rootfs: _Rootfs, name: str) -> None:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin")
    if found is None:
        raise ImageError(f"there is no {name} on this machine; install the package {name}")
    rootfs.file(f"bin/{name}", Path(found).read_bytes(), 0o755)
    _add_libraries(rootfs, Path(found))


def _add_libraries(rootfs: _Rootfs, program: Path) -> None:
    for library in _libraries(program):
        path = str(library).lstrip("/")
        rootfs.directories_above(path)
        rootfs.file(path, library.read_bytes(), 0o755)


def _libraries(program: Path) -> list[Path]:
    """Return what a program loads, by the paths under which it looks for it.

    With them come the modules that glibc loads by itself to look names up: part of libc since 2.34,
    files of their own before. A static busybox asks for nothing, and has them in it.
    """
    try:
        listing = _output("ldd", str(program))
    except subprocess.CalledProcessError:  # not a dynamic executable
        return []
    words = [word for line in listing.splitlines() for word in line.split()]
    found = [Path(word) for word in words if word.startswith("/")]
    modules = [
        path.with_name(f"libnss_{name}.so.2")
        for path in found
        if path.name.startswith("libc.so")
        for name in ("dns", "files")
    ]
    return [path for path in (*found, *modules) if path.exists()]


def _add_application(rootfs: _Rootfs, packed: bytes) -> None:
    rootfs.directory(RUNNER_HOME, 0o755, _RUNNER_ID)
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts:
                raise ImageError(f"the application's archive leaves its directory: {member.name}")
            path = f"{RUNNER_HOME}/{name}"
            if member.isdir() and name.parts:
                rootfs.directory(path, member.mode, _RUNNER_ID)
            elif member.issym():
                rootfs.link(path, member.linkname, _RUNNER_ID)
            elif member.isreg() and (content := archive.extractfile(member)) is not None:
                rootfs.file(path, content.read(), member.mode, _RUNNER_ID)
    digest = hashlib.sha256(packed).hexdigest()
    rootfs.file(f"{RUNNER_HOME}/.sha256", f"{digest}\n".encode(), 0o644)


def _metadata() -> bytes:
    metadata = {
        "architecture": platform.machine(),
        "creation_date": 1,
        "properties": {"description": "Tiny runner image", "os": "busybox"},
        "templates": {f"/{_USER_DATA}": {"when": ["create", "copy"], "template": "user-data.tpl"}},
    }
    return json.dumps(metadata, indent=2, sort_keys=True).encode()  # YAML holds all of JSON


def _packed(rootfs: _Rootfs) -> bytes:
    texts = {
        "metadata.yaml": _metadata(),
        "templates/user-data.tpl": b'{{ config_get("cloud-init.user-data", "") }}',
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(_directory_info("templates"))
        for name, content in texts.items():
            info = _info(name, 0o644)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        rootfs.write(archive, "rootfs")
    # Level 1: LXD unpacks it for every instance, and a smaller file is no faster to unpack.
    return gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)


def _info(name: str, mode: int, owner: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode = mode
    info.uid = info.gid = owner
    return info


def _directory_info(name: str) -> tarfile.TarInfo:
    info = _info(name, 0o755)
    info.type = tarfile.DIRTYPE
    return info


def _write_atomically(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(content)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(file.name).unlink()
            raise


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
