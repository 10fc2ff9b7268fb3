"""File systems for storage pools: image files, memory, and what mounts them.

All calls block and have time limits, and raise nothing but `StorageError`. What they mount, they
mount where the host's first process sees it: LXD and a restarted daemon must find it, also if this
process has a mount namespace of its own, as systemd gives to services that it shields.

Only root may make anything. Any user may look, and ask that it be made.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.causes import Cause, CausedError
from supervisor.gateways import child_environment
from supervisor.gateways.trust import distrust
from supervisor.host.storage import Host, OwnPool
from supervisor.text import sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUICK_S = 30.0
_PAUSE_S = 0.1
# Room for a file is reserved at once on most file systems; formatting writes little.
_SLOW_S = 300.0
_PACKAGES = {
    "mkfs.btrfs": "btrfs-progs",
    "btrfs": "btrfs-progs",
    "mount": "mount",
    "umount": "mount",
    "losetup": "mount",
    "fallocate": "util-linux",
    "truncate": "coreutils",
}
_HOST, _SELF = Path("/proc/1"), Path("/proc/self")


_NO_SPACE = "No space left"
"""ENOSPC in words, as programs say it where messages are in English."""
_LACKS_ROOM = "; there is not enough room there"


class StorageError(CausedError):
    """Something could not be mounted or made. The message says what was tried and what to do."""


def host(own: OwnPool) -> Host:
    """Find out what the machine has for a pool.

    Raises:
        StorageError: the directory for its image file can't be used, or trusted.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    image = image_bytes(own)
    if own.in_memory:
        return Host(memory, pool=image)
    directory, taken = Path(own.medium), 0
    try:
        disk = os.statvfs(directory)
        if not directory.is_dir():
            raise StorageError(f"{directory} is not a directory")
        _trust(directory)
        with suppress(FileNotFoundError):
            taken = own.image.stat().st_blocks * 512
    except OSError as error:
        raise StorageError(f"{directory} can't be used: {error.strerror}") from error
    return Host(memory, free=disk.f_bavail * disk.f_frsize + taken, pool=image)


def free_bytes(directory: Path) -> int:
    """Say how much may still be written to a directory's disk.

    Raises:
        StorageError: it can't be looked at.
    """
    try:
        disk = os.statvfs(directory)
    except OSError as error:
        raise StorageError(f"{directory} can't be looked at: {error.strerror}") from error
    return disk.f_bavail * disk.f_frsize


def root_may_mount() -> bool:
    """Tell whether root may mount file systems here: not within most containers.

    By the numbers of users that root's namespace has, as LXD decides it too.
    """
    try:
        numbers = (_SELF / "uid_map").read_text().split()
    except OSError:
        return True
    return numbers == ["0", "0", str(2**32 - 1)]


def image_bytes(own: OwnPool) -> int:
    """Say how large the image file is; 0 if there is none."""
    try:
        return _seen_by_host(own.image).stat().st_size
    except OSError:
        return 0


def mounted_bytes(own: OwnPool) -> int:
    """Say how large the file system is that is mounted in the pool's place; 0 if none is."""
    if own.mounted not in _mounts():
        return 0
    try:
        found = os.statvfs(_seen_by_host(own.mounted))
    except OSError as error:
        raise StorageError(f"could not look at {own.mounted}: {error.strerror}") from error
    return found.f_blocks * found.f_frsize


def may_mount() -> bool:
    """Tell whether this process may make what it finds wanting."""
    return os.geteuid() == 0


def make(own: OwnPool, size: int) -> None:
    """Make image file and file system anew, and mount it; what was there before is removed.

    Raises:
        StorageError: it can't be made.
    """
    discard(own)
    try:
        _ensure_directory(own.home.parent, 0o755)
        _trust(own.home.parent)
        # A daemon that is not root goes through, to see what is there.
        for place in (own.home, own.mounted, own.memory):
            _ensure_directory(place, 0o711)
        _write(own.note, json.dumps(own.marks()))
    except OSError as error:
        raise StorageError(f"could not make {own.home}: {error.strerror}") from error
    if own.in_memory:
        options = f"size={own.memory_bytes(size)},mode=711"
        _run("mount memory", "mount", "-t", "tmpfs", "-o", options, "runners", str(own.memory))
    _extend(own, size)
    # Mixed: where data and metadata have areas of their own, whoever asks for much room at once,
    # even in vain, turns all that is free into areas for data, and then no guest can make another
    # file in a file system that is half empty. Single: what is in it lives as long as a job.
    kind = ("--mixed", "--metadata", "single", "--data", "single")
    _run("make a file system", "mkfs.btrfs", "--quiet", "--force", *kind, str(own.image))
    mount(own)


