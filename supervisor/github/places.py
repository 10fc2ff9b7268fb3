"""Where runners are registered: which GitHub and whose runners there, as one short text.

It stands in the configuration of each instance, so that a runner is asked about where it was
registered, whatever `path` and `github-url` say by then. GitHub's numbers mean something only
together with it: those of two organisations can be the same.
"""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from supervisor.github.scope import GitHubPlace, Scope

if TYPE_CHECKING:
    from supervisor.config import Config


def of(config: "Config") -> str:
    """Name the place that is configured, such as `https://github.com/acme/demo`.

    However it is spelled: GitHub's names know no case, and its address can be given in two ways.
    """
    return f"{GitHubPlace.parse(config.github_url).url}/{config.path.lower()}"


def parse(text: str) -> str:
    """Read a place that was written down. What is none is an empty text."""
    try:
        url, path = _parts(text)
        Scope.parse(path)
        known = f"{GitHubPlace.parse(url).url}/{path.lower()}"
    except ValueError:
        return ""
    return known if known == text else ""


def config_at(config: "Config", place: str) -> "Config | None":
    """Make a configuration for another place, with the same credential.

    None if that is another GitHub: its credential is not for this one to see.

    Args:
        config: the one in force.
        place: where.
    """
    url, path = _parts(place)
    if GitHubPlace.parse(config.github_url).url != url:
        return None
    return config.model_copy(update={"path": path})


def in_words(place: str, config: "Config") -> str:
    """Name a place for people: its path alone, where that says all.

    Args:
        place: where.
        config: the one in force.
    """
    url, path = _parts(place)
    return path if GitHubPlace.parse(config.github_url).url == url else place


def _parts(place: str) -> tuple[str, str]:
    parts = urlsplit(place)
    return f"{parts.scheme}://{parts.netloc}", parts.path[1:]
