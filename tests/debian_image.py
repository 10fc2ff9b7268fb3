"""Images of whole Debian systems for LXD, made from this machine's own package mirror.

They are kept in the user's cache, by what they are made of. On an idle machine with two cores one
takes about 20 s.
"""

import fcntl
import hashlib
import inspect
import json
import os
import platform
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass(frozen=True)
class DebianImage:
    """What such an image is made of.

    Attributes:
        name: what its files are called.
        packages: what is installed, without what is merely recommended.
        files: the texts of files, by their path without the first slash.
        programs: which of them are programs.
        commands: what is run inside at the end.
        templates: what LXD writes for each instance, by path.
    """

    name: str
    packages: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    programs: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    templates: Mapping[str, str] = field(default_factory=dict)

    def build(self) -> tuple[Path, Path]:
        """Return metadata and rootfs, built unless this very image was built before."""
        release = platform.freedesktop_os_release()["VERSION_CODENAME"]
        made_by = inspect.getsource(inspect.getmodule(DebianImage) or DebianImage)
        recipe = f"{release} {self!r} {made_by}"
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        directory = base / "github-runner-supervisor" / "tests"
        directory.mkdir(parents=True, exist_ok=True)
        name = f"{self.name}-{release}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
        metadata, rootfs = directory / f"{name}.tar.gz", directory / f"{name}.squashfs"
        with (directory / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not rootfs.exists():
                for older in directory.glob(f"{self.name}-{release}-*"):
                    older.unlink()
                self._write_metadata(metadata)
                self._build_rootfs(release, rootfs)
        return metadata, rootfs

    def _write_metadata(self, path: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch, tarfile.open(path, "w:gz") as archive:
            templates = {}
            for target, text in self.templates.items():
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

    def _build_rootfs(self, release: str, target: Path) -> None:
        # In memory: dpkg syncs each of the thousands of files that it unpacks.
        with tempfile.TemporaryDirectory() as scratch, _mounted("tmpfs", Path(scratch)):
            root = Path(scratch) / "root"
            # Twice as fast as debootstrap, as apt unpacks many packages at a time.
            what = ("--variant=minbase", f"--include={','.join(self.packages)}")
            unread = ("doc", "info", "locale", "man")
            less = [f"--dpkgopt=path-exclude=/usr/share/{kind}/*" for kind in unread]
            _run("mmdebstrap", "--quiet", *what, *less, release, str(root), mirror(release))
            self._furnish(root)
            partial = target.with_suffix(".partial")
            options = ("-noappend", "-no-xattrs", "-comp", "zstd", "-Xcompression-level", "1")
            _run("mksquashfs", str(root), str(partial), "-quiet", *options)
            partial.rename(target)

    def _furnish(self, root: Path) -> None:
        (root / "etc/machine-id").write_text("")
        (root / "etc/hostname").unlink(missing_ok=True)  # this machine's
        for path, text in self.files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        for path in self.programs:
            (root / path).chmod(0o755)
        with _mounted("proc", root / "proc"):
            for command in self.commands:
                _run("chroot", str(root), *command)
        # Else whoever installs something in the image would not get its manual either.
        (root / "etc/dpkg/dpkg.cfg.d/99mmdebstrap").unlink()


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


@contextmanager
def _mounted(kind: str, directory: Path) -> Iterator[None]:
    _run("mount", "-t", kind, kind, str(directory))
    try:
        yield
    finally:
        _run("umount", str(directory))


def _run(*command: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        pytest.fail(f"{' '.join(command)}: {(done.stdout + done.stderr)[-2000:]}")
