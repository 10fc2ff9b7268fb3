from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.semconv._incubating.attributes import (
    cicd_attributes,
    error_attributes,
    vcs_attributes,
)
from opentelemetry.semconv._incubating.attributes.cicd_attributes import (
    CicdPipelineTaskRunResultValues as TaskRunResult,
)
from opentelemetry.semconv.attributes.error_attributes import ErrorTypeValues

from supervisor.lifecycle import Stage
from supervisor.observation.feed import Kind, Record
from supervisor.observation.spans import ROOT, Span, Spans, trace_id_of

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
JOB = {
    "repository": "acme/app",
    "workflow": "CI",
    "run_id": "77",
    "event": "push",
    "name": "build",
    "result": "",
}
LIFE = (
    ("", "requested"), ("requested", "creating"), ("creating", "booting"), ("booting", "ready"),
    ("ready", "idle"), ("idle", "busy"), ("busy", "finished"), ("finished", "deleted"),
)  # fmt: skip


def record(
    state: str, before: str = "", *, at_s: float = 0, name: str = "a", **more: Any
) -> Record:
    known = {"reason": "", "lasted_s": 0.0, "details": {}, **more}
    return Record(NOW + timedelta(seconds=at_s), Kind.RUNNER, name, state, before, **known)


def life(name: str = "a", result: str = "success") -> list[Record]:
    """A runner's whole life; each stage lasts ten seconds."""
    made = []
    for number, (before, state) in enumerate(LIFE):
        details: dict[str, Any] = {"generation": "g", "runner_id": 7, "job": None}
        if state in {"busy", "finished", "deleted"}:
            details["job"] = {**JOB, "result": "" if state == "busy" else result}
            details["job_s"] = {"busy": 0.0, "finished": 10.0}.get(state)
        lasted_s = 10.0 if before else 0.0
        made.append(
            record(
                state, before, at_s=10 * number, name=name, lasted_s=lasted_s,
                reason=f"is {state}", details=details,
            )
        )  # fmt: skip
    return made


def heard(records: list[Record]) -> list[Span]:
    spans = Spans()
    return [span for one in records for span in spans.hear(one)]


def test_a_life_is_one_trace_with_a_span_for_each_stage_within_that_of_the_runner() -> None:
    *stages, root = heard(life())
    names = [span.name for span in stages]
    assert names == ["register", "create", "boot", "ready", "idle", "job", "delete"]
    assert (root.name, root.parent_id) == (ROOT, 0)
    assert {span.trace_id for span in (*stages, root)} == {trace_id_of("a")}
    assert {span.parent_id for span in stages} == {root.span_id}
    assert [span.began_at for span in stages] == [NOW + timedelta(seconds=10 * n) for n in range(7)]
    assert all(span.ended_at - span.began_at == timedelta(seconds=10) for span in stages)
    assert (root.began_at, root.ended_at) == (NOW, NOW + timedelta(seconds=70))
    assert not any(span.error for span in (*stages, root))


def test_a_job_is_told_by_its_span_and_the_runners_and_by_no_other() -> None:
    *stages, root = heard(life(result="Failed"))
    expected = {
        "vcs.owner.name": "acme",
        "vcs.repository.name": "app",
        "cicd.pipeline.name": "CI",
        "cicd.pipeline.run.id": "77",
        "cicd.pipeline.task.name": "build",
        "github.event_name": "push",
        "cicd.pipeline.task.run.result": "failure",
        "github.job.result": "Failed",
    }
    (job,) = (span for span in stages if span.name == "job")
    assert expected.items() <= job.attributes.items()
    assert expected.items() <= root.attributes.items()
    assert root.attributes["cicd.worker.id"] == "7"
    (idle,) = (span for span in stages if span.name == "idle")
    assert idle.attributes == {
        "cicd.worker.name": "a",
        "supervisor.stage": "idle",
        "supervisor.next": "is busy",
    }


def test_a_job_that_fails_is_no_failure_of_the_runner() -> None:
    assert not any(span.error for span in heard(life(result="failure")))


