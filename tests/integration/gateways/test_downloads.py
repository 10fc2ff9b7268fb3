"""Downloads, against servers that do what servers and networks do."""

from __future__ import annotations

import random
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ports import free_port
from raw_server import Asked, RawServer, raw_server
from real_proxy import LOGIN, NAME, PASSWORD, Tinyproxy, TlsFront, of_no_use

from supervisor.gateways.downloads import DownloadFailed, DownloadRefused, Limits, download
from supervisor.upgrades.progress import Progress
from supervisor.web.proxies import Proxies, parse_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = random.Random(7).randbytes(300_000)  # noqa: S311 - no secret
SHA = "a" * 64
TAG = '"v1"'
NOTHING = Proxies()
QUICK = Limits(most_bytes=10**6, total_s=10, stall_s=5, spare_bytes=0)


def fetch(
    server: RawServer | str, directory: Path, limits: Limits = QUICK, proxies: Proxies = NOTHING
) -> bytes:
    url = server if isinstance(server, str) else server.url()
    target = directory / "archive"
    progress = Progress()
    try:
        download(url, target, sha256=SHA, proxies=proxies, progress=progress, limits=limits)
    finally:
        assert progress.in_words() == ""
    assert not list(directory.glob("archive.*"))
    return target.read_bytes()


def fails(
    server: RawServer | str, directory: Path, limits: Limits = QUICK, proxies: Proxies = NOTHING
) -> str:
    with pytest.raises(DownloadFailed) as caught:
        fetch(server, directory, limits, proxies)
    assert not (directory / "archive").exists()
    return str(caught.value)


def part(directory: Path) -> int:
    """Say how many bytes are there for the next try."""
    path = directory / "archive.partial"
    return path.stat().st_size if path.exists() else 0


def serve_ranges(asked: Asked, *, tag: str = TAG, content: bytes = CONTENT) -> None:
    if asked.start and asked.headers.get("if-range") == tag:
        told = f"bytes {asked.start}-{len(content) - 1}/{len(content)}"
        asked.answer(206, content[asked.start :], ETag=tag, Content_Range=told)
    else:
        asked.answer(200, content, ETag=tag)


def cut(asked: Asked, at: int = 100_000, **headers: str) -> None:
    """Announce all, and hang up early."""
    headers = {"ETag": TAG, "Content_Length": str(len(CONTENT)), **headers}
    asked.answer(200, CONTENT[:at], **headers)


def begun(directory: Path, **headers: str) -> int:
    """Have a download break off; say how much is there."""
    with raw_server(lambda asked: cut(asked, **headers)) as server:
        begun_at = server.port
        assert "the connection was cut" in fails(server, directory)
    # The next one must come from the same address.
    record = directory / "archive.partial.json"
    if record.exists():
        record.write_text(record.read_text().replace(str(begun_at), "PORT"))
    return part(directory)


def resume_at(server: RawServer, directory: Path) -> None:
    record = directory / "archive.partial.json"
    record.write_text(record.read_text().replace("PORT", str(server.port)))


# What arrives


def test_a_file_arrives_whole_and_for_this_user_alone(tmp_path: Path) -> None:
    with raw_server(serve_ranges) as server:
        assert fetch(server, tmp_path) == CONTENT
    assert stat.S_IMODE((tmp_path / "archive").stat().st_mode) == 0o600
    (asked,) = server.asked
    assert asked.headers["accept-encoding"] == "identity"
    assert "range" not in asked.headers


@pytest.mark.parametrize("length", ["", "chunked"])
def test_a_length_need_not_be_told(tmp_path: Path, length: str) -> None:
    def say(asked: Asked) -> None:
        if length:
            asked.answer(200, Content_Length="", Transfer_Encoding="chunked")
            asked.say(b"%x\r\n%b\r\n0\r\n\r\n" % (len(CONTENT), CONTENT))
        else:
            asked.answer(200, CONTENT, Content_Length="")

    with raw_server(say) as server:
        assert fetch(server, tmp_path) == CONTENT


def test_what_a_server_calls_an_encoding_changes_no_byte(tmp_path: Path) -> None:
    with raw_server(lambda asked: asked.answer(200, CONTENT, Content_Encoding="gzip")) as server:
        assert fetch(server, tmp_path) == CONTENT


