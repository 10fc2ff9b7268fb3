"""What the two web services answer, without a socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_actors import Inbox
from fake_world import World
from flask.testing import FlaskClient
from waiting import eventually
from werkzeug.test import TestResponse

from supervisor import __version__, control, lifecycle
from supervisor.actors import signals
from supervisor.lifecycle import Job, Life, Stage
from supervisor.messages.runner import Happened
from supervisor.policy.token_desk import Signer
from supervisor.policy.tokens import Claim, Refusal, verify
from supervisor.policy_service.decisions import Decision, DecisionLog
from supervisor.runners.roster import Entry, digest
from supervisor.supervision import ChildSpec, Crash

MakeWorld = Callable[..., World]
NAME = "fleet-aaaaaaaa"


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    world = make_world()
    life = Life(Stage.BOOTING, world.clock.now(), "waits")
    world.parts.roster.put(Entry(NAME, "g", life, digest("right")))
    world.parts.roster.put(Entry("fleet-nodigest", "g", life))
    world.parts.roster.put(Entry("fleet-noactor0", "g", life, digest("right")))
    world.parts.roster.is_complete = True
    return world


def post(
    world: World,
    name: str = NAME,
    token: str | None = "right",
    *,
    client: FlaskClient | None = None,
    **more: Any,
) -> TestResponse:
    client = client or client_of(world)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    more = {"data": b"signal=ready", "headers": headers, **more}
    return client.post(f"/v1/runners/{name}/signals", **more)


def client_of(world: World) -> FlaskClient:
    app = signals.make_app(world.parts, world.system.directory, world.clock)
    return app.test_client()


def run(world: World, *names: str) -> list[Any]:
    got: list[Any] = []
    world.run(
        *(ChildSpec(n, partial(Inbox.start, world.system, got)) for n in names),
    )
    return got


def test_a_signal_reaches_its_runner(world: World) -> None:
    got = run(world, NAME)
    assert post(world).status_code == 204
    eventually(lambda: got == [Happened(lifecycle.GuestReady())])


SIGNER = Signer(b"0123456789abcdef", timedelta(days=2))
POLICIES: list[dict[str, Any]] = [
    {"mode": "builtin"},
    {"mode": "external", "url": "https://policy.example", "token": "charm"},
]


def given(world: World, answer: TestResponse, address: str) -> Claim | Refusal:
    """Read the token that a guest was given, as the service would at an address."""
    token = answer.get_data(as_text=True).strip()
    return verify([SIGNER.secret], token, address, world.clock.now())


def test_a_guest_that_is_ready_is_given_a_token_for_its_own_address(world: World) -> None:
    world.reconfigure(policy=POLICIES[0])
    world.parts.tokens.sign_with(SIGNER)
    got = run(world, NAME)
    guest = {"REMOTE_ADDR": "10.9.0.7"}
    answer = post(world, environ_base=guest)
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    claim = given(world, answer, "10.9.0.7")
    assert isinstance(claim, Claim)
    assert (claim.runner, claim.address) == (NAME, "10.9.0.7")
    assert given(world, answer, "10.9.0.8") is Refusal.ELSEWHERE
    again = post(world, environ_base=guest)
    assert again.status_code == 200
    second = given(world, again, "10.9.0.7")
    assert isinstance(second, Claim)
    assert second.nonce == claim.nonce  # one of them can be used
    eventually(lambda: got == [Happened(lifecycle.GuestReady())] * 2)


def test_no_header_says_where_a_guest_is(world: World) -> None:
    world.reconfigure(policy=POLICIES[0])
    world.parts.tokens.sign_with(SIGNER)
    run(world, NAME)
    headers = {"Authorization": "Bearer right", "X-Forwarded-For": "10.9.0.8"}
    headers["Forwarded"] = "for=10.9.0.8"
    answer = post(world, headers=headers, environ_base={"REMOTE_ADDR": "10.9.0.7"})
    assert isinstance(given(world, answer, "10.9.0.7"), Claim)


def test_other_signals_are_answered_as_ever(world: World) -> None:
    world.reconfigure(policy=POLICIES[0])
    world.parts.tokens.sign_with(SIGNER)
    run(world, NAME)
    for said in (b"signal=job-started", b"signal=job-finished", b"signal=finished"):
        answer = post(world, data=said)
        assert (answer.status_code, answer.data) == (204, b"")


@pytest.mark.parametrize("stage", [Stage.BUSY, Stage.FINISHED, Stage.FAILED])
def test_after_its_job_has_begun_it_gets_no_other_token(world: World, stage: Stage) -> None:
    world.reconfigure(policy=POLICIES[0])
    world.parts.tokens.sign_with(SIGNER)
    run(world, NAME)
    life = Life(stage, world.clock.now(), "", job=Job(name="test"))
    world.parts.roster.put(Entry(NAME, "g", life, digest("right")))
    assert post(world).status_code == 204


@pytest.mark.parametrize("policy", POLICIES)
def test_without_a_token_a_guest_is_not_ready_and_asks_again(
    world: World, policy: dict[str, Any]
) -> None:
    world.reconfigure(policy=policy)
    got = run(world, NAME)
    answer = post(world)
    assert answer.status_code == 503
    assert answer.get_data(as_text=True) == "no token can be had; try again\n"
    world.parts.tokens.put(["a-token"], world.clock.now())
    answer = post(world)
    assert (answer.status_code, answer.data) == (200, b"a-token\n")
    eventually(lambda: got == [Happened(lifecycle.GuestReady())])


def test_no_guest_gets_more_tokens_than_it_may_give_signals(world: World) -> None:
    world.reconfigure(policy=POLICIES[0])
    world.parts.tokens.sign_with(SIGNER)
    run(world, NAME)
    client = client_of(world)
    answers = [post(world, client=client).status_code for _ in range(25)]
    assert answers == [200] * 20 + [429] * 5


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        (NAME, {}),
        (NAME, {"Authorization": "Bearer wrong"}),
        (NAME, {"Authorization": "Bearer "}),
        (NAME, {"Authorization": "Basic right"}),
        (NAME, {"Authorization": "right"}),
        (NAME, {"Authorization": f"Bearer {digest('right')}"}),
        (NAME, {"Authorization": "Bearer \xff\xfe"}),
        ("fleet-nodigest", {"Authorization": "Bearer "}),
        ("fleet-nobody00", {"Authorization": "Bearer right"}),
        ("%00", {"Authorization": "Bearer right"}),
    ],
)
def test_who_has_not_the_right_token_is_not_heard(
    world: World, name: str, headers: dict[str, str]
) -> None:
    got = run(world, NAME, "fleet-nodigest")
    answer = post(world, name, headers=headers)
    assert answer.status_code == 401
    assert "right" not in answer.text
    assert got == []


def test_whoever_is_not_known_shall_say_it_again_until_it_is_known_who_is_there(
    world: World,
) -> None:
    got = run(world, NAME)
    client = client_of(world)
    world.parts.roster.is_complete = False
    for name, token in (("fleet-nobody00", "right"), (NAME, "wrong"), (NAME, "")):
        for _ in range(2 * signals.SIGNALS.burst):
            answer = post(world, name, token, client=client)
            assert (answer.status_code, answer.text) == (503, "not known yet; try again\n")
    assert got == []
    assert post(world, client=client).status_code == 204
    world.parts.roster.is_complete = True
    assert post(world, "fleet-nobody00", client=client).status_code == 401


def test_a_body_that_is_no_signal_is_refused_with_a_reason(world: World) -> None:
    got = run(world, NAME)
    answer = post(world, data=b"signal=\x1b[2J")
    assert (answer.status_code, got) == (400, [])
    assert f"a signal of {NAME} is refused: signal= must be ready" in "".join(world.logged)
    assert "must be ready" in answer.text
    assert "\x1b" not in answer.text


def test_a_signal_for_which_no_actor_is_up_shall_be_sent_again(world: World) -> None:
    run(world, NAME)
    assert post(world, "fleet-noactor0").status_code == 503


def test_a_runner_that_says_too_much_is_not_heard_for_a_while(world: World) -> None:
    got = run(world, NAME)
    client = client_of(world)
    answers = [post(world, client=client).status_code for _ in range(100)]
    assert answers == [204] * signals.SIGNALS.burst + [429] * (100 - signals.SIGNALS.burst)
    eventually(lambda: len(got) == signals.SIGNALS.burst)
    # Whoever knows a runner's name and no more can't take its permissions away.
    assert post(world, "fleet-noactor0", token="wrong", client=client).status_code == 401
    assert post(world, "fleet-noactor0", client=client).status_code == 503
    world.clock.advance(1 / signals.SIGNALS.per_s)
    assert [post(world, client=client).status_code for _ in range(2)] == [204, 429]
    eventually(lambda: len(got) == signals.SIGNALS.burst + 1)


def test_what_is_no_signal_and_what_nobody_hears_counts_too(world: World) -> None:
    run(world, NAME)
    client = client_of(world)
    before = len(world.logged)
    nonsense = [post(world, client=client, data=b"x").status_code for _ in range(100)]
    unheard = [post(world, "fleet-noactor0", client=client).status_code for _ in range(100)]
    assert (nonsense.count(400), unheard.count(503)) == (signals.SIGNALS.burst,) * 2
    assert (nonsense[-1], unheard[-1]) == (429, 429)
    assert len(world.logged) - before <= 2 * signals.SIGNALS.burst + 2


def test_the_allowance_is_enough_for_a_life_in_which_all_is_said_three_times() -> None:
    assert signals.SIGNALS.burst >= 3 * 5


def test_a_guest_that_tries_an_image_is_heard_by_who_waits_for_it_and_gets_no_token(
    world: World,
) -> None:
    world.reconfigure(policy=POLICIES[0])
    world.parts.tokens.sign_with(SIGNER)
    visitors = world.parts.visitors
    token = visitors.expect("fleet-trial")
    assert post(world, "fleet-trial", token="right").status_code == 401
    answer = post(world, "fleet-trial", token=token)
    assert (answer.status_code, answer.data) == (204, b"")
    said = post(world, "fleet-trial", token=token, data=b"signal=finished\nexit-code=0")
    assert said.status_code == 204
    assert visitors.outcome("fleet-trial", limit_s=0) == ""
    visitors.forget("fleet-trial")
    assert post(world, "fleet-trial", token=token).status_code == 401


def test_a_guest_that_tries_an_image_is_bounded_as_runners_are(world: World) -> None:
    token = world.parts.visitors.expect("fleet-trial")
    client = client_of(world)
    answers = [post(world, "fleet-trial", token, client=client).status_code for _ in range(40)]
    assert answers == [204] * signals.SIGNALS.burst + [429] * (40 - signals.SIGNALS.burst)


def test_nothing_else_is_offered_to_guests(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Flask would serve a directory of this name below the one that the daemon was started in.
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "x").write_text("not for guests")
    monkeypatch.chdir(tmp_path)
    client = client_of(world)
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"):
        answer = client.open(f"/v1/runners/{NAME}/signals", method=method)
        assert answer.status_code == 405
    doubled = f"//v1//runners/{NAME}/signals"
    for path in (doubled, "/", "/v1/tree", "/v1/reconcile", "/v1/debug/crash/fleet", "/static/x"):
        assert client.post(path).status_code in (404, 405)
        assert client.get(path).status_code == 404


def decide(world: World, verdict: str) -> None:
    """Have the policy service decide of the runner's job."""
    log = DecisionLog(world.state / "policy" / "decisions.jsonl")
    log.write(Decision(world.clock.now(), NAME, "acme/demo", "push", verdict, "why", 12, 3))


