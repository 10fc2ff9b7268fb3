from supervisor.causes import Cause
from supervisor.github.errors import RateLimited, Rejected
from supervisor.github.gate import Gate
from supervisor.github.report import budget_in_words, standing

LIMIT = "GitHub asks for a pause, until 12:00:00 UTC"
LEFT = "4,999 of 5,000 calls left until 12:34 UTC"


def test_a_failure_goes_before_all_else() -> None:
    rejected = Gate().fail(Rejected("the token is wrong"), 0.0, everything=True)
    said = standing("acme", rejected, LIMIT, LEFT)
    assert said == ("failing", "the token is wrong", rejected.cause)


def test_who_is_limited_does_not_fail() -> None:
    limited = Gate().fail(RateLimited("used up"), 0.0, everything=False)
    assert standing("acme", limited, "", "") == ("limited", "used up", Cause.RATE_LIMITED)
    assert standing("acme", Gate(), LIMIT, LEFT) == ("limited", LIMIT, Cause.RATE_LIMITED)


def test_when_all_is_well_it_says_for_whom_and_what_is_left() -> None:
    well = standing("acme", Gate(), "", LEFT)
    assert well == ("ready", f"GitHub answers for acme; {LEFT}", Cause.UNKNOWN)
    assert standing("acme", Gate(), "", "")[1] == "GitHub answers for acme"


def test_what_is_left_is_told_where_github_sets_a_limit() -> None:
    core = {"limit": 5000, "remaining": 4999, "reset_at": "2026-03-01T12:34:00+00:00"}
    assert budget_in_words({"budget": {"core": core}}) == LEFT
    assert budget_in_words({"budget": {}}) == ""
