"""A service whose disk takes or gives nothing: it is not well, and says why."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from policy_stand import GitHub, Service, running, settings_for
from waiting import eventually


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk that a few files fill."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    subprocess.run(mount, check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def health(service: Service) -> tuple[int, str]:
    answer = service.call("GET", "/health", None)
    return answer.status_code, answer.text


def test_a_full_disk_is_a_no_and_makes_the_service_ill_until_there_is_room(
    github: GitHub, small_disk: Path, tmp_path: Path
) -> None:
    settings = settings_for(github.url, small_disk)
    with running(settings, tmp_path, "--workers", "1") as service:
        assert service.check().status_code == 204
        assert health(service) == (204, "")
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(b"x" * (256 << 10))
        eventually(lambda: health(service)[0] == 500)
        log = small_disk / "decisions.jsonl"
        assert health(service)[1] == f"the decision can't be logged: {log}: No space left on device"
        with (small_disk / "decisions.jsonl").open("ab", buffering=0) as log:
            log.write(b"\n" * 8192)  # it takes but the rest of the log's last page
        assert service.check().status_code == 500
        filler.unlink()
        eventually(lambda: health(service)[0] == 204)
        assert service.check().status_code == 204


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "can't be read: No such file"), ("{", "can't be used"), ('{"x": 1}', "can't be used")],
)
def test_a_policy_document_that_is_spoilt_makes_the_service_ill(
    github: GitHub, tmp_path: Path, text: str | None, reason: str
) -> None:
    with running(settings_for(github.url, tmp_path), tmp_path, "--workers", "1") as service:
        policy = tmp_path / "state" / "policy.json"
        policy.unlink()
        if text is not None:
            policy.write_text(text)
        assert health(service)[0] == 500
        assert reason in health(service)[1]
        policy.write_text("null")
        eventually(lambda: health(service)[0] == 204)
