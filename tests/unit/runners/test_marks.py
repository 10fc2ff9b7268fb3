from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.lifecycle import Confirmed, Job, JobStarted, Life, Seen, Stage, adopt, step
from supervisor.runners import marks

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
PLACE = "https://github.com/acme"
POWER = "volatile.last_state.power"
JOB = Job("acme/demo", "CI", "7", "push", "build")
KEYS = (
    "installation",
    "generation",
    "place",
    "runner-id",
    "created-at",
    "signal-sha256",
    "stage",
    "since",
    "job",
)

jobs = st.builds(Job, st.text(), st.text(), st.text(), st.text(), st.text())
lives = st.builds(
    Life,
    st.sampled_from(Stage),
    st.just(NOW),
    st.text(),
    st.none() | st.integers(0, 2**53),
    st.none() | jobs,
)


def made(runner_id: int = 5) -> dict[str, str]:
    return marks.of_new_instance(
        installation="fleet",
        generation="abc",
        place=PLACE,
        runner_id=runner_id,
        created_at=NOW,
        signal_digest="d1",
        policy="builtin",
    )


@given(st.integers(0, 2**53))
def test_a_new_instance_says_whose_it_is_and_which_registration_it_has(runner_id: int) -> None:
    read = marks.read("Stopped", made(runner_id))
    seen = Seen(running=False, runner_id=runner_id, created_at=NOW, started=False)
    assert read == marks.Marks(seen, "abc", "d1", PLACE, "builtin")
    assert marks.are_of("fleet", made())
    assert not marks.are_of("flee", made())


@pytest.mark.parametrize(
    ("last_power", "started", "stop_noticed"),
    [({}, False, False), ({POWER: "RUNNING"}, True, False), ({POWER: "STOPPED"}, True, True)],
)
def test_whether_lxd_has_seen_it_stop_is_told_by_what_lxd_last_knew(
    last_power: dict[str, str], *, started: bool, stop_noticed: bool
) -> None:
    seen = marks.read("Stopped", {**made(), **last_power}).seen
    assert (seen.started, seen.stop_noticed) == (started, stop_noticed)


@pytest.mark.parametrize(
    "place", ["", "acme", "https://github.com/", "ftp://x/acme", "https://GITHUB.com/Acme"]
)
def test_a_place_that_is_none_counts_as_not_noted(place: str) -> None:
    config = {**made(), **marks.of_place(place)}
    assert marks.read("Running", config).place == ""


@given(lives)
def test_any_life_that_was_written_can_be_read_again(life: Life) -> None:
    read = marks.read("Running", {**made(), **marks.of_life(life)})
    assert read.seen.job == life.job
    assert (read.seen.stage == Stage.BUSY) == (life.stage is Stage.BUSY)
    later = NOW + timedelta(hours=1)
    taken_over = adopt(read.seen, later).life
    assert taken_over.stage is (Stage.BUSY if life.stage is Stage.BUSY else Stage.READY)
    assert taken_over.since == life.since


@pytest.mark.parametrize("job", [Job(), JOB])
def test_a_daemon_that_takes_over_knows_when_a_job_began_only_if_its_guest_has_told(
    job: Job,
) -> None:
    at_work = step(Life(Stage.IDLE, NOW), Confirmed(busy=True), NOW).life
    told_at = NOW + timedelta(seconds=9)
    at_work = step(at_work, JobStarted(job), told_at).life
    later = told_at + timedelta(hours=1)
    for _ in range(2):
        at_work = adopt(
            marks.read("Running", {**made(), **marks.of_life(at_work)}).seen, later
        ).life
        assert at_work.job_began_at == (told_at if job.is_told() else None)


@given(lives)
def test_all_keys_but_one_are_strings_below_our_prefix(life: Life) -> None:
    for key, value in {**made(), **marks.of_life(life)}.items():
        assert key.startswith("user.supervisor.") or key == "cloud-init.user-data"
        assert isinstance(value, str)


@given(lives)
def test_what_is_recorded_of_a_life_takes_the_secrets_out(life: Life) -> None:
    given_to_guest = {**made(), "cloud-init.user-data": "#!/bin/sh"}
    assert marks.read("Running", given_to_guest).seen.holds_secrets
    recorded = {**given_to_guest, **marks.of_life(life)}
    assert recorded["cloud-init.user-data"] == ""
    assert not marks.read("Running", recorded).seen.holds_secrets


@given(
    st.text(),
    st.dictionaries(
        st.sampled_from(KEYS).map(lambda key: marks.PREFIX + key) | st.text(),
        st.text() | st.sampled_from(["²", "٣", "9" * 5000, "[]", "{}", '{"name": 1}', "null"]),
    ),
)
def test_garbage_is_read_as_not_there(status: str, config: dict[str, str]) -> None:
    read = marks.read(status, config)
    adopt(read.seen, NOW)
    if read.seen.job:
        assert isinstance(str(read.seen.job), str)


@pytest.mark.parametrize(
    "job",
    [
        "{",
        "[]",
        "7",
        "null",
        '{"other": "key"}',
        '{"name": 5}',
        '{"name": null}',
        "[" * 100_000,
    ],
)
def test_a_job_that_is_none_is_not_there(job: str) -> None:
    assert marks.read("Running", {f"{marks.PREFIX}job": job}).seen.job is None


@pytest.mark.parametrize("number", ["", "-1", "1.5", "²", "٣", "9" * 5000, " 5", "0x5"])
def test_a_runner_number_that_is_none_is_not_there(number: str) -> None:
    assert marks.read("Running", {f"{marks.PREFIX}runner-id": number}).seen.runner_id is None


def test_an_instance_runs_or_it_does_not() -> None:
    assert marks.read("Running", {}).seen.running
    assert marks.read("Frozen", {}).seen.running
    assert not marks.read("Stopped", {}).seen.running
    assert marks.read("Error", {}).seen.running  # it may pass, and a job may run
