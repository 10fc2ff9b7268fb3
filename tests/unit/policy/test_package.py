"""Where a policy package comes from, and what pip says of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.policy.package import (
    GUNICORN,
    Login,
    Release,
    check_index,
    check_requirement,
    has_credentials,
    release_of,
    source,
)

PASSWORD = "p:ss/w@rd".replace("/", "%2F").replace("@", "%40").replace(":", "%3A")


@pytest.mark.parametrize(
    "text",
    [
        "repo-policy-compliance",
        "repo-policy-compliance==1.11.0",
        "demo[extra] >= 1.0, < 2",
        "https://files.example/demo-1.0-py3-none-any.whl",
        "demo @ https://files.example/demo-1.0.tar.gz",
        "git+https://github.com/canonical/repo-policy-compliance@main",
        "git+https://me:word@git.example/demo.git@v1#egg=demo",
        "git+ssh://git@git.example:2222/demo.git",
        "git+file:///srv/demo",
        "file:///srv/demo-1.0-py3-none-any.whl",
    ],
)
def test_what_pip_takes_is_taken(text: str) -> None:
    assert check_requirement(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-e .",
        "-r other.txt",
        "--index-url=https://evil.example demo",
        "demo --pre",
        "demo\n-r other.txt",
        "demo; python_version > '3'",
        "http://files.example/demo.whl",
        "svn+https://svn.example/demo",
        "https://files.example/demo .whl",
        "https://token@files.example/demo.whl",
        "https://me:two%20words@files.example/demo.whl",
        "https://me:quo%22te@files.example/demo.whl",
        "evil --pre @ https://files.example/demo.whl",
    ],
)
def test_what_would_be_options_or_plain_http_or_no_login_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        check_requirement(text)
    assert "files.example" not in str(caught.value)


@given(st.text(max_size=60))
def test_no_requirement_adds_a_line_or_an_option(text: str) -> None:
    try:
        checked = check_requirement(text)
    except ValueError:
        return
    lines = source(checked).requirements().split("\n")
    assert lines == [source(checked).requirement, ""]
    assert not lines[0].startswith("-")


def test_an_index_is_asked_by_https_unless_it_is_this_host() -> None:
    assert check_index("https://pypi.example/simple")
    assert check_index("http://127.0.0.1:8000/simple")
    for text in ("http://pypi.example/simple", "ftp://pypi.example", "pypi.example", "https://"):
        with pytest.raises(ValueError, match="must be an https address"):
            check_index(text)


def test_credentials_stand_in_no_address_but_in_a_file_of_their_own() -> None:
    made = source(
        f"demo @ git+https://me:{PASSWORD}@git.example/demo.git",
        "https://you:other@pypi.example:8443/simple",
        "/srv/the wheels",
    )
    assert made.requirements(GUNICORN).splitlines() == [
        "--index-url https://pypi.example:8443/simple",
        "--find-links '/srv/the wheels'",
        "demo @ git+https://git.example/demo.git",
        GUNICORN,
    ]
    assert made.logins == (
        Login("git.example", "me", "p:ss/w@rd"),
        Login("pypi.example", "you", "other"),
    )
    assert made.netrc() == (
        "machine git.example login me password p:ss/w@rd\n"
        "machine pypi.example login you password other\n"
    )
    assert made.secrets() == ("p:ss/w@rd", "other")
    assert "other" not in repr(made)


def test_only_wheels_of_a_directory_means_no_index() -> None:
    assert source("demo", links="/srv/wheels").requirements().startswith("--no-index\n")
    assert source("demo", links="/srv/wheels").is_elsewhere
    assert not source("demo").is_elsewhere


def test_what_holds_a_password_is_known() -> None:
    assert has_credentials("demo @ git+https://me:word@git.example/x")
    assert not has_credentials("git+ssh://git@git.example/x")
    assert not has_credentials("git+https://git.example/x@v1:2")


def report(*items: dict[str, Any]) -> str:
    return json.dumps({"install": items})


def item(name: str, version: str = "1.0", **more: Any) -> dict[str, Any]:
    whole = {"requested": True, "is_direct": False, "download_info": {"url": "https://x"}, **more}
    return {"metadata": {"name": name, "version": version}, **whole}


def test_pips_report_tells_the_release() -> None:
    archive = {"archive_info": {"hashes": {"sha256": "abc"}}}
    assert release_of(report(item("demo"))) == Release("demo", "1.0")
    gunicorn, part = item("gunicorn", "25.1"), item("part", "2", requested=False)
    made_of = ("gunicorn 25.1", "part 2")
    assert release_of(report(part, item("demo"), gunicorn)) == Release("demo", "1.0", "", made_of)
    commit = item("demo", is_direct=True, download_info={"vcs_info": {"commit_id": "c" * 40}})
    assert release_of(report(commit)) == Release("demo", "1.0", "c" * 40)
    assert str(release_of(report(commit))) == f"demo 1.0 ({'c' * 12})"
    of_a_commit = item("part", requested=False, is_direct=True)
    of_a_commit["download_info"] = {"vcs_info": {"commit_id": "c" * 40}}
    assert release_of(report(item("demo"), of_a_commit)).parts == (f"part 1.0 ({'c' * 40})",)
    hashed = {"archive_info": {"hash": "sha256=abc"}}
    assert release_of(report(item("demo", is_direct=True, download_info=hashed))).origin == "abc"
    # Of an index, a file's hash does not tell it from another version.
    assert release_of(report(item("demo", download_info=archive))) == Release("demo", "1.0")


@pytest.mark.parametrize("text", ["[]", "{}", "no JSON", report(), report(item("a"), item("b"))])
def test_a_report_that_tells_of_no_one_package_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        release_of(text)


def test_a_release_whose_parts_alone_are_others_is_told_by_them() -> None:
    one = Release("demo", "1.0", parts=("gunicorn 25", "old 1", "part 1"))
    assert one.told_from(None) == "demo 1.0"
    assert one.told_from(Release("demo", "0.9", parts=("part 2",))) == "demo 1.0"
    assert Release("demo", "1.0", parts=("gunicorn 25", "new 1", "old 1", "part 2")).told_from(
        one
    ) == ("demo 1.0 with new 1, part 2")
    assert Release("demo", "1.0", parts=("gunicorn 25", "part 1")).told_from(one) == (
        "demo 1.0 without old"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://files.example/demo.whl?token=SECRET", "no query"),
        ("git+https://files.example/demo?private_token=SECRET", "no query"),
        ("demo @ https://files.example/demo.whl#egg=demo?x", "no query"),
        ("https://files.example/demo.whl#token=SECRET", "only egg, sha256 and subdirectory"),
        ("https://files.example/demo.whl#SECRET", "only egg, sha256 and subdirectory"),
        ("https://me:SECRET/word@files.example/demo.whl", "no / in a password"),
    ],
)
def test_what_would_be_shown_of_an_address_holds_no_secret(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        check_requirement(text)
    assert said in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_an_index_has_no_query() -> None:
    for text in ("https://pypi.example/simple?token=x", "https://pypi.example/simple#token"):
        with pytest.raises(ValueError, match="no query"):
            check_index(text)


def test_what_pip_reads_of_a_fragment_is_taken() -> None:
    text = "git+https://git.example/demo@v1#egg=demo&subdirectory=service"
    assert check_requirement(text) == text
    assert check_requirement("https://h.example/demo.whl#sha256=00ff")
    assert check_requirement("https://[2001:db8::1]:8443/demo.whl")
