"""How a configuration says who checks jobs."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from supervisor.config import ConfigError, load, parse
from tests.unit.config.examples import EXTERNAL, MINIMUM, PACKAGE, SECRET, refusal, written


def test_jobs_are_checked_by_the_service_of_the_daemon_unless_it_is_said_otherwise() -> None:
    policy = parse(MINIMUM, "x").policy
    assert (policy.mode, policy.port, policy.workers, policy.document) == ("builtin", 8643, 2, None)


def test_the_word_off_means_off_although_yaml_takes_it_for_false(tmp_path: Path) -> None:
    text = "name: fleet\npath: acme\ntoken: t\npolicy: {mode: off}\n"
    assert load(written(tmp_path / "c.yaml", text)).policy.mode == "off"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mode": "on"}, "policy.mode: "),
        ({"mode": "package"}, "policy: mode package needs package; for example"),
        ({"package": "x"}, "policy: package: only for mode package; leave out, or set `mode: pac"),
        ({**EXTERNAL, "package-app": "a:b"}, "policy: package-app: only for mode package; leave"),
        ({**PACKAGE, "package": "-e ."}, "policy.package: must be a package's name, an address"),
        ({**PACKAGE, "package": "http://a.example/x.whl"}, "policy.package: an address must begin"),
        ({**PACKAGE, "package": f"https://{SECRET}@a.example/x"}, "policy.package: credentials in"),
        (
            {**PACKAGE, "package": f"https://a.example/x?{SECRET}"},
            "policy.package: an address must",
        ),
        (
            {**PACKAGE, "package-index": f"https://a.example/x?{SECRET}"},
            "policy.package-index: an address must have no query",
        ),
        (
            {**PACKAGE, "package-index": "http://a.example"},
            "policy.package-index: must be an https",
        ),
        ({**PACKAGE, "package-links": "wheels"}, "policy.package-links: must be the absolute path"),
        ({**PACKAGE, "package-app": "module"}, "policy.package-app: must be MODULE:NAME"),
        ({"mode": True}, "policy.mode: "),
        ({"port": 0}, "policy.port: "),
        ({"port": 8642}, "policy.port: 8642 is signals.port too"),
        ({"workers": 0}, "policy.workers: "),
        ({"workers": 33}, "policy.workers: "),
        ({"document": "relative.yaml"}, "policy.document: must be the absolute path of a file"),
        ({"document": 7}, "policy.document: the document: must be a mapping with any of pull_req"),
        ({"document": {"push": {"x": {}}}}, "policy.document: push: has no 'x'; there are collab"),
        ({"user": "no body"}, "policy.user: must be the name of a user of this host"),
        ({"token-lifetime": "1h"}, "policy.token-lifetime: must be longer than limits.idle"),
        ({"mode": "external"}, "policy: mode external needs url, and one of token and token-file"),
        ({**EXTERNAL, "token-file": "/t"}, "policy: mode external needs url, and one of token"),
        ({**EXTERNAL, "token": None}, "policy: mode external needs url, and one of token"),
        ({**EXTERNAL, "url": "ftp://policy.example"}, "policy.url: must be an http or https addr"),
        ({**EXTERNAL, "url": "https://me:pass@policy.example"}, "policy.url: must be an http"),
        ({**EXTERNAL, "url": "http://policy.example"}, "policy.url: must begin with https"),
        ({"user": "root"}, "policy.user: must be the name of a user of this host that is not root"),
        ({**EXTERNAL, "document": {}}, "policy: document: only for mode builtin or package;"),
        ({**EXTERNAL, "user": "nobody"}, "policy: user: only for mode builtin or package; leave"),
        ({"url": "https://policy.example"}, "policy: url: only for mode external; leave out, or"),
        ({"mode": "off", "token": SECRET}, "policy: token: only for mode external; leave out, or"),
    ],
)
def test_wrong_settings_of_the_policy_are_said_with_what_would_be_right(
    given: dict[str, Any], said: str
) -> None:
    line = refusal(policy=given)
    assert line.startswith(f"config.yaml: {said}")
    assert "\n" not in line
    assert SECRET not in line


def test_a_token_outlives_the_longest_wait_for_a_job() -> None:
    assert parse(MINIMUM, "x").token_lifetime == timedelta(days=2)
    longer = {**MINIMUM, "limits": {"idle": "7d"}}
    assert parse(longer, "x").token_lifetime == timedelta(days=14)
    given = {**longer, "policy": {"token-lifetime": "8d"}}
    assert parse(given, "x").token_lifetime == timedelta(days=8)


@pytest.mark.parametrize("word", ["off", "no", "false", "'off'"])
def test_a_policy_that_is_a_bare_word_is_refused_with_how_it_is_spelt(
    tmp_path: Path, word: str
) -> None:
    path = written(tmp_path / "c.yaml", f"name: fleet\npath: acme\ntoken: t\npolicy: {word}\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: policy: must hold keys and values; for example `policy: {{mode: off}}`"
    )