def test_a_failure_is_that_of_the_stage_it_was_in_and_of_the_runner() -> None:
    boot, delete, root = heard(
        [
            record("booting"),
            record("failed", "booting", lasted_s=5, reason="no signal in time",
                   details={"failed_in": "booting", "cause": "timed-out"}),
            record("deleted", "failed", lasted_s=1),
        ]
    )  # fmt: skip
    assert (boot.name, boot.error) == ("boot", "no signal in time")
    assert (delete.name, delete.error) == ("delete", "")
    assert [span.attributes.get("error.type") for span in (boot, delete, root)] == [
        "timed-out",
        None,
        "timed-out",
    ]
    assert (root.error, root.attributes["supervisor.failed_in"]) == ("no signal in time", "booting")


def test_a_failure_whose_cause_is_not_known_has_the_type_that_stands_for_all_others() -> None:
    *_, root = heard([record("failed", "booting"), record("deleted", "failed")])
    assert root.attributes["error.type"] == ErrorTypeValues.OTHER.value


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("Succeeded", TaskRunResult.SUCCESS),
        ("Failed", TaskRunResult.FAILURE),
        ("Canceled", TaskRunResult.CANCELLATION),
        ("Skipped", TaskRunResult.SKIP),
        ("Abandoned", TaskRunResult.ERROR),
        ("Refused", TaskRunResult.FAILURE),
        ("Odd", None),
    ],
)
def test_how_a_job_ended_is_told_in_the_conventions_words_and_in_the_applications(
    word: str, result: TaskRunResult | None
) -> None:
    *_, root = heard(life(result=word))
    assert root.attributes.get("cicd.pipeline.task.run.result") == (result and result.value)
    assert root.attributes["github.job.result"] == word


def test_what_the_conventions_have_a_name_for_goes_by_that() -> None:
    named = {
        value
        for names in (cicd_attributes, error_attributes, vcs_attributes)
        for value in vars(names).values()
        if isinstance(value, str)
    }
    failed = record("failed", "busy", at_s=60)
    spans = heard([*life()[:6], failed, record("deleted", "failed", at_s=61)])
    told = {name for span in (*spans, *heard(life())) for name in span.attributes}
    ours = {name for name in told if name.startswith(("supervisor.", "github."))}
    assert told - ours <= named


def test_what_is_only_learned_of_a_runner_ends_no_stage() -> None:
    late = {**JOB, "result": "success"}
    spans = heard(
        [
            record("finished"),
            record("finished", "finished", details={"job": late}),
            record("deleted", "finished", lasted_s=3),
        ]
    )
    assert [span.name for span in spans] == ["delete", ROOT]
    assert spans[-1].attributes["github.job.result"] == "success"


def test_a_job_s_span_waits_for_its_result_and_no_longer_than_its_runner_is_there() -> None:
    spans = Spans()
    assert spans.hear(record("busy", details={"job": JOB})) == []
    assert spans.hear(record("finished", "busy", lasted_s=3, details={"job": JOB})) == []
    late = record("finished", "finished", details={"job": {**JOB, "result": "Failed"}})
    (job,) = spans.hear(late)
    assert (job.name, job.attributes["github.job.result"]) == ("job", "Failed")
    never = [record("finished", "busy", details={"job": JOB}), record("deleted", "finished")]
    assert [span.name for span in heard(never)] == ["delete", "job", ROOT]


@pytest.mark.parametrize(("job_s", "began_s"), [(8.0, 12), (10.0, 10), (None, 10)])
def test_a_job_s_span_begins_as_its_guest_has_told_or_says_that_this_was_not_heard(
    job_s: float | None, began_s: float
) -> None:
    job, *_ = heard(
        [
            record("busy", details={"job": JOB}, at_s=10),
            record("deleted", "busy", at_s=20, lasted_s=10, details={"job_s": job_s}),
        ]
    )
    assert (job.name, job.began_at) == ("job", NOW + timedelta(seconds=began_s))
    assert ("supervisor.beginning_unheard" in job.attributes) == (job_s is None)


def test_a_runner_that_is_taken_over_goes_on_with_its_trace() -> None:
    whole = life()
    before, after = Spans(), Spans()
    spans = [span for one in whole[:5] for span in before.hear(one)]
    made_at = NOW + timedelta(seconds=10)
    taken = record("idle", at_s=45, details={"adopted": True, "made_at": made_at.isoformat()})
    spans += [span for one in (taken, *whole[5:-1]) for span in after.hear(one)]
    *_, root = (span for one in whole[-1:] for span in after.hear(one))
    assert {(span.trace_id, span.parent_id) for span in spans} == {(root.trace_id, root.span_id)}
    assert root.attributes["supervisor.adopted"] is True
    # What the daemon before has told lies within, but for what was before it had an instance.
    assert root.began_at == made_at
    assert [span.name for span in spans if span.began_at < root.began_at] == ["register"]