def test_no_login_is_sent_and_none_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login made-up password made-up\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with raw_server(lambda asked: asked.answer(404)) as server:
        said = fails(server.url("/x?token=secret", "user:secret@"), tmp_path)
    assert said == f"can't download http://127.0.0.1:{server.port}/x: it answers 404"
    assert "authorization" not in server.asked[0].headers


# Going on


def test_a_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    there = begun(tmp_path)
    assert there == 100_000
    with raw_server(serve_ranges) as server:
        resume_at(server, tmp_path)
        assert fetch(server, tmp_path) == CONTENT
    assert server.asked[0].headers["range"] == "bytes=100000-"


def test_a_date_is_as_good_as_a_tag(tmp_path: Path) -> None:
    date = "Sat, 28 Nov 2026 10:00:00 GMT"
    assert begun(tmp_path, ETag='W/"weak"', Last_Modified=date)
    with raw_server(lambda asked: serve_ranges(asked, tag=date)) as server:
        resume_at(server, tmp_path)
        # The stand-in says the date as its tag: what is compared is If-Range.
        fetch(server, tmp_path)
    assert server.asked[0].headers["if-range"] == date


def test_without_a_tag_it_begins_anew(tmp_path: Path) -> None:
    begun(tmp_path, ETag="")
    with raw_server(serve_ranges) as server:
        resume_at(server, tmp_path)
        assert fetch(server, tmp_path) == CONTENT
    assert "range" not in server.asked[0].headers


@pytest.mark.parametrize("kind", ["ignores ranges", "another version", "no such part", "nonsense"])
def test_where_it_can_not_go_on_it_begins_anew(tmp_path: Path, kind: str) -> None:
    def say(asked: Asked) -> None:
        if kind in {"ignores ranges", "another version"} or "range" not in asked.headers:
            serve_ranges(asked, tag='"v2"')
        elif kind == "no such part":
            asked.answer(416, Content_Range=f"bytes */{len(CONTENT)}")
        else:
            asked.answer(206, CONTENT[5:], ETag=TAG, Content_Range="bytes 5-9/10")

    begun(tmp_path)
    with raw_server(say) as server:
        resume_at(server, tmp_path)
        assert fetch(server, tmp_path) == CONTENT


def test_a_part_of_another_file_is_not_gone_on_with(tmp_path: Path) -> None:
    begun(tmp_path)  # at another port, which stays in the record
    with raw_server(serve_ranges) as server:
        assert fetch(server, tmp_path) == CONTENT
    assert "range" not in server.asked[0].headers


@pytest.mark.parametrize(
    "record", [None, "", "{}", "[1]", '{"url": 1, "surplus": 2}', "[" * 99_999]
)
def test_a_part_that_nothing_is_known_of_is_not_gone_on_with(
    tmp_path: Path, record: str | None
) -> None:
    begun(tmp_path)
    path = tmp_path / "archive.partial.json"
    path.unlink() if record is None else path.write_text(record)
    with raw_server(serve_ranges) as server:
        assert fetch(server, tmp_path) == CONTENT


def test_one_that_was_whole_already_is_not_asked_for(tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / "archive.partial").write_bytes(CONTENT)
    with raw_server(serve_ranges) as server:
        resume_at(server, tmp_path)
        assert fetch(server, tmp_path) == CONTENT
    assert server.asked == []


def test_a_part_that_is_longer_than_the_whole_is_not_gone_on_with(tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / "archive.partial").write_bytes(CONTENT + b"x")
    with raw_server(serve_ranges) as server:
        resume_at(server, tmp_path)
        assert fetch(server, tmp_path) == CONTENT


def test_an_error_in_between_keeps_what_is_there(tmp_path: Path) -> None:
    there = begun(tmp_path)

    def say(asked: Asked) -> None:
        if len(server.asked) <= 2:
            asked.answer(503)
        else:
            serve_ranges(asked)

    with raw_server(say) as server:
        resume_at(server, tmp_path)
        assert "it answers 503" in fails(server, tmp_path)
        assert part(tmp_path) == there
        assert "it answers 503" in fails(server, tmp_path)
        assert fetch(server, tmp_path) == CONTENT
    assert [asked.start for asked in server.asked] == [there] * 3


# Limits


def test_one_that_is_too_large_is_refused_before_its_first_byte(tmp_path: Path) -> None:
    limits = Limits(most_bytes=200_000, spare_bytes=0)
    refused = pytest.raises(DownloadRefused, match="has 293 KiB, more than 195 KiB")
    with raw_server(serve_ranges) as server, refused:
        fetch(server, tmp_path, limits)
    assert part(tmp_path) == 0


