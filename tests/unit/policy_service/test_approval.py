from __future__ import annotations

from textwrap import fill, wrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.policy_service.approval import ORDER, approves
from supervisor.policy_service.checks import Failed, Verdict, somebody_approved

SHA = "0123456789abcdef0123456789abcdef01234567"
APPROVAL = f"{ORDER} {SHA}"


@pytest.mark.parametrize(
    "body",
    [
        APPROVAL,
        f"  {APPROVAL}  ",
        f"Looks fine.\r\n\r\n{APPROVAL}\r\n",
        f"Looks fine.\n{APPROVAL}",
        f"`main` looks fine.\n\n{APPROVAL}.",
        f"{APPROVAL}\n```\ncode\n```",
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
        f"- > somebody wrote\n{APPROVAL}",
        f"> somebody wrote\n\u3000\n{APPROVAL}",
        f"`{APPROVAL}`",
        f"`code\n{APPROVAL}\n`",
        f"[link]: there '\n{APPROVAL}\n'",
        f"Never write {APPROVAL}.",
        f"    {APPROVAL}",
        f"\t{APPROVAL}",
        f"```\n{APPROVAL}\n```",
        f"~~~\n{APPROVAL}\n~~~",
        f"````\n```\n{APPROVAL}\n````",
        f"- ```\n  {APPROVAL}\n  ```",
        f"a ``` b\n```\n{APPROVAL}\n```",
        f"<!--\n{APPROVAL}\n-->",
        f"<div><!--\n\n{APPROVAL}\n\n-->",
        f"<?\n\n{APPROVAL}\n\n?>",
    ],
)
def test_less_another_sha_or_a_quotation_does_not(body: str) -> None:
    assert not approves(body, SHA)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x85", "\r"])
def test_a_separator_that_markdown_does_not_know_does_not_end_a_quotation(separator: str) -> None:
    # Somebody writes it without being allowed to; a maintainer quotes it in a reply.
    assert not approves(f"> hello{separator}{APPROVAL}\n\nNo, thank you.", SHA)


REFUSALS = [
    somebody_approved(SHA, pulls, approvers)
    for pulls in ([], [7], [7, 8])
    for approvers in ([], [("reader", "read")])
]


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize(
    "way",
    [
        *("{0}", "  {0}", "    {0}", "> {0}", "> it says\n{0}", "- {0}", "`{0}`", "**{0}**"),
        *("```\n{0}\n```", "~~~\n{0}\n~~~", "<!--\n{0}\n-->", "Why?\n\n{0}\n\nPlease help."),
    ],
)
def test_a_refusal_that_is_pasted_approves_nothing(refusal: Verdict, way: str) -> None:
    assert isinstance(refusal, Failed)
    # However it is broken into lines on the way: at a width, or at each blank.
    for text in (refusal.reason, "\n".join(wrap(refusal.reason)), fill(refusal.reason, 1)):
        assert not approves(way.format(text), SHA)
    for start in range(len(refusal.reason)):  # and if only a part of it is taken
        assert not approves(way.format(refusal.reason[start:]), SHA)


@given(st.text(), st.text())
def test_whatever_is_quoted_line_by_line_never_approves(before: str, after: str) -> None:
    written = f"{before}\n{APPROVAL}\n{after}"
    quoted = "\n".join(f"> {line}" for line in written.split("\n"))
    assert not approves(quoted, SHA)


@given(st.text())
def test_text_without_the_order_never_approves(body: str) -> None:
    assert not approves(body, SHA)
