"""A repository's branches, their protection and rules, and its collaborators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.github.errors import ApiError
from sandbox.github.repository_documents import (
    branch_document,
    collaborator_document,
    permission_document,
    protection_document,
    rule_document,
    ruleset_document,
)
from sandbox.github.rest.call import (
    HUB,
    REPOSITORY_PATHS,
    add_routes,
    api_base,
    array,
    choice_in,
    scope_of,
)
from sandbox.github.settings import PERMISSIONS

if TYPE_CHECKING:
    from sandbox.github.settings import Branch, Repository
    from sandbox.github.state import State

# A branch's name may hold slashes.
_BRANCH = "/branches/{branch:.+}"
_COLLABORATORS = "/collaborators"
_USER = _COLLABORATORS + "/{username}"


def add(app: web.Application) -> None:
    """Serve this chapter."""
    add_routes(app, "GET", REPOSITORY_PATHS, _BRANCH + "/protection", get_protection)
    add_routes(app, "GET", REPOSITORY_PATHS, _BRANCH, get_branch)
    add_routes(app, "GET", REPOSITORY_PATHS, "/rules" + _BRANCH, list_rules)
    add_routes(app, "GET", REPOSITORY_PATHS, "/rulesets/{ruleset_id}", get_ruleset)
    add_routes(app, "GET", REPOSITORY_PATHS, _COLLABORATORS, list_collaborators)
    add_routes(app, "GET", REPOSITORY_PATHS, _USER, check_collaborator)
    add_routes(app, "GET", REPOSITORY_PATHS, _USER + "/permission", get_permission)


async def get_branch(request: web.Request) -> web.Response:
    """Return a branch."""
    with request.app[HUB].view() as state:
        settings = settings_of(request, state)
    return web.json_response(
        branch_document(_branch_of(request, settings), settings, api_base(request))
    )


async def get_protection(request: web.Request) -> web.Response:
    """Return a branch's protection; what rulesets say does not stand there."""
    with request.app[HUB].view() as state:
        settings = settings_of(request, state)
    branch = _branch_of(request, settings)
    if branch.protection is None:
        raise ApiError(404, "Branch not protected")
    base = api_base(request)
    url = f"{base}/repos/{settings.full_name}/branches/{branch.name}/protection"
    return web.json_response(protection_document(branch.protection, url, base))


async def list_rules(request: web.Request) -> web.Response:
    """List the rules in force for a branch, whether it exists or not."""
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
        settings = state.repositories.of(scope.name)
    branch = request.match_info["branch"]
    return array(
        request,
        settings.rules_for(branch),
        f"{scope.path_by_id}/rules/branches/{branch}",
        lambda found: rule_document(*found, settings),
    )


async def get_ruleset(request: web.Request) -> web.Response:
    """Return a ruleset of the repository, or of its organisation."""
    with request.app[HUB].view() as state:
        settings = settings_of(request, state)
    wanted = request.match_info["ruleset_id"]
    found = next((one for one in settings.rulesets if str(one.id) == wanted), None)
    if found is None:
        raise ApiError.not_found()
    return web.json_response(ruleset_document(found, settings))


async def list_collaborators(request: web.Request) -> web.Response:
    """List those with a role; `affiliation` and `permission` narrow it down."""
    affiliation = choice_in(request, "affiliation", ("outside", "direct", "all"), "all")
    permission = choice_in(request, "permission", PERMISSIONS, "pull")
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
        settings = state.repositories.of(scope.name)
    found = [
        collaborator
        for collaborator in settings.collaborators.values()
        if collaborator.has_affiliation(affiliation) and collaborator.permissions[permission]
    ]
    base = api_base(request)
    return array(
        request,
        found,
        scope.path_by_id + _COLLABORATORS,
        lambda collaborator: collaborator_document(collaborator, base),
    )


async def check_collaborator(request: web.Request) -> web.Response:
    """Tell by the status whether somebody has a role."""
    with request.app[HUB].view() as state:
        settings = settings_of(request, state)
    if settings.collaborator(request.match_info["username"]) is None:
        raise ApiError.not_found()
    return web.Response(status=204)


async def get_permission(request: web.Request) -> web.Response:
    """Return what a user may do; everybody may read what is public."""
    login = request.match_info["username"]
    with request.app[HUB].view() as state:
        settings = settings_of(request, state)
        exists = state.repositories.knows(login) and not state.directory.is_organization(login)
    if not exists:
        raise ApiError(404, f"{login} is not a user")
    return web.json_response(
        permission_document(
            login, settings.collaborator(login), api_base(request), private=settings.private
        )
    )


def settings_of(request: web.Request, state: State) -> Repository:
    """Return the settings of the repository that the path names.

    Raises:
        ApiError: 404.
    """
    return state.repositories.of(scope_of(request, state).name)


def _branch_of(request: web.Request, settings: Repository) -> Branch:
    branch = settings.branch(request.match_info["branch"])
    if branch is None:
        raise ApiError(404, "Branch not found")
    return branch