REFUSAL = {"data": b"signal=job-refused\nreason=no \x1b[31mevent"}


def test_a_guest_that_refuses_its_job_by_itself_is_believed_and_shown_as_such(world: World) -> None:
    got = run(world, NAME)
    for _ in range(3):
        assert post(world, **REFUSAL).status_code == 204
    eventually(lambda: got == [Happened(lifecycle.JobRefused("no  [31mevent"))] * 3)
    assert world.parts.verdicts.guests == {"refused": 1}
    (shown,) = world.parts.verdicts.last()
    assert (shown["runner"], shown["by"], shown["verdict"]) == (NAME, "guest", "refused")


def test_where_nobody_is_asked_no_guest_can_say_that_its_job_was_refused(world: World) -> None:
    got = run(world, NAME)
    entry = world.parts.roster.get(NAME)
    assert entry
    world.parts.roster.put(replace(entry, policy="off"))
    assert post(world, **REFUSAL).status_code == 204
    assert post(world, data=b"signal=job-finished").status_code == 204
    eventually(lambda: got == [Happened(lifecycle.JobFinished())])
    assert world.parts.verdicts.guests == {}


def test_a_refusal_of_the_service_is_not_the_guests_own(world: World) -> None:
    got = run(world, NAME)
    decide(world, "refused")
    assert post(world, **REFUSAL).status_code == 204
    eventually(lambda: len(got) == 1)
    assert world.parts.verdicts.guests == {}