def test_one_taken_over_of_which_nobody_knows_when_it_was_made_begins_where_it_was() -> None:
    taken = record("idle", at_s=45, details={"adopted": True, "made_at": None})
    *_, root = heard([taken, *life()[5:]])
    assert root.began_at == NOW + timedelta(seconds=40)


def test_what_is_no_runners_is_no_part_of_a_trace() -> None:
    assert heard([Record(NOW, Kind.ACTOR, "fleet", "crashed", "ready")]) == []


def test_of_twice_as_many_runners_as_a_fleet_can_have_the_one_known_longest_is_forgotten() -> None:
    spans = Spans()
    spans.hear(record("requested", name="first"))
    spans.hear(record("requested", name="second"))
    for number in range(19_999):
        spans.hear(record("requested", name=str(number)))
    assert len(spans._open) == 20_000
    assert "first" not in spans._open
    assert "second" in spans._open


records = st.builds(
    record,
    st.sampled_from([str(stage) for stage in Stage]),
    st.sampled_from(["", *(str(stage) for stage in Stage)]),
    at_s=st.floats(0, 1e6),
    name=st.sampled_from(["a", "b"]),
    lasted_s=st.floats(0, 1e6),
    reason=st.text(max_size=5),
    details=st.sampled_from([{}, {"job": None, "runner_id": None}, {"job": JOB}]),
)


@given(st.lists(records))
def test_whatever_is_told_spans_end_after_they_begin_and_none_is_kept_of_who_is_gone(
    told: list[Record],
) -> None:
    spans = Spans()
    for one in told:
        for span in spans.hear(one):
            assert span.began_at <= span.ended_at
            assert 0 < span.trace_id < 1 << 128
            assert 0 < span.span_id < 1 << 64
        assert (one.subject in spans._open) == (one.state != Stage.DELETED)


@pytest.mark.parametrize("set_by_s", [-7200, 7200])
def test_a_runners_span_is_as_long_as_its_life_though_the_time_of_day_was_set(
    set_by_s: float,
) -> None:
    told = life("a")
    later = [one._replace(at=one.at + timedelta(seconds=set_by_s)) for one in told[5:]]
    root = heard([*told[:5], *later])[-1]
    assert root.ended_at - root.began_at == timedelta(seconds=70)
    assert root.ended_at == later[-1].at


def reconcile(at_s: float, *names: str) -> Record:
    at = NOW + timedelta(seconds=at_s)
    return Record(at, Kind.RECONCILE, "fleet", "done", runners=frozenset(names))


def test_a_runner_whose_end_nobody_told_ends_with_the_reconciles_that_do_not_find_it() -> None:
    begun = life("a")[:6]
    assert [span.name for span in heard([*begun, reconcile(60), reconcile(61)])][-1] == "idle"
    root = heard([*begun, reconcile(60), reconcile(61), reconcile(66)])[-1]
    assert (root.name, root.error) == (ROOT, "its end was not seen")
    assert root.attributes["error.type"] == ErrorTypeValues.OTHER.value
    assert (root.began_at, root.ended_at) == (NOW, NOW + timedelta(seconds=66))


def test_a_runner_that_is_found_or_heard_of_has_not_ended() -> None:
    begun = life("a")[:6]
    found = [*begun, reconcile(60), reconcile(66, "a"), reconcile(67)]
    assert [span.name for span in heard(found)][-1] == "idle"
    told = [*begun, reconcile(45), *life("a")[6:7], reconcile(66), reconcile(67)]
    assert ROOT not in [span.name for span in heard(told)]


@given(st.permutations([*life("a"), *life("b")]))
def test_one_runners_spans_are_the_same_whatever_befalls_others_meanwhile(
    mixed: list[Record],
) -> None:
    def of(name: str, spans: list[Span]) -> list[Span]:
        return [span for span in spans if span.trace_id == trace_id_of(name)]

    in_order = sorted(mixed, key=lambda one: (one.at, mixed.index(one)))
    assert of("a", heard(in_order)) == heard(life("a"))
