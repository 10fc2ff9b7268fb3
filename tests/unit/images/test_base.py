import pytest

from supervisor.images.base import BaseImage

UBUNTU = "https://cloud-images.ubuntu.com"


@pytest.mark.parametrize(
    ("text", "server", "alias"),
    [
        ("noble", f"{UBUNTU}/releases", "noble"),
        ("24.04", f"{UBUNTU}/releases", "noble"),
        ("jammy", f"{UBUNTU}/releases", "jammy"),
        ("22.04", f"{UBUNTU}/releases", "jammy"),
        ("ubuntu:26.04", f"{UBUNTU}/releases", "26.04"),
        ("ubuntu-minimal:noble", f"{UBUNTU}/minimal/releases", "noble"),
        ("ubuntu-daily:noble", f"{UBUNTU}/daily", "noble"),
        ("images:debian/12/cloud", "https://images.lxd.canonical.com", "debian/12/cloud"),
        ("https://mirror.example.com/lxd:noble", "https://mirror.example.com/lxd", "noble"),
        ("https://mirror.example.com/:noble", "https://mirror.example.com", "noble"),
        ("https://mirror.example.com:8443:22", "https://mirror.example.com:8443", "22"),
        ("https://mirror.example.com/lxd:22", "https://mirror.example.com/lxd", "22"),
        ("https://[2001:db8::1]/lxd:a/b", "https://[2001:db8::1]/lxd", "a/b"),
        ("http://127.0.0.1:8000:tiny", "http://127.0.0.1:8000", "tiny"),
        ("http://[::1]/x:tiny", "http://[::1]/x", "tiny"),
        ("http://localhost/x:tiny", "http://localhost/x", "tiny"),
    ],
)
def test_an_image_of_a_server_is_found_there(text: str, server: str, alias: str) -> None:
    assert BaseImage.parse(text) == BaseImage("remote", alias, server, "simplestreams")


@pytest.mark.parametrize("text", ["my-image", "debian/12", "focal", "a+b_c.d"])
def test_a_name_without_a_colon_is_one_of_lxds_own(text: str) -> None:
    assert BaseImage.parse(text) == BaseImage("alias", text)
    assert str(BaseImage.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "two words",
        "a\nb",
        "debian:12",
        "ubuntu:",
        ":noble",
        "ubuntu:no ble",
        "ubuntu:../x",
        "https://mirror.example.com",
        "https://mirror.example.com/lxd",
        "https://mirror.example.com:8443",
        "https://user:word@mirror.example.com/lxd:noble",
        "https://mirror.example.com/lxd?x=1:noble",
        "https://:noble",
        "https://[::/x:noble",
        "https://mirror.example.com:0/x:noble",
        "ftp://mirror.example.com/lxd:noble",
    ],
)
def test_what_names_no_image_is_refused_in_one_line_that_says_what_would(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be jammy, noble, [^\n]*$"):
        BaseImage.parse(text)


@pytest.mark.parametrize("host", ["mirror.example.com", "10.0.0.1", "[2001:db8::1]"])
def test_a_server_that_others_could_pose_as_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="must begin with https"):
        BaseImage.parse(f"http://{host}/lxd:noble")


def test_what_a_server_has_is_named_with_the_server() -> None:
    assert str(BaseImage.parse("noble")) == f"{UBUNTU}/releases:noble"