def test_a_job_that_was_allowed_can_not_say_that_it_was_refused(world: World) -> None:
    got = run(world, NAME)
    decide(world, "allowed")
    for _ in range(3):
        assert post(world, **REFUSAL).status_code == 204
    assert post(world, data=b"signal=job-finished").status_code == 204
    eventually(lambda: got == [Happened(lifecycle.JobFinished())])
    assert world.parts.verdicts.guests == {"contradicted": 1}
    said = world.parts.verdicts.last()[-1]["reason"]
    assert said == "not believed, as the service has let it run: no  [31mevent"


def test_the_control_api_shows_what_is(world: World) -> None:
    run(world, "fleet")
    client = control.make_app(world.system, world.parts, debug=False).test_client()
    assert client.get("/v1/version").json == {"version": __version__}
    tree = client.get("/v1/tree").json
    assert tree is not None
    assert [child["id"] for child in tree["children"]] == ["fleet"]
    status = client.get("/v1/status").json
    assert status is not None
    assert status["stages"] == {"booting": 3}
    runners = client.get("/v1/runners").json
    assert runners is not None
    assert {runner["name"] for runner in runners} == {NAME, "fleet-nodigest", "fleet-noactor0"}
    assert digest("right") not in str(runners)


def test_actors_are_killed_by_order_only_where_that_is_allowed(world: World) -> None:
    got = run(world, "fleet")
    app = control.make_app(world.system, world.parts, debug=False)
    assert app.test_client().post("/v1/debug/crash/fleet").status_code == 404
    app = control.make_app(world.system, world.parts, debug=True)
    assert app.test_client().post("/v1/debug/crash/nobody").status_code == 404
    assert app.test_client().post("/v1/debug/crash/fleet").status_code == 202
    eventually(lambda: any("Crash" in line for line in world.logged))
    assert not [message for message in got if isinstance(message, Crash)]