def mount(own: OwnPool) -> None:
    """Mount the image file: by the loop device that has it already, if one has.

    Raises:
        StorageError: it can't be mounted.
    """
    # Memory that guests no longer use goes back to the host; what is reserved on a disk stays.
    discards = "discard=async" if own.in_memory else "nodiscard"
    device = next(_loop_devices(own), None)
    source, options = (device, discards) if device else (str(own.image), f"loop,{discards}")
    aim = "mount the pool's file system"
    _run(aim, "mount", "-t", "btrfs", "-o", options, source, str(own.mounted))


def grow(own: OwnPool, size: int) -> None:
    """Make it larger while it is in use; what an interrupted attempt has done is not done again.

    Raises:
        StorageError: there is no room, or a step fails.
    """
    size = max(size, image_bytes(own))
    if own.in_memory:
        options = f"remount,size={own.memory_bytes(size)}"
        _run("take more memory", "mount", "-o", options, str(own.memory))
    _extend(own, size)
    for device in _loop_devices(own):
        _run("grow the pool's device", "losetup", "--set-capacity", device)
    _run("grow the pool's file system", "btrfs", "filesystem", "resize", "max", str(own.mounted))


def discard(own: OwnPool) -> None:
    """Remove file system and image file, as far as they are there.

    Raises:
        StorageError: they are in use.
    """
    for place in (own.mounted, own.memory):
        while place in _mounts():
            _unmount(place)
    try:
        for file in map(_seen_by_host, (own.image, own.note, own.complaint)):
            if file.exists():
                file.unlink()
        for place in map(_seen_by_host, (own.mounted, own.memory, own.home)):
            if place.exists():
                place.rmdir()
    except OSError as error:
        raise StorageError(f"could not remove {error.filename}: {error.strerror}") from error
    _leave(own.home.parent)


def noted(homes: Path) -> dict[str, dict[str, str]]:
    """Read the marks of the pools that have directories here, by their names."""
    found = {}
    for path in _seen_by_host(homes).glob("*/marks.json"):
        # One that was killed while it wrote has made no file system yet.
        with suppress(OSError, ValueError):
            found[path.parent.name] = json.loads(path.read_text())
    return found


# What a daemon that may not mount says to systemd, and is told.


def ask(request: Path, wish: str) -> None:
    """Ask for what only root may do: systemd starts who does it when this file is written.

    Raises:
        StorageError: it can't be written.
    """
    try:
        # In its place, as systemd watches the file and not its name.
        request.write_text(f"{wish}\n")
    except OSError as error:
        raise StorageError(f"could not write {request}: {error.strerror}") from error


def complain(complaint: Path, reason: str) -> None:
    """Note for those who asked why it could not be done; an empty reason takes a note back.

    Raises:
        StorageError: it can't be noted.
    """
    try:
        if reason:
            _ensure_directory(complaint.parent, 0o755)
            _trust(complaint.parent)
            _write(complaint, reason)
        else:
            _seen_by_host(complaint).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"could not write {complaint}: {error.strerror}") from error
    _leave(complaint.parent)


def complained(complaint: Path) -> str:
    """Read why what was asked for could not be done; empty if nothing is known."""
    try:
        return _seen_by_host(complaint).read_text("utf-8", "replace")
    except OSError:
        return ""


def _trust(directory: Path) -> None:
    """Refuse a directory in which somebody else than root could put something in our way."""
    if distrusted := distrust(directory, roots_alone=True):
        raise StorageError(f"runners' disks would be in others' hands: {distrusted}")


