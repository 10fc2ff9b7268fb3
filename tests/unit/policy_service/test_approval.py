from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.policy_service.approval import ORDER, approves

SHA = "0123456789abcdef0123456789abcdef01234567"
APPROVAL = f"{ORDER} {SHA}"


@pytest.mark.parametrize(
    "body",
    [
        APPROVAL,
        f"  {APPROVAL}  ",
        f"Looks fine.\r\n\r\n{APPROVAL}\r\n",
        f"`{APPROVAL}`",
        f"Please {APPROVAL}.",
        f"{ORDER}\t {SHA}",
        f"> did you look at it?\n\n{APPROVAL}",
    ],
)
def test_the_order_with_the_whole_sha_approves(body: str) -> None:
    assert approves(body, SHA)


@pytest.mark.parametrize(
    "body",
    [
        "",
        ORDER,
        SHA,
        f"{ORDER} {SHA[:-1]}",
        f"{APPROVAL}0",
        f"{ORDER} {SHA[:39]}8",
        f"{ORDER} {SHA.upper()}",
        f"{ORDER}\n{SHA}",
        f"> {APPROVAL}",
        f"  > {APPROVAL}",
        f">> {APPROVAL}",
        f"\u3000> {APPROVAL}",
        f"> somebody wrote\n{APPROVAL}",
    ],
)
def test_less_another_sha_or_a_quotation_does_not(body: str) -> None:
    assert not approves(body, SHA)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x85", "\r"])
def test_a_separator_that_markdown_does_not_know_does_not_end_a_quotation(separator: str) -> None:
    # Somebody writes it without being allowed to; a maintainer quotes it in a reply.
    assert not approves(f"> hello{separator}{APPROVAL}\n\nNo, thank you.", SHA)


@given(st.text(), st.text())
def test_whatever_is_quoted_line_by_line_never_approves(before: str, after: str) -> None:
    written = f"{before}\n{APPROVAL}\n{after}"
    quoted = "\n".join(f"> {line}" for line in written.split("\n"))
    assert not approves(quoted, SHA)


@given(st.text())
def test_text_without_the_order_never_approves(body: str) -> None:
    assert not approves(body, SHA)
