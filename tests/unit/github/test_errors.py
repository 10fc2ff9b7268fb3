from __future__ import annotations

from typing import Any

import pytest

from supervisor.github import errors
from supervisor.github.errors import Asker, GitHubError, check
from supervisor.github.exchange import Answer, Request
from supervisor.github.scope import Scope

POST = Request("POST", "/x", "register fleet-a")
GET = Request("GET", "/x", "list the runners")
DELETE = Request("DELETE", "/x", "delete runner fleet-a")
ASKER = Asker(Scope.parse("acme"), "classic personal access token")
NEEDS = 'the permission "Self-hosted runners: write", or the scope admin:org of a classic token'


def refusal(request: Request, status: int, message: str = "", **headers: str) -> GitHubError:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    data: Any = {"message": message} if message else None
    with pytest.raises(GitHubError) as caught:
        check(request, Answer(status, given, data), ASKER)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (GET, Answer(200, {}, {})),
        (GET, Answer(200, {}, [])),
        (POST, Answer(201, {}, {"a": 1})),
        (DELETE, Answer(204, {})),
        (GET, Answer(304, {})),
    ],
)
def test_a_good_answer_passes(request_: Request, answer: Answer) -> None:
    check(request_, answer, ASKER)


@pytest.mark.parametrize(
    ("request_", "status", "kind", "words"),
    [
        (GET, 401, errors.Rejected, "classic personal access token is wrong, expired or revoked"),
        (GET, 403, errors.Forbidden, NEEDS),
        (GET, 404, errors.NotFound, "there is no organisation acme, or the classic personal"),
        (POST, 409, errors.NameTaken, "the name is taken"),
        (POST, 422, errors.Refused, "GitHub answered 422"),
        (DELETE, 422, errors.RunnerBusy, "it runs a job"),
        (GET, 429, errors.RateLimited, "no more calls for now"),
        (GET, 301, errors.Refused, "are path and github-url right?"),
        (GET, 418, errors.Refused, "GitHub answered 418"),
        (GET, 500, errors.Unavailable, "GitHub answered 500"),
        (GET, 503, errors.Unavailable, "GitHub answered 503"),
        (GET, 200, errors.Unavailable, "the answer can't be read"),
    ],
)
def test_a_refusal_says_what_was_tried_and_what_may_help(
    request_: Request, status: int, kind: type[GitHubError], words: str
) -> None:
    error = refusal(request_, status)
    assert type(error) is kind
    assert str(error).startswith(f"could not {request_.aim}: ")
    assert words in str(error)
    assert str(error) == f"could not {request_.aim}: {error.answer}"


def test_githubs_own_words_are_given_in_one_line() -> None:
    assert "422: Invalid label; try again" in str(
        refusal(POST, 422, "Invalid\n\tlabel; try   again")
    )
    assert len(str(refusal(POST, 422, "x" * 10_000))) < 400


def test_the_missing_permission_of_a_fine_grained_token_is_named_as_github_names_it() -> None:
    error = refusal(
        POST,
        403,
        "Resource not accessible by personal access token",
        x_accepted_github_permissions="a_b=write; c=write",
    )
    assert "it needs a_b=write or c=write" in str(error)


def test_the_missing_scope_of_a_classic_token_is_named_with_those_it_has() -> None:
    error = refusal(
        POST,
        403,
        "Must have admin rights",
        x_accepted_oauth_scopes="admin:org",
        x_oauth_scopes="repo",
    )
    assert "it needs one of the scopes admin:org (it has: repo)" in str(error)
    error = refusal(POST, 403, x_accepted_oauth_scopes="admin:org", x_oauth_scopes="")
    assert "(it has: none)" in str(error)


def test_single_sign_on_is_named() -> None:
    error = refusal(
        GET, 403, x_github_sso="required; url=https://github.com/orgs/acme/sso?secret=1"
    )
    assert "not authorised for the organisation's single sign-on" in str(error)
    assert "secret" not in str(error)


def test_a_suspended_installation_is_named() -> None:
    error = refusal(GET, 403, "This installation has been suspended")
    assert "can lift the suspension" in str(error)


@pytest.mark.parametrize(
    ("status", "message", "headers"),
    [
        (403, "API rate limit exceeded for user ID 1.", {}),
        (403, "You have exceeded a secondary rate limit.", {}),
        (403, "... please wait a few minutes before you try again.", {}),
        (403, "You have triggered an abuse detection mechanism.", {}),
        (403, "", {"x_ratelimit_remaining": "0"}),
        (403, "", {"retry_after": "5"}),
        (429, "", {}),
        (429, "Too many requests", {"retry_after": "5"}),
    ],
)
def test_a_limit_is_told_from_a_prohibition(
    status: int, message: str, headers: dict[str, str]
) -> None:
    assert type(refusal(GET, status, message, **headers)) is errors.RateLimited


def test_a_prohibition_is_no_limit() -> None:
    error = refusal(GET, 403, "Resource not accessible by integration", x_ratelimit_remaining="17")
    assert type(error) is errors.Forbidden


def test_githubs_words_can_not_speak_to_the_terminal() -> None:
    said = str(refusal(POST, 422, "red \x1b[31malert\x07 \u202eback"))
    assert "red [31malert back" in said
