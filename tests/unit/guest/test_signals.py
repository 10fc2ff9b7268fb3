import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supervisor.guest.signals import MAX_BYTES, SignalError, parse
from supervisor.lifecycle import (
    Failed,
    GuestFinished,
    GuestReady,
    Job,
    JobFinished,
    JobRefused,
    JobStarted,
)

KNOWN = ("ready", "job-started", "job-refused", "job-finished", "finished", "failed")
lines = st.tuples(
    st.sampled_from(["signal", "reason", "job", "repository", "exit-code", "workflow"]) | st.text(),
    st.sampled_from(KNOWN) | st.text(max_size=300),
).map("=".join)
bodies = st.lists(lines, max_size=8).map(lambda made: "\n".join(made).encode())
started = st.tuples(st.text(), st.text()).map(
    lambda two: f"signal=job-started\nrepository={two[0]}\njob={two[1]}".encode()
)
failures = st.tuples(st.sampled_from(["failed", "job-refused"]), st.text()).map(
    lambda two: f"signal={two[0]}\nreason={two[1]}".encode()
)


def test_a_guest_is_ready() -> None:
    assert parse(b"signal=ready\n") == GuestReady()


def test_a_job_starts() -> None:
    body = b"signal=job-started\nrepository=acme/web\nworkflow=ci\nrun-id=7\nevent=push\njob=test"
    assert parse(body) == JobStarted(Job("acme/web", "ci", "7", "push", "test"))


def test_a_job_is_refused_with_a_reason_or_without() -> None:
    assert parse(b"signal=job-refused\nreason=no \x07reviews") == JobRefused("no  reviews")
    assert parse(b"signal=job-refused") == JobRefused("no reason given")


def test_a_job_finishes() -> None:
    assert parse(b"signal=job-finished") == JobFinished()


def test_the_application_ends_with_a_code() -> None:
    assert parse(b"signal=finished\nexit-code=3\n") == GuestFinished("3")
    told = parse(b"signal=finished\nexit-code=0\nresult=Succeeded" + 99 * b"!")
    assert told == GuestFinished("0", "Succeeded" + 23 * "!")
    assert parse(b"signal=finished") == GuestFinished("")


@pytest.mark.parametrize("word", ["Refused", "refused", "REFUSED"])
def test_that_a_job_was_refused_is_not_for_the_application_to_say(word: str) -> None:
    assert parse(f"signal=finished\nexit-code=1\nresult={word}".encode()) == GuestFinished("1")


def test_a_guest_fails_with_a_reason_or_without() -> None:
    assert parse(b"signal=failed\nreason=no disk = no fun") == Failed(
        "the guest says: no disk = no fun"
    )
    assert parse(b"signal=failed\nreason=") == Failed("the guest says: no reason given")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n\n",
        b"ready",
        b"signal=",
        b"signal=READY",
        b"signal=deleted",
        b"\xff=1",
        b"a=\n=\nb",
    ],
)
def test_what_is_no_signal_is_refused_without_repeating_it(body: bytes) -> None:
    with pytest.raises(SignalError) as caught:
        parse(body)
    assert "READY" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_the_first_of_two_equal_keys_counts() -> None:
    assert parse(b"signal=ready\nsignal=failed") == GuestReady()


def test_a_body_of_the_largest_size_is_read_and_one_more_byte_is_not() -> None:
    body = b"signal=ready\nx=" + b"y" * MAX_BYTES
    assert parse(body[:MAX_BYTES]) == GuestReady()
    with pytest.raises(SignalError):
        parse(body[: MAX_BYTES + 1])


def test_a_job_is_not_lost_where_the_guest_has_cut_through_a_character() -> None:
    cut = f"aa{200 * '中'}".encode()[:400]
    body = b"signal=job-started\nrepository=acme/web\nworkflow=" + cut + b"\nrun-id=7"
    event = parse(body)
    assert isinstance(event, JobStarted)
    assert (event.job.repository, event.job.run_id) == ("acme/web", "7")
    assert event.job.workflow == f"aa{132 * '中'}\N{REPLACEMENT CHARACTER}"


def test_why_a_job_was_refused_is_told_though_it_was_cut_through_a_character() -> None:
    cut = f"branch {134 * '中'}".encode()[:400]
    event = parse(b"signal=job-refused\nreason=" + cut)
    assert isinstance(event, JobRefused)
    assert event.reason.startswith("branch 中")


def texts(event: object) -> list[str]:
    found = vars(event).values()
    return [*(v for v in found if isinstance(v, str)), *(t for v in found for t in _job(v))]


def _job(value: object) -> list[str]:
    return list(vars(value).values()) if isinstance(value, Job) else []


@given(st.binary(max_size=2 * MAX_BYTES) | bodies | started | failures)
@example(b"signal=failed\nreason=\x1b[2J\x07\xc2\x9b31m\xe2\x80\xae")
@example(b"signal=job-started\njob=" + b"\xf0\x9f\x92\xa3" * 900)
def test_any_bytes_are_a_printable_event_or_an_error(body: bytes) -> None:
    try:
        said = texts(parse(body))
    except SignalError as error:
        said = [str(error)]
    for text in said:
        assert text.isprintable()
        assert len(text) <= 300
