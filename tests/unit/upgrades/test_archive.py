from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path, PurePosixPath

import pytest
from application_archives import PROPER, Member, directory, file, link, packed, special, tar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.application import build_application
from supervisor.upgrades import archive
from supervisor.upgrades.archive import examine


def fault(content: bytes) -> str:
    return examine(io.BytesIO(content), len(content))


def test_the_stand_in_application_is_fine(tmp_path: Path) -> None:
    assert fault(build_application(tmp_path).path.read_bytes()) == ""


def test_what_gnu_tar_packs_is_fine(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "externals/node/bin").mkdir(parents=True)
    (tree / "bin").mkdir()
    for name in ("run.sh", "config.sh", "bin/Runner.Listener", "externals/node/npm.js"):
        (tree / name).write_text("text")
        (tree / name).chmod(0o755)
    (tree / "externals/node/bin/npm").symlink_to("../npm.js")
    os.link(tree / "run.sh", tree / "run-again.sh")
    (tree / ("long-" * 40)).write_bytes(b"x" * 70_000)
    for style in ("gnu", "pax"):
        path = tmp_path / f"{style}.tar.gz"
        subprocess.run(["tar", "-C", tree, f"--format={style}", "-czf", path, "."], check=True)
        assert fault(path.read_bytes()) == ""


