"""Stand-ins for what an image's build takes from the internet: packages, and base images."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import json
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.image import build_image

_SERVED_AS = {"aarch64": "arm64", "x86_64": "amd64"}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def serving(directory: Path, address: str) -> Iterator[str]:
    """Serve a directory's files over HTTP at an address; gives their base."""
    handler = functools.partial(_Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer((address, 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://{address}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


_STANDS_IN = "#!/bin/sh\nexit 0\n"
_NPM = """\
#!/bin/sh
for package; do :; done
printf '#!/bin/sh\\n' >"/usr/local/bin/$package"
chmod 755 "/usr/local/bin/$package"
"""
_IMAGES_PACKAGES = {
    # The stock system of the tests has a real one, out of the way.
    "curl": {"usr/bin/curl": '#!/bin/sh\nexec /opt/curl "$@"\n'},
    "build-essential": {},
    "python3-dev": {},
    "docker.io": {"usr/bin/docker": _STANDS_IN},
    "git": {"usr/bin/git": _STANDS_IN},
    "npm": {"usr/bin/npm": _NPM},
    "python3-pip": {"usr/bin/pip3": _STANDS_IN},
    "shellcheck": {"usr/bin/shellcheck": _STANDS_IN},
    "sudo": {"usr/bin/sudo": _STANDS_IN, "usr/sbin/visudo": _STANDS_IN},
    "wget": {"usr/bin/wget": _STANDS_IN},
    "yq": {"usr/bin/yq": _STANDS_IN},
    "htop": {"usr/bin/htop": _STANDS_IN},
}


@dataclass(frozen=True)
class Packages:
    """A repository of small Debian packages, which apt trusts unsigned."""

    directory: Path

    def add_those_of_images(self) -> None:
        """Put in what an image gets, apart from what the stock system of the tests has."""
        for name, programs in _IMAGES_PACKAGES.items():
            self.add(name, programs, version="99.0")

    def add(self, name: str, files: Mapping[str, str] = {}, *, version: str = "1.0") -> None:
        """Put a package into it: programs by their paths."""
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            control = root / "DEBIAN/control"
            control.parent.mkdir(mode=0o755)
            control.write_text(
                f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
                "Maintainer: Nobody <nobody@example.com>\nDescription: stands in\n"
            )
            for path, text in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
                (root / path).chmod(0o755)
            _run("dpkg-deb", "--root-owner-group", "-Znone", "-b", scratch, str(self.directory))
        self._list()

    def remove(self, name: str) -> None:
        """Take all versions of a package out of it."""
        for path in self.directory.glob(f"{name}_*.deb"):
            path.unlink()
        self._list()

    def _list(self) -> None:
        index = _run("dpkg-scanpackages", "--multiversion", ".", cwd=self.directory)
        (self.directory / "Packages").write_text(index)


@dataclass
class ImageServer:
    """A simplestreams server's files: one image, in versions."""

    directory: Path
    alias: str
    machine: str

    def release(self, mark: str) -> str:
        """Publish the tiny image as the newest version, with a mark; gives its fingerprint."""
        metadata, rootfs = self._parts(mark)
        version = f"203001{len(list(self.directory.glob('*.root'))) + 1:02}"  # LXD reads a date
        items = {}
        for name, kind, content in (
            (f"{version}.lxd", "lxd.tar.xz", metadata),
            (f"{version}.root", "root.tar.xz", rootfs),
        ):
            (self.directory / name).write_bytes(content)
            items[kind] = {"ftype": kind, "path": name, "size": len(content)}
            items[kind]["sha256"] = hashlib.sha256(content).hexdigest()
        fingerprint = hashlib.sha256(metadata + rootfs).hexdigest()
        items["lxd.tar.xz"]["combined_rootxz_sha256"] = fingerprint
        self._list(version, items)
        return fingerprint

    def _parts(self, mark: str) -> tuple[bytes, bytes]:
        halves = io.BytesIO(), io.BytesIO()
        with (
            tempfile.TemporaryDirectory() as scratch,
            tarfile.open(build_image(Path(scratch)).path) as whole,
            tarfile.open(fileobj=halves[0], mode="w:xz") as first,
            tarfile.open(fileobj=halves[1], mode="w:xz", preset=0) as second,
        ):
            for member in whole:
                content = whole.extractfile(member) if member.isreg() else None
                inside = member.name.startswith("rootfs")
                if inside:
                    member.name = f".{member.name.removeprefix('rootfs')}"
                (second if inside else first).addfile(member, content)
            note = tarfile.TarInfo("./etc/mark")
            note.size = len(mark)
            second.addfile(note, io.BytesIO(mark.encode()))
        return halves[0].getvalue(), halves[1].getvalue()

    def _list(self, version: str, items: Mapping[str, object]) -> None:
        streams = self.directory / "streams/v1"
        streams.mkdir(parents=True, exist_ok=True)
        arch = _SERVED_AS.get(self.machine, self.machine)
        name = f"{self.alias}:1:{arch}:default"
        described = {
            "aliases": self.alias,
            "arch": arch,
            "os": "busybox",
            "release": "1",
            "release_title": "1",
            "versions": {version: {"items": items}},
        }
        images = streams / "images.json"
        if images.exists():
            earlier = json.loads(images.read_text())["products"][name]["versions"]
            described["versions"] = {**earlier, version: {"items": items}}
        common = {"datatype": "image-downloads"}
        images.write_text(
            json.dumps(
                {**common, "format": "products:1.0", "content_id": "images"}
                | {"products": {name: described}}
            )
        )
        listed = {**common, "path": "streams/v1/images.json", "format": "products:1.0"}
        (streams / "index.json").write_text(
            json.dumps({"format": "index:1.0", "index": {"images": {**listed, "products": [name]}}})
        )


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
