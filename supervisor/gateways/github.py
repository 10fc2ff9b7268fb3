"""GitHub's REST API for self-hosted runners, through PyGithub.

One `GitHub` belongs to one thread: PyGithub keeps the request on a shared connection object
between sending and receiving, so that under threads an answer, or a verb, can go astray
(https://github.com/PyGithub/PyGithub/pull/2052).
"""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from github import Auth, Github, GithubException
from urllib3 import Retry

from supervisor.messages import Application
from supervisor.planning import Registration

_TIMEOUT_S = 15
_PAGE = 100
_FORBIDDEN = 403
_NOT_FOUND = 404
_CONFLICT = 409
_UNPROCESSABLE = 422
_TOO_MANY = 429
_SHA256 = re.compile(r"[0-9a-f]{64}")


class GitHubError(Exception):
    """GitHub can't be reached or refuses. The message is for the operator and holds no secret."""


class NameTaken(GitHubError):
    """A runner of this name is registered already."""


class RunnerBusy(GitHubError):
    """The runner runs a job: GitHub does not delete it."""


class GitHub:
    """The self-hosted runners of one organisation or repository.

    Args:
        url: the base of the REST API, such as `https://api.github.com`.
        path: `organisation` or `owner/repository`.
        token: a personal access token.
    """

    def __init__(self, url: str, path: str, token: str) -> None:
        self.path = path
        scope = f"/repos/{path}" if "/" in path else f"/orgs/{path}"
        self._runners = f"{scope}/actions/runners"
        # Only reads are repeated: a repeated generate-jitconfig leaves an orphan behind. Nothing
        # sleeps in here for a rate limit to pass, as PyGithub's own GithubRetry would: the caller
        # waits and asks again.
        retry = Retry(
            total=2,
            backoff_factor=0.5,
            status_forcelist=[500, 502, 503, 504],
            allowed_methods={"GET", "HEAD"},
            respect_retry_after_header=False,
            raise_on_status=False,
        )
        self._github = Github(
            auth=Auth.Token(token),
            base_url=url,
            timeout=_TIMEOUT_S,
            per_page=_PAGE,
            retry=retry,
            lazy=True,
            # The fleet's own pace is far below GitHub's limits on bursts.
            seconds_between_requests=None,
            seconds_between_writes=None,
        )
        # PyGithub gives its logger a handler of its own: each line would come twice.
        logging.getLogger("github").handlers.clear()

    def close(self) -> None:
        """Close the connections."""
        self._github.close()

    def register(self, name: str, labels: tuple[str, ...], group_id: int) -> tuple[int, str]:
        """Make a just-in-time configuration, which registers a runner for one job.

        Returns:
            The runner's number, and the encoded configuration: a secret.

        Raises:
            NameTaken: the name is in use.
            GitHubError: anything else.
        """
        body = {"name": name, "runner_group_id": group_id, "labels": list(labels)}
        aim = f"register {name}"
        data = self._call("POST", f"{self._runners}/generate-jitconfig", body, aim)
        with _reading(aim):
            return int(data["runner"]["id"]), str(data["encoded_jit_config"])

    def delete(self, runner_id: int, name: str) -> None:
        """Delete a registration; one that is not there is as good as deleted.

        Raises:
            RunnerBusy: it runs a job.
            GitHubError: anything else.
        """
        self._call("DELETE", f"{self._runners}/{runner_id}", None, f"delete runner {name}")

    def registrations(self) -> tuple[Registration, ...]:
        """List all runners of the path, ours or not.

        Raises:
            GitHubError: the list can't be had whole.
        """
        aim = "list the runners"
        found: dict[int, Registration] = {}
        page, total = 1, 1
        while (page - 1) * _PAGE < total:
            address = f"{self._runners}?per_page={_PAGE}&page={page}"
            data = self._call("GET", address, None, aim)
            with _reading(aim):
                listed = [_registration(runner) for runner in data["runners"]]
                total = int(data["total_count"])
            if not listed:
                break  # runners went while we turned the pages
            found.update((registration.id, registration) for registration in listed)
            page += 1
        return tuple(found.values())

    def application(self, architecture: str) -> Application:
        """Find the runner application for an architecture, in GitHub's words: `x64`, `arm64`.

        Raises:
            GitHubError: there is none, or GitHub gives no checksum to verify it by.
        """
        aim = "list runner applications"
        offers = self._call("GET", f"{self._runners}/downloads", None, aim)
        with _reading(aim):
            fitting = [
                Application(
                    str(offer["download_url"]),
                    str(offer.get("sha256_checksum") or ""),
                    str(offer["filename"]),
                )
                for offer in offers
                if (offer["os"], offer["architecture"]) == ("linux", architecture)
            ]
        if not fitting:
            raise GitHubError(f"GitHub offers no runner application for linux on {architecture}")
        if not _SHA256.fullmatch(fitting[0].sha256):
            raise GitHubError(
                f"GitHub gives no SHA-256 for {fitting[0].filename}: it can't be verified, "
                "so no runner starts"
            )
        return fitting[0]

    def _call(self, verb: str, address: str, body: Any, aim: str) -> Any:
        """Do one call and translate what can go wrong.

        `aim` completes the sentence "could not …".
        """
        try:
            _, data = self._github.requester.requestJsonAndCheck(verb, address, input=body)
        except GithubException as error:
            if verb == "DELETE" and error.status == _NOT_FOUND:
                return None
            raise self._translate(error, aim) from error
        except requests.RequestException as error:
            reason = type(error).__name__
            raise GitHubError(f"could not {aim}: GitHub can't be reached ({reason})") from error
        except (AssertionError, ValueError) as error:
            raise GitHubError(_unreadable(aim)) from error
        return data

    def _translate(self, error: GithubException, aim: str) -> GitHubError:
        message = error.message or ""
        if error.status == _CONFLICT:
            return NameTaken(f"could not {aim}: the name is taken")
        if error.status == _UNPROCESSABLE and aim.startswith("delete"):
            return RunnerBusy(f"could not {aim}: it runs a job")
        hints = {
            401: "the token is wrong, expired or revoked; set another",
            _FORBIDDEN: (
                "the token may not do this, or its rate limit is used up; it needs "
                '"Self-hosted runners: write" for an organisation, "Administration: write" for a '
                "repository"
            ),
            _NOT_FOUND: f"no such path as {self.path}, or the token may not see it",
            _TOO_MANY: "GitHub limits the rate of calls",
        }
        hint = hints.get(error.status, "")
        detail = "; ".join(part for part in (str(message), hint) if part)
        return GitHubError(f"could not {aim}: GitHub answered {error.status}: {detail}")


@contextmanager
def _reading(aim: str) -> Iterator[None]:
    """Translate what comes of an answer that is not as GitHub describes it: a proxy's, perhaps."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise GitHubError(_unreadable(aim)) from error


def _unreadable(aim: str) -> str:
    return f"could not {aim}: the answer can't be read; is github-url GitHub's REST API?"


def _registration(runner: Mapping[str, Any]) -> Registration:
    return Registration(
        id=int(runner["id"]),
        name=str(runner["name"]),
        online=runner["status"] == "online",
        busy=bool(runner["busy"]),
        ephemeral=runner.get("ephemeral") is not False,
    )
