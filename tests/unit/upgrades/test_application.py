import pytest

from supervisor.upgrades.application import Application


@pytest.mark.parametrize(
    ("filename", "version"),
    [
        ("actions-runner-linux-x64-2.330.0.tar.gz", "2.330.0"),
        ("actions-runner-linux-arm64-3.0.tar.gz", "3.0"),
        ("actions-runner-linux-x64.tar.gz", ""),
    ],
)
def test_its_version_is_what_its_files_name_tells(filename: str, version: str) -> None:
    assert Application("https://github.example/it", "1" * 64, filename).version == version