@pytest.mark.parametrize("style", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_links_that_stay_inside_are_fine(style: int) -> None:
    members = [
        directory("./externals/node/bin"),
        file("externals/node/lib/npm.js"),
        link("externals/node/bin/npm", "../lib/npm.js"),
        link("externals/node/bin/here", "."),
        link("externals/node/top", "../.."),
        link("bin/again", "./run.sh", hard=True),
        link("bin/dangling", "not/there"),
    ]
    assert fault(packed(*members, style=style)) == ""


HOSTILE: dict[str, tuple[list[Member], str]] = {
    "root": ([directory("/")], "it holds what has no name"),
    "no name": ([file("")], "it holds what has no name"),
    "absolute": ([file("/etc/cron.d/x")], "'/etc/cron.d/x' is an absolute path"),
    "up": ([file("bin/../../x")], "'bin/../../x' leads out of it"),
    "up itself": ([directory("..")], "'..' leads out of it"),
    "up inside": ([file("bin/../x")], "leads out of it"),
    "link out": ([link("x", "../etc")], "'x' is a link that leads out of it, to '../etc'"),
    "link too far": ([link("bin/x", "../../y")], "leads out"),
    "absolute link": ([link("x", "/etc/passwd")], "leads out"),
    "link by way of a link": ([link("bin/a", ".."), link("bin/b", "a/../y")], "leads out"),
    "empty link": ([link("x", "")], "leads out"),
    "hard link out": ([link("x", "../etc/shadow", hard=True)], "leads out"),
    "absolute hard link": ([link("x", "/etc/shadow", hard=True)], "absolute"),
    "hard link to a link": ([link("x", "bin"), link("y", "x", hard=True)], "no file before it"),
    "hard link to what comes": ([link("x", "y", hard=True), file("y")], "no file before it"),
    "hard link to itself": ([link("x", "x", hard=True)], "no file before it"),
    "through a link": ([link("x", "bin"), file("x/y")], "'x/y' goes through what is no directory"),
    "directory through a link": ([link("x", "bin"), directory("x/y")], "goes through"),
    "link through a link": ([link("x", "bin"), link("x/y", "z")], "goes through"),
    "over a link": ([link("x", "bin"), file("x")], "it holds 'x' twice"),
    "link over a directory": ([link("bin", "x")], "twice"),
    "link over what is in it": ([file("d/x"), link("d", "bin")], "twice"),
    "directory over a link": ([link("x", "bin"), directory("x")], "twice"),
    "twice": ([file("./x"), file("x")], "twice"),
    "in the place of all": ([file(".")], "twice"),
    "through a file": ([file("x"), file("x/y")], "goes through"),
    "device": ([special("x", tarfile.CHRTYPE)], "'x' is a device"),
    "disk": ([special("x", tarfile.BLKTYPE)], "'x' is a device"),
    "fifo": ([special("x", tarfile.FIFOTYPE)], "'x' is a FIFO"),
    "unknown": ([special("x", b"Z")], "'x' is of an unknown kind"),
    "contiguous": ([special("x", tarfile.CONTTYPE)], "unknown kind"),
    "setuid": ([file("x", mode=0o4755)], "'x' is setuid or setgid"),
    "setgid directory": ([directory("x", mode=0o2755)], "setuid or setgid"),
    "long name": ([file("x/" * 512 + "y")], "too long a name"),
    "long part": ([file("x" * 256)], "too long a name"),
    "control characters": ([file("x\x1b[2J")], "can't be printed"),
    "no text": ([file("x\udcff")], "can't be printed"),
    "line feed in a link": ([link("x", "a\nb")], "can't be printed"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("style", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_could_do_harm_is_refused(name: str, style: int) -> None:
    members, words = HOSTILE[name]
    assert words in fault(packed(*members, style=style))


def test_a_directory_with_a_content_is_refused() -> None:
    member, _ = directory("x")
    member.size = 512
    header = member.tobuf(tarfile.GNU_FORMAT)
    hidden = header + bytes(512) + bytes(1024)
    assert "'x' is a directory with a content" in fault(gzip.compress(_members() + hidden))


def _members() -> bytes:
    """Write what must be there, without an end."""
    stripped = tar(PROPER).rstrip(b"\0")
    return stripped + bytes(-len(stripped) % 512)


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    hole = tmp_path / "x"
    with hole.open("wb") as made:
        made.truncate(1 << 20)
        made.seek(1 << 19)
        made.write(b"x")
    path = tmp_path / "archive.tar.gz"
    for style in ("gnu", "pax"):
        command = ["tar", "-C", tmp_path, "--sparse", f"--format={style}", "-czf", path, "x"]
        subprocess.run(command, check=True)
        assert "is a sparse file" in fault(path.read_bytes())


@pytest.mark.parametrize("lacking", ["run.sh", "config.sh", "bin/Runner.Listener"])
def test_it_must_hold_what_a_runner_is_started_by(lacking: str) -> None:
    others = [member for member in PROPER if member[0].name != f"./{lacking}"]
    assert fault(gzip.compress(tar(others))) == f"it lacks {lacking}: it is no runner application"
    instead = [*others, file(lacking, mode=0o644)]
    assert fault(gzip.compress(tar(instead))) == f"its {lacking} can't be executed"
    linked = [*others, link(lacking, "elsewhere")]
    assert "it lacks" in fault(gzip.compress(tar(linked)))


def test_every_truncation_is_found() -> None:
    content = packed(file("x", random.Random(1).randbytes(3000)))  # noqa: S311 - no secret
    assert fault(content) == ""
    for size in range(len(content)):
        assert fault(content[:size]), size


def test_every_tar_that_was_cut_before_it_was_packed_is_found() -> None:
    whole = tar(PROPER)
    for size in range(0, len(whole.rstrip(b"\0")) + 512, 256):
        assert fault(gzip.compress(whole[:size])), size


def test_every_changed_byte_is_found_or_does_no_harm() -> None:
    content, whole = packed(), tar(PROPER)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0x55
        # A few bits mean nothing: of gzip's own header, and of what fills the last byte.
        assert fault(bytes(changed)) or gzip.decompress(changed) == whole, place


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 2000, b"<html>", b"PK\3\4", gzip.compress(b"", mtime=0)]
)
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    assert "damaged, or cut off" in fault(content)


def test_an_archive_of_nothing_is_refused() -> None:
    assert fault(gzip.compress(tar([])))


def test_a_damaged_header_amid_the_others_is_no_end() -> None:
    whole = bytearray(tar(PROPER))
    whole[512 * 3 + 148] ^= 1  # its checksum
    assert "damaged" in fault(gzip.compress(bytes(whole)))


@pytest.mark.parametrize("after", [b"x", bytes(5000) + b"x", tar([file("/etc/x")])])
def test_what_follows_the_end_is_refused(after: bytes) -> None:
    assert "goes on after its end" in fault(gzip.compress(tar(PROPER) + after))
    assert "goes on after its end" in fault(packed() + gzip.compress(after))
    assert "damaged" in fault(packed() + b"what is no gzip")


def test_one_that_unpacks_to_far_too_much_is_refused() -> None:
    bomb = packed(file("zeros", bytes(70 * 2**20)))
    assert len(bomb) < 2**20
    assert "unpacks to more than 67,108,864 bytes" in fault(bomb)


def test_zeros_after_the_end_are_bounded_too() -> None:
    assert "unpacks to more than" in fault(packed() + gzip.compress(bytes(70 * 2**20), 1))


def test_a_large_header_is_not_read() -> None:
    member = tarfile.TarInfo("x")
    member.pax_headers = {"comment": "y" * (2 * 2**20)}
    assert "header that is too large" in fault(
        gzip.compress(tar([*PROPER, (member, b"")], tarfile.PAX_FORMAT))
    )


@pytest.mark.parametrize("size", [-1, -600, -(2**40)])
def test_a_size_that_is_none_is_refused(size: int) -> None:
    header = bytearray(file("x", b"")[0].tobuf(tarfile.GNU_FORMAT))
    header[124:136] = size.to_bytes(12, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    assert fault(gzip.compress(_members() + bytes(header) + bytes(1024)))


def test_a_map_of_holes_without_an_end_is_not_read() -> None:
    member, content = file("x", b"1000000000\n" + b"1\n" * 2**20)
    member.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "x",
        "GNU.sparse.realsize": "1",
    }
    said = fault(packed((member, content), style=tarfile.PAX_FORMAT))
    assert "header that is too large" in said


def test_a_chain_of_headers_without_an_end_is_refused() -> None:
    long = special("././@LongLink", tarfile.GNUTYPE_LONGNAME)[0]
    long.size = 2
    chain = (long.tobuf(tarfile.GNU_FORMAT) + b"x\0".ljust(512, b"\0")) * 2000
    assert "damaged" in fault(gzip.compress(chain + bytes(1024)))


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_MOST_MEMBERS", 100)
    few = [file(f"x{number}", b"") for number in range(90)]
    assert fault(packed(*few)) == ""
    assert "more than 100 files" in fault(packed(*few, *[file(f"y{n}", b"") for n in range(20)]))
    assert "more than 100 files" in fault(packed(*[directory("x")] * 110))
    # Directories that no member stands for count as well.
    deep = [file("/".join(f"{a}{b}" for b in range(50)), b"") for a in "xyz"]
    assert "more than 100 files" in fault(packed(*deep))


def test_a_disk_that_fails_is_not_taken_for_a_bad_archive() -> None:
    class Failing(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        examine(Failing(), 100)


# Properties

PARTS = st.sampled_from(["a", "b", "c", "..", ".", ""])
PATHS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)
MEMBERS = st.lists(
    st.one_of(
        st.builds(file, PATHS),
        st.builds(directory, PATHS),
        st.builds(link, PATHS, PATHS, hard=st.booleans()),
    ),
    max_size=6,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(MEMBERS)
def test_whatever_passes_writes_nothing_elsewhere(members: list[Member]) -> None:
    content = packed(*members)
    if fault(content):
        return
    # A model of a file system: which directory is meant by a path, links followed.
    links: dict[str, str] = {}
    for member, _ in members:
        place = _resolved("", str(PurePosixPath(member.name).parent), links)
        assert place is not None, member.name
        name = PurePosixPath(member.name).name
        if member.issym():
            links[f"{place}/{name}".strip("/")] = member.linkname
    for place, target in links.items():
        assert _resolved(place.rpartition("/")[0], target, links) is not None, (place, target)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MEMBERS, st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_gnu_tar_writes_nothing_elsewhere_of_what_passes(
    tmp_path_factory: pytest.TempPathFactory, members: list[Member], style: int
) -> None:
    content = packed(*members, style=style)
    if fault(content):
        return
    outside = tmp_path_factory.mktemp("outside")
    inside = outside / "home" / "runner"
    inside.mkdir(parents=True)
    # It fails at what it can't make, such as a file named `a/.`, and goes on.
    subprocess.run(
        ["tar", "-xzf", "-"], input=content, cwd=inside, check=False, stderr=subprocess.DEVNULL
    )
    assert (inside / "run.sh").is_file()
    assert [path.name for path in outside.iterdir()] == ["home"]
    assert [path.name for path in inside.parent.iterdir()] == ["runner"]
    for path in inside.rglob("*"):
        with suppress(OSError, RuntimeError):  # to nowhere, or in circles
            assert path.resolve(strict=True).is_relative_to(inside), path


def _resolved(start: str, path: str, links: dict[str, str], depth: int = 0) -> str | None:
    """Follow a path; None if it leads out of the archive. One in circles leads nowhere."""
    if path.startswith("/"):
        return None
    if depth > 40:
        return "nowhere"
    here = start
    for part in path.split("/"):
        if part in {"", "."}:
            continue
        if part == "..":
            if not here:
                return None
            here = here.rpartition("/")[0]
            continue
        there = f"{here}/{part}".strip("/")
        if there in links:
            found = _resolved(here, links[there], links, depth + 1)
            if found is None:
                return None
            here = found
        else:
            here = there
    return here


@given(
    st.lists(
        st.lists(st.sampled_from("abcdé 中"), min_size=1, max_size=4).map("/".join),
        unique=True,
        max_size=8,
    )
)
def test_ordinary_files_pass(names: list[str]) -> None:
    members = [file(f"lib/{name}/{number}.js", b"x") for number, name in enumerate(names)]
    assert fault(packed(*members)) == ""
    assert fault(packed(*members, style=tarfile.PAX_FORMAT)) == ""


@given(st.binary(max_size=2000), st.booleans())
def test_no_bytes_make_it_fail(content: bytes, is_packed: bool) -> None:
    assert fault(gzip.compress(content) if is_packed else content)


@settings(max_examples=300)
@given(st.data())
def test_no_changed_header_makes_it_fail(data: st.DataObject) -> None:
    whole = bytearray(tar([*PROPER, link("bin/x", "y")], tarfile.PAX_FORMAT))
    for _ in range(data.draw(st.integers(1, 4))):
        block = data.draw(st.integers(0, 5)) * 512
        place = block + data.draw(st.integers(0, 511))
        whole[place] = data.draw(st.integers(0, 255))
        # As an attacker would: with a checksum that is right.
        header = whole[block : block + 512]
        header[148:156] = b" " * 8
        whole[block + 148 : block + 156] = b"%06o\0 " % sum(header)
    assert isinstance(fault(gzip.compress(bytes(whole))), str)
