"""GitHub's error answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCUMENTATION_URL = "https://docs.github.com/rest"
PRIMARY_LIMIT = "API rate limit exceeded for the sandbox's user."
SECONDARY_LIMIT = (
    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
)


class ApiError(Exception):
    """An answer that is an error, with GitHub's wording where that is known.

    Args:
        status: the HTTP status.
        message: GitHub's `message`.
        errors: GitHub's list of `errors`, left out when empty.
        headers: further headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message
        self.errors = errors
        self.headers = dict(headers or {})

    def document(self) -> dict[str, object]:
        """Return the answer's body."""
        body: dict[str, object] = {"message": self.message}
        if self.errors:
            body["errors"] = list(self.errors)
        return body | {"documentation_url": DOCUMENTATION_URL, "status": str(self.status)}

    @classmethod
    def not_found(cls) -> ApiError:
        """Return the 404 that also hides what the asker may not see."""
        return cls(404, "Not Found")

    @classmethod
    def bad_credentials(cls) -> ApiError:
        """Return the 401 of an unknown token."""
        return cls(401, "Bad credentials")

    @classmethod
    def requires_authentication(cls) -> ApiError:
        """Return the 401 of a request without a token."""
        return cls(401, "Requires authentication")

    @classmethod
    def not_accessible(cls, kind: str) -> ApiError:
        """Return the 403 of a token that lacks a permission."""
        return cls(403, f"Resource not accessible by {kind}")

    @classmethod
    def rate_limited(cls, headers: Mapping[str, str]) -> ApiError:
        """Return the 403 of an exhausted hourly budget."""
        return cls(403, PRIMARY_LIMIT, headers=headers)

    @classmethod
    def secondary_limited(cls, retry_after_s: int) -> ApiError:
        """Return the 403 of too many requests within a minute."""
        return cls(403, SECONDARY_LIMIT, headers={"Retry-After": str(retry_after_s)})

    @classmethod
    def inherited_group(cls) -> ApiError:
        """Return the 403 of a runner group that only the enterprise may use and change."""
        return cls(403, "The runner group is inherited from the enterprise.")

    @classmethod
    def hosted_group(cls) -> ApiError:
        """Return the 403 of a runner group for runners that GitHub hosts."""
        return cls(403, "The runner group is for GitHub-hosted runners only.")

    @classmethod
    def unprocessable(cls, message: str, *errors: str) -> ApiError:
        """Return the 422 of a request that makes no sense."""
        return cls(422, message, errors=errors)