def test_one_that_turns_out_too_large_is_dropped(tmp_path: Path) -> None:
    limits = Limits(most_bytes=200_000, spare_bytes=0)
    refused = pytest.raises(DownloadRefused, match="is longer than 195 KiB")
    unmeasured = raw_server(lambda asked: asked.answer(200, CONTENT, Content_Length=""))
    with unmeasured as server, refused:
        fetch(server, tmp_path, limits)
    assert part(tmp_path) == 0


def test_more_than_was_announced_is_not_read(tmp_path: Path) -> None:
    with raw_server(lambda asked: asked.answer(200, CONTENT, Content_Length="1000")) as server:
        assert fetch(server, tmp_path) == CONTENT[:1000]


def test_one_that_stalls_is_given_up_and_kept(tmp_path: Path) -> None:
    def say(asked: Asked) -> None:
        cut(asked)
        asked.pause(10)

    limits = Limits(stall_s=0.3, spare_bytes=0)
    with raw_server(say) as server:
        assert "nothing came for 0.3 s" in fails(server, tmp_path, limits)
    assert part(tmp_path) == 100_000


def test_one_that_trickles_is_given_up_and_kept(tmp_path: Path) -> None:
    def say(asked: Asked) -> None:
        cut(asked, 1000)
        while asked.pause(0.05):
            asked.say(b"x")

    limits = Limits(total_s=0.5, stall_s=5, spare_bytes=0)
    with raw_server(say) as server:
        assert "has not arrived within 0.5 s" in fails(server, tmp_path, limits)
    assert part(tmp_path) > 1000


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    with raw_server(lambda asked: asked.pause(10) and None) as server:
        assert "no answer" in fails(server, tmp_path, Limits(stall_s=0.3))


# Servers that are none


@pytest.mark.parametrize("status", [204, 206, 401, 403, 404, 410, 429, 500, 502])
def test_another_answer_is_no_file(tmp_path: Path, status: int) -> None:
    body = b"" if status == 204 else b"<html>"
    with raw_server(lambda asked: asked.answer(status, body)) as server:
        assert fails(server, tmp_path).endswith(f"/runner.tar.gz: it answers {status}")


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_what_is_no_web_server_is_said_so(tmp_path: Path, said: bytes) -> None:
    with raw_server(lambda asked: asked.say(said)) as server:
        assert fails(server, tmp_path).startswith(f"can't download {server.url()}")


def test_nobody_there_is_said_so(tmp_path: Path) -> None:
    assert "Connection refused" in fails(f"http://127.0.0.1:{free_port()}/x", tmp_path)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "", "http://", "http://[x"]
)
def test_only_the_web_is_asked(tmp_path: Path, url: str) -> None:
    assert "only http and https are asked" in fails(url, tmp_path)


# Redirections


def test_redirections_are_followed(tmp_path: Path) -> None:
    def say(asked: Asked) -> None:
        number = int(asked.path[1:] or 0)
        if number < 5:
            asked.answer(302, Location=f"/{number + 1}?signed=secret")
        else:
            asked.answer(200, CONTENT)

    def stepped(asked: Asked) -> None:
        asked.path = asked.path.partition("?")[0]
        say(asked)

    with raw_server(stepped) as server:
        assert fetch(server.url("/"), tmp_path) == CONTENT
    assert len(server.asked) == 6


def test_redirections_in_circles_are_given_up(tmp_path: Path) -> None:
    with raw_server(lambda asked: asked.answer(301, Location=asked.path)) as server:
        assert fails(server, tmp_path).endswith("more than 5 redirections")
    assert len(server.asked) == 6


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "//[x"])
def test_no_redirection_leads_off_the_web(tmp_path: Path, where: str) -> None:
    with raw_server(lambda asked: asked.answer(302, Location=where)) as server:
        said = fails(server, tmp_path)
    assert "only http and https are" in said or "no address" in said


def test_what_comes_with_a_redirection_is_not_read(tmp_path: Path) -> None:
    def say(asked: Asked) -> None:
        if asked.path == "/there":
            asked.answer(200, CONTENT)
            return
        asked.answer(302, Location="/there", Content_Length="")
        while asked.pause(0):
            asked.say(bytes(1 << 20))

    with raw_server(say) as server:
        assert fetch(server, tmp_path) == CONTENT