def _ensure_directory(place: Path, mode: int) -> None:
    seen = _seen_by_host(place)
    if not seen.exists():
        seen.mkdir(parents=True)
        seen.chmod(mode)


def _write(file: Path, text: str) -> None:
    seen = _seen_by_host(file)
    seen.write_text(text)
    seen.chmod(0o644)


def _leave(homes: Path) -> None:
    """Remove the directory of all pools, should nothing be in it any more."""
    with suppress(OSError):
        _seen_by_host(homes).rmdir()


def _unmount(place: Path) -> None:
    """Unmount; the kernel lets go of an image file a moment after its file system is gone."""
    deadline = time.monotonic() + _QUICK_S
    while True:
        try:
            _run(f"unmount {place}", "umount", str(place))
        except StorageError as error:
            if "busy" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def _extend(own: OwnPool, size: int) -> None:
    """Give the image file its size. On a disk its room is reserved: nobody else can take it.

    Raises:
        StorageError: it can't be had; of what was there before nothing more is taken.
    """
    image = str(own.image)
    if own.in_memory:
        _run("make the image file", "truncate", f"--size={size}", image)
        return
    has = host(own).free
    if size > has:
        # Asked for too much, the kernel gives all there is, to the last byte, and takes none back.
        raise StorageError(
            f"could not reserve room for the pool: {sizes.in_words(size)} are wanted, and "
            f"{own.medium} has {sizes.in_words(has)}{_LACKS_ROOM}",
            Cause.NO_SPACE,
        )
    before = image_bytes(own)
    try:
        _run("reserve room for the pool", "fallocate", f"--length={size}", image)
    except StorageError:
        if image_bytes(own) > before:
            _run("give back what was reserved", "truncate", f"--size={before}", image)
        raise


def _loop_devices(own: OwnPool) -> Iterator[str]:
    listing = _run("find the pool's device", "losetup", "--associated", str(own.image))
    return (line.split(":")[0] for line in listing.splitlines())


def _mounts() -> list[Path]:
    whose = _HOST if _is_shielded() else _SELF
    try:
        lines = (whose / "mountinfo").read_text().splitlines()
    except OSError as error:
        raise StorageError(f"could not see what is mounted: {error.strerror}") from error
    # The fifth field is the mount point, with blanks as octal escapes.
    return [Path(line.split()[4].encode().decode("unicode_escape")) for line in lines]


def _is_shielded() -> bool:
    """Tell whether the host sees other mounts than this process."""
    try:
        return (_HOST / "ns/mnt").readlink() != (_SELF / "ns/mnt").readlink()
    except OSError:  # who may not look could not mount there either
        return False


def _seen_by_host(path: Path) -> Path:
    return _HOST / "root" / path.relative_to("/") if _is_shielded() else path


def _run(aim: str, *command: str) -> str:
    """Run a program where the host's mounts are, and return what it prints."""
    program = command[0]
    if shutil.which(program) is None:
        package = _PACKAGES[program]
        raise StorageError(f"could not {aim}: there is no program {program}; install {package}")
    if _is_shielded():
        command = ("nsenter", f"--mount={_HOST}/ns/mnt", "--", *command)
    limit_s = _SLOW_S if program in {"mkfs.btrfs", "fallocate"} else _QUICK_S
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=limit_s,
            env=child_environment.clean(),
            umask=0o077,
        )
    except OSError as error:
        raise StorageError(f"could not {aim}: {command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise StorageError(f"could not {aim}: {program} takes more than {limit_s:g} s") from error
    if done.returncode != 0:
        words = "; ".join(done.stderr.split("\n")).strip("; ") or f"exit code {done.returncode}"
        cause = Cause.NO_SPACE if _NO_SPACE in words else None
        raise StorageError(f"could not {aim}: {words}{_hint(words)}", cause)
    return done.stdout


def _hint(words: str) -> str:
    if "unknown filesystem type" in words:
        return "; this kernel has no btrfs (modprobe btrfs)"
    if _NO_SPACE in words:
        return _LACKS_ROOM
    if "failed to setup loop device" in words or "failed to set up loop device" in words:
        return "; this kernel offers no loop device (modprobe loop)"
    return ""
