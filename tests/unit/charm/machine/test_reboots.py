"""When the machine is rebooted: a kernel that never comes up must not have it reboot for ever."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from machine.reboots import Asked, RebootNote, due, subject

AT = datetime(2026, 11, 30, tzinfo=timezone.utc)
BOOT, NEXT_BOOT = "3f2a91c0", "b7e4d112"
ASKED = Asked(AT, BOOT)
KERNEL = "a reboot is needed, and no runner is there: kernel {} is installed, {} is running"
PACKAGES = "a reboot is needed, and no runner is there: packages that were upgraded need it: libc6"
moments = st.integers(0, 400).map(lambda days: AT + timedelta(days=days))
kernels = st.sampled_from(["6.8.0-50-generic", "6.8.0-51-generic"])


def now_for(reason: str, kernel: str = "") -> dict[str, str]:
    return {"when": "now", "reason": reason, "kernel": kernel}


def now_to_start(kernel: str, running: str = "x") -> dict[str, str]:
    return now_for(KERNEL.format(kernel, running), kernel)


def later(at: datetime = AT) -> Asked:
    """Give a moment after the machine has gone down."""
    return Asked(at, NEXT_BOOT)


def test_the_first_time_it_is_due() -> None:
    assert due(now_for(PACKAGES), {}, ASKED) == PACKAGES


@given(when=st.sampled_from(["no", "after-drain", "", "later"]), at=moments)
def test_it_is_due_only_when_nothing_would_be_ended(when: str, at: datetime) -> None:
    assert due({"when": when, "reason": PACKAGES}, {}, later(at)) == ""


@given(wanted=kernels, before=st.text(), after=st.text(), at=moments)
def test_for_the_same_kernel_it_is_never_due_again(
    wanted: str, before: str, after: str, at: datetime
) -> None:
    asked = {subject(now_to_start(wanted, before)): ASKED}
    assert due(now_to_start(wanted, after), asked, later(at)) == ""


@given(offer=st.sampled_from([now_for(PACKAGES), now_to_start("6.8.0-50-generic")]), at=moments)
def test_as_long_as_the_machine_has_not_gone_down_it_is_due(
    offer: dict[str, str], at: datetime
) -> None:
    assert due(offer, {subject(offer): ASKED}, Asked(at, BOOT)) == offer["reason"]


def test_where_boots_have_no_name_it_is_asked_for_once() -> None:
    offer = now_to_start("6.8.0-50-generic")
    assert due(offer, {subject(offer): Asked(AT, "")}, Asked(AT, "")) == ""


def test_for_another_kernel_it_is_due_again() -> None:
    asked = {subject(now_to_start("6.8.0-50-generic")): ASKED}
    newer = now_to_start("6.8.0-51-generic")
    assert due(newer, asked, later()) == newer["reason"]


def test_for_the_same_packages_it_is_due_again_after_a_day() -> None:
    asked = {subject(now_for(PACKAGES)): ASKED}
    assert due(now_for(PACKAGES), asked, later(AT + timedelta(hours=23))) == ""
    assert due(now_for(PACKAGES), asked, later(AT + timedelta(hours=24))) == PACKAGES


@given(
    offer=st.dictionaries(
        st.sampled_from(["when", "reason", "kernel"]),
        st.one_of(st.none(), st.integers(), st.just("now")),
    )
)
def test_an_offer_of_any_form_is_read(offer: dict[str, object]) -> None:
    assert due(offer, {}, ASKED) in {"", "now"}
    assert due(offer, {subject(offer): ASKED}, later()) == ""


def test_of_a_daemon_that_does_not_say_the_kernel_the_same_reason_counts_for_a_day() -> None:
    offer = {"when": "now", "reason": KERNEL.format("6.8.0-50-generic", "x")}
    asked = {subject(offer): ASKED}
    assert due(offer, asked, later(AT + timedelta(hours=23))) == ""
    assert due(offer, asked, later(AT + timedelta(hours=24))) == offer["reason"]


def test_what_a_charm_before_has_remembered_of_a_kernel_counts() -> None:
    assert due(now_to_start("6.8.0-50-generic"), {"kernel 6.8.0-50-generic": ASKED}, later()) == ""


def test_what_was_asked_for_is_remembered(tmp_path: Path) -> None:
    note = RebootNote(tmp_path / "reboots.json")
    note.add(PACKAGES, ASKED)
    note.add(subject(now_to_start("6.8.0-50-generic")), later())
    assert RebootNote(tmp_path / "reboots.json").read() == {
        PACKAGES: ASKED,
        "kernel 6.8.0-50-generic": later(),
    }


def test_only_the_latest_are_remembered(tmp_path: Path) -> None:
    note = RebootNote(tmp_path / "reboots.json")
    for number in range(30):
        note.add(f"reason {number}", Asked(AT + timedelta(days=number), BOOT))
    assert set(note.read()) == {f"reason {number}" for number in range(10, 30)}


def test_a_damaged_note_is_none(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"x": 1}', '{"x": {"at": "yesterday", "boot": ""}}', '{"x": {}}'):
        (tmp_path / "reboots.json").write_text(text)
        assert RebootNote(tmp_path / "reboots.json").read() == {}