def test_a_redirection_to_nowhere_is_said_so(tmp_path: Path) -> None:
    with raw_server(lambda asked: asked.answer(302)) as server:
        assert "redirects to nowhere (302)" in fails(server, tmp_path)


# Proxies


def test_it_comes_through_the_proxy_that_is_configured(tmp_path: Path) -> None:
    with raw_server(serve_ranges) as server, Tinyproxy(tmp_path, login=True) as proxy:
        proxies = Proxies(http=parse_proxy(proxy.url(LOGIN)))
        url = f"http://{NAME}:{server.port}/runner.tar.gz"
        assert fetch(url, tmp_path, proxies=proxies) == CONTENT
        assert proxy.asked() == [f"GET {url}"]
    assert "proxy-authorization" not in server.asked[0].headers


def test_tls_comes_through_a_proxy_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        raw_server(serve_ranges) as server,
        TlsFront(tmp_path, server.port) as front,
        Tinyproxy(tmp_path, login=True) as proxy,
    ):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(front.ca_file))
        proxies = Proxies(https=parse_proxy(proxy.url(LOGIN)))
        assert fetch(f"{front.url}/x", tmp_path, proxies=proxies) == CONTENT
        (tmp_path / "archive").unlink()
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        said = fails(f"{front.url}/y", tmp_path, proxies=proxies)
    assert "certificate is not trusted" in said


def test_a_redirection_has_the_proxy_of_its_own_address(tmp_path: Path) -> None:
    with raw_server(serve_ranges) as cdn, Tinyproxy(tmp_path) as proxy:
        away = f"http://{NAME}:{cdn.port}/runner.tar.gz"
        proxies = Proxies(http=parse_proxy(proxy.url()))
        with raw_server(lambda asked: asked.answer(302, Location=away)) as here:
            assert fetch(here, tmp_path, proxies=proxies) == CONTENT
        assert proxy.asked() == [f"GET {away}"]


def test_proxies_in_the_environment_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with raw_server(serve_ranges) as server:
        assert fetch(server, tmp_path) == CONTENT


@pytest.mark.parametrize(
    ("kind", "scheme", "advice"),
    [
        ("refuses", "http", "is it up, and http-proxy right?"),
        ("refuses", "https", "is it up, and https-proxy right?"),
        ("wants a login", "http", "put USER:PASSWORD@ before the host in http-proxy"),
        ("wants another login", "https", "are user and password in https-proxy right?"),
        ("forbids", "https", f"it forbids {NAME}:9 (403): have it allowed there"),
        ("gets nowhere", "http", "it answers 500"),
        ("502", "https", f"it can't reach {NAME}:9 (502): its own log says why"),
    ],
)
def test_a_proxy_that_fails_is_named_without_its_password(
    tmp_path: Path, kind: str, scheme: str, advice: str
) -> None:
    with of_no_use(kind, tmp_path) as url:
        proxy = parse_proxy(url)
        proxies = Proxies(**{scheme: proxy})
        said = fails(f"{scheme}://{NAME}:9/x", tmp_path, proxies=proxies)
    assert f"through the proxy {proxy}" in said
    assert advice in said
    assert PASSWORD not in said


# The disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    options = "size=128k,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_room_is_looked_for_before_the_first_byte(small_disk: Path) -> None:
    with raw_server(serve_ranges) as server:
        said = fails(server, small_disk)
    assert said == (
        f"no room in {small_disk} for the rest of the download: 293 KiB are needed, "
        "124 KiB are free"
    )
    assert part(small_disk) == 0


def test_a_disk_that_fills_up_is_said_so_and_given_back(small_disk: Path) -> None:
    with raw_server(lambda asked: asked.answer(200, CONTENT, Content_Length="")) as server:
        assert "the disk is full" in fails(server, small_disk)
    assert part(small_disk) == 0


def test_a_directory_that_is_gone_is_said_so(tmp_path: Path) -> None:
    with raw_server(serve_ranges) as server:
        (tmp_path / "file").touch()
        said = fails(server, tmp_path / "file" / "x")
    assert said == f"can't write in {tmp_path}/file/x: Not a directory"


def test_no_link_is_written_through(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("mine")
    begun(tmp_path)
    (tmp_path / "archive.partial").unlink()
    (tmp_path / "archive.partial").symlink_to(other)
    with raw_server(serve_ranges) as server:
        resume_at(server, tmp_path)
        said = fails(server, tmp_path)
    assert "can't write" in said
    assert other.read_text() == "mine"
