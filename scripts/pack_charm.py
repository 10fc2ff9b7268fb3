"""Pack the charm for this machine's base, without charmcraft: `make charm`.

`charmcraft pack` wants snapd and an Ubuntu of the base. This makes the same archive from
the same content (`scripts/charm-content.sh`) wherever Python is, and the same bytes from the same
tree, so that a test can run what it packs. What is released is packed by charmcraft.
"""

from __future__ import annotations

import argparse
import platform
import stat
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent

# What of charmcraft.yaml goes to metadata.yaml as it is, as charmcraft 4.5 has it in
# charmcraft/models/metadata.py; `title` and `links` are renamed there.
METADATA = (
    "name",
    "summary",
    "description",
    "assumes",
    "charm-user",
    "containers",
    "devices",
    "extra-bindings",
    "peers",
    "provides",
    "requires",
    "resources",
    "storage",
    "subordinate",
    "terms",
)
LINKS = {"documentation": "docs", "issues": "issues", "source": "source", "website": "website"}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# The oldest that a zip can say. Times would make two packings of one tree differ.
MOMENT = (1980, 1, 1, 0, 0, 0)
COMPRESSED = {".whl", ".zip", ".gz"}


def metadata(project: dict[str, Any]) -> dict[str, Any]:
    """Give what Juju reads as metadata.yaml, from what charmcraft.yaml says."""
    links = project.get("links", {})
    found = {key: project[key] for key in METADATA if key in project}
    found |= {name: links[link] for link, name in LINKS.items() if link in links}
    if "title" in project:
        found["display-name"] = project["title"]
    if "contact" in links:
        contact = links["contact"]
        found["maintainers"] = [contact] if isinstance(contact, str) else contact
    return found


def base() -> dict[str, Any]:
    """Name this machine's base as manifest.yaml does: that is where the packed charm can run."""
    system = platform.freedesktop_os_release()
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    return {
        "name": system["ID"],
        "channel": system["VERSION_ID"],
        "architectures": [architecture],
    }


def manifest(base: dict[str, Any]) -> dict[str, Any]:
    """Give manifest.yaml: for which base the charm is, and what charmcraft's analysis finds."""
    return {
        "charmcraft-version": "4.5.0",
        "charmcraft-started-at": "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z".format(*MOMENT),
        "bases": [base],
        "analysis": {
            "attributes": [
                {"name": "language", "result": "python"},
                {"name": "framework", "result": "unknown"},
            ]
        },
    }


def documents(project: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Give the files that charmcraft makes of charmcraft.yaml, by name; empty ones are left out."""
    found = {
        "metadata.yaml": metadata(project),
        "config.yaml": project.get("config"),
        "actions.yaml": project.get("actions"),
        "manifest.yaml": manifest(base),
    }
    return {name: document for name, document in found.items() if document}


def archive(content: Path, target: Path) -> None:
    """Write a directory's files as a zip: sorted, without times, and of each mode only who runs it.

    It is written beside its place and renamed, so nobody ever sees half a charm.
    """
    unfinished = target.with_suffix(".unfinished")
    with zipfile.ZipFile(unfinished, "w") as zipped:
        for path in sorted(path for path in content.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(content).as_posix(), MOMENT)
            runs = path.stat().st_mode & stat.S_IXUSR
            entry.external_attr = (stat.S_IFREG | (0o755 if runs else 0o644)) << 16
            entry.compress_type = (
                zipfile.ZIP_STORED if path.suffix in COMPRESSED else zipfile.ZIP_DEFLATED
            )
            zipped.writestr(entry, path.read_bytes())
    unfinished.replace(target)


def pack(directory: Path) -> Path:
    """Make the content and the metadata, and pack both.

    Args:
        directory: Where the charm is written.

    Returns:
        The charm: NAME_BASE-ARCHITECTURE.charm, as charmcraft names it.

    Raises:
        subprocess.CalledProcessError: The content could not be made; it has said why on stderr.
    """
    project = yaml.safe_load((ROOT / "charm/charmcraft.yaml").read_text())
    here = base()
    directory.mkdir(parents=True, exist_ok=True)
    place = f"{here['name']}@{here['channel']}-{here['architectures'][0]}"
    target = directory / f"{project['name']}_{place}.charm"
    with tempfile.TemporaryDirectory(prefix="charm-") as made:
        content = Path(made)
        subprocess.run([ROOT / "scripts/charm-content.sh", content], check=True)
        for name, document in documents(project, here).items():
            (content / name).write_text(yaml.safe_dump(document))
        archive(content, target)
    return target


def main() -> int:
    """Pack the charm and print where it is."""
    parser = argparse.ArgumentParser(description="Pack the charm for this machine's base.")
    parser.add_argument("--directory", type=Path, default=ROOT / "dist", help="default: dist/")
    try:
        print(pack(parser.parse_args().directory))
    except subprocess.CalledProcessError:
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
