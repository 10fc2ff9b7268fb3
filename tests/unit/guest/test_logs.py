from __future__ import annotations

import base64
import json
import time
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.guest import GuestParameters, secrets_in, user_data
from supervisor.guest.logs import (
    Part,
    Shares,
    beginning,
    command,
    compose,
    ending,
    without_secrets,
)
from supervisor.text.printable import printable

JIT_CONFIG = base64.b64encode(json.dumps({".runner": "x" * 300}).encode()).decode()
TOKEN = "A-43-character_token-of_the_secrets-module."[:42] + "x"


@given(st.text(), st.integers(1, 40))
def test_a_cut_text_is_a_part_of_the_whole_and_fits(text: str, most: int) -> None:
    assert text.startswith(beginning(text, most))
    assert text.endswith(ending(text, most))
    assert len(beginning(text, most).encode()) <= most
    assert len(ending(text, most).encode()) <= most


@given(st.integers(16 << 10, 16 << 20))
def test_the_shares_are_less_than_the_whole(most: int) -> None:
    shares = Shares.of(most)
    assert 0 < shares.console < shares.guest
    assert shares.console + shares.guest < most


@pytest.mark.parametrize(
    "text",
    [
        f"ACTIONS_RUNNER_INPUT_JITCONFIG={JIT_CONFIG}",
        f"--once --jitconfig {JIT_CONFIG}",
        f"the end of one whose beginning was cut off: {JIT_CONFIG[17:]}",
        "token ghs_abcdefghijklmnopqrstuvwxyz0123456789",
        "token github_pat_11ABCDEFG0abcdefghijklmno_pqrstuvwxyz",
        "Authorization: Bearer something-short",
        "authorization: basic eDp5",
    ],
)
def test_what_looks_like_a_credential_is_withheld(text: str) -> None:
    shown = without_secrets(text, ())
    assert "[withheld]" in shown
    assert text.rsplit(maxsplit=1)[-1].rpartition("=")[2] not in shown
    assert JIT_CONFIG[20:] not in shown


def test_the_signal_token_is_withheld_although_only_its_digest_is_known() -> None:
    assert len(TOKEN) == 43
    another = TOKEN.replace("4", "5")
    digest = sha256(TOKEN.encode()).hexdigest()
    assert (
        without_secrets(f"token={TOKEN}, {another}", (), digest) == f"token=[withheld], {another}"
    )


def test_what_the_guest_was_given_is_withheld_even_if_it_looks_harmless() -> None:
    document = user_data(
        GuestParameters(
            runner_name="one",
            jit_config="c2VjcmV0",
            signal_url="http://10.0.0.1:1/x",
            signal_token="short",
            application_url="https://github.example/runner.tar.gz",
            application_sha256="0" * 64,
        )
    )
    assert secrets_in(document) == ("c2VjcmV0", "short")
    text = compose([Part("console", "+ JIT=c2VjcmV0 short", "short")], secrets=secrets_in(document))
    assert text == "== console ==\n+ JIT=[withheld] [withheld]\n([withheld])\n"


@pytest.mark.parametrize("text", ["http://u:p@h:1", "<https://u:p@h/x>", "a=ftp://token@h"])
def test_who_logs_in_by_an_address_is_withheld(text: str) -> None:
    shown = without_secrets(text, ())
    assert "[withheld]@h" in shown
    assert "u:p" not in shown
    assert "token" not in shown


@pytest.mark.parametrize(
    "text", ["http://h:1/a@b", "mail a@b.example", "git@github.example:a/b", "http://h a@b"]
)
def test_other_addresses_are_kept(text: str) -> None:
    assert without_secrets(text, ()) == text


@pytest.mark.parametrize(
    "document",
    [
        "http_proxy=http://h:1\n",
        "http_proxy='http://[::1'\n",
        "",
        "#cloud-config\n",
        "JIT_CONFIG=\nSIGNAL_TOKEN=''\n",
    ],
)
def test_other_documents_hold_no_secrets(document: str) -> None:
    assert secrets_in(document) == ()


def test_ordinary_lines_are_kept() -> None:
    text = (
        "runner-host-1-abcdefghijkl: eyes on /opt/actions-runner/bin/Runner.Listener\n"
        f"sha256 {'0123456789abcdef' * 4}\ncommit {'a' * 40}\n{'-' * 80}\n"
    )
    assert without_secrets(text, (), "0" * 64) == text


def test_parts_stand_under_their_titles_with_what_went_wrong() -> None:
    parts = [Part("console", "a\r\nb\r\n"), Part("guest", "", "could not\nrun it"), Part("x", "")]
    assert compose(parts) == (
        "== console ==\na\nb\n\n== guest ==\n(could not run it)\n\n== x ==\n(nothing)\n"
    )


@pytest.mark.parametrize(
    "piece", ["A" * 199 + " ", "\x1b]", "\x1b[0", "gh", "ey", "authorization: "]
)
def test_a_megabyte_made_to_be_slow_is_not(piece: str) -> None:
    text = piece * ((1 << 20) // len(piece))
    began = time.process_time()
    without_secrets(printable(text), (), "0" * 64)
    assert time.process_time() - began < 5


def test_the_command_is_the_script_with_its_share() -> None:
    shell, option, script, _, home, share = command(80_000)
    assert (shell, option, home, share) == ("/bin/sh", "-c", "/opt/actions-runner", "10000")
    assert "journalctl" in script
