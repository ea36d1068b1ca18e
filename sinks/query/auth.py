"""Authentication and authorization: the token of a request, and what it may see."""

import re
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.security import APIKeyCookie, APIKeyQuery, HTTPBearer

from schemas.settings import SITE_ID
from sinks.query import tokens
from sinks.query.errors import ApiError, Route, responses
from sinks.query.tokens import Grant
from sinks.sql.engine import Database

_COOKIE = "headrace_token"

#: A revoked token stops after so long; a new one works at once, for only what was found is kept.
REMEMBERED_SECONDS = 2.0
_MOST_REMEMBERED = 1_000
_COOKIE_SECONDS = 30 * 24 * 3600
_SAFE = frozenset({"GET", "HEAD"})
_NEEDED = "A token is needed: Authorization: Bearer <token>; `headrace tokens create` makes one"
_UNKNOWN = "This token is not known here; `headrace tokens create` makes another"
_MANAGE_NEEDED = (
    "This token can only read; a change needs a token of `headrace tokens create --manage`"
)
_REVOKED = "This token was revoked; `headrace tokens create` makes another"
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_PORT = re.compile(r".*:(\d{1,5})", re.DOTALL)

#: The ways to send a token, for the OpenAPI document; `token_of` reads it.
_SECURITY = [
    Depends(HTTPBearer(scheme_name="bearer", auto_error=False)),
    Depends(APIKeyQuery(name="access_token", scheme_name="access_token", auto_error=False)),
    Depends(
        APIKeyCookie(
            name=_COOKIE,
            scheme_name="cookie",
            description="The page's; followed by _ and the port where the address has one.",
            auto_error=False,
        )
    ),
]


def router_of(prefix: str, tag: str) -> APIRouter:
    """Return a router of paths that ask for a token."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        route_class=Route,
        dependencies=_SECURITY,
        responses=responses(400, 401, 403, 404, 405, 413, 429, 500, 503, 504),
    )


class Guard:
    """Finds what tokens allow; `clock` is in seconds."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        # By the hash: the tokens themselves are kept nowhere.
        self._found: dict[str, tuple[float, Grant]] = {}

    async def grant(self, request: Request) -> Grant:
        """Return what the request's token allows; an error with 401 or 403.

        403 is for a change that another origin requests, or that the scope does not allow.
        """
        token = token_of(request)
        grant = await self.check(token) if token else None
        if grant is None:
            raise await self.unauthorized(token)
        if request.method not in _SAFE:
            demand_own_origin(request)
            if grant.scope != "manage":
                raise ApiError("manage_required", _MANAGE_NEEDED)
        return grant

    async def unauthorized(self, token: str) -> ApiError:
        """Return why a token that `check` does not know opens nothing; empty: there is none.

        As in RFC 6750, `invalid_token` in WWW-Authenticate marks a wrong token, not a missing one.
        """
        if not token:
            return ApiError("unauthorized", _NEEDED, www_authenticate="Bearer")
        sentence = _REVOKED if await self.was_revoked(token) else _UNKNOWN
        challenge = 'Bearer error="invalid_token"'
        return ApiError("unauthorized", sentence, www_authenticate=challenge)

    async def was_revoked(self, token: str) -> bool:
        """Return True for a token that was good once."""
        return await self._database.run(lambda connection: tokens.is_revoked(connection, token))

    async def check(self, token: str) -> Grant | None:
        """Return what a token allows, None when it is not, or no longer, good."""
        key = tokens.token_hash(token)
        (since, grant) = self._found.get(key, (0.0, None))
        if grant is not None and self._clock() - since < REMEMBERED_SECONDS:
            return grant
        self._found.pop(key, None)
        grant = await self._database.run(lambda connection: tokens.check(connection, token))
        if grant is not None:
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()
            self._found[key] = (self._clock(), grant)
        return grant


async def _grant(request: Request) -> Grant:
    guard: Guard = request.app.state.guard
    if request.app.state.query.is_stopping:
        raise ApiError("shutting_down", "The server is shutting down", retry_after="1")
    return await guard.grant(request)


#: What the token of the request allows.
Granted = Annotated[Grant, Depends(_grant)]


async def _site(
    site_id: Annotated[
        str,
        Path(json_schema_extra={"pattern": f"^{SITE_ID.pattern}$"}, examples=["my-site"]),
    ],
    grant: Granted,
) -> str:
    return site_for(grant, site_id)


#: The site of the path, which the token is for.
AllowedSite = Annotated[str, Depends(_site)]


def token_of(request: Request) -> str:
    """Return the token that a request carries: header, then address, then cookie."""
    header = request.headers.get("authorization")
    if header is not None:
        bearer = _BEARER.fullmatch(header)
        return bearer[1] if bearer else ""
    if "access_token" in request.query_params:
        return request.query_params["access_token"]
    return request.cookies.get(_cookie_name(request), "")


def site_for(grant: Grant, site_id: object) -> str:
    """Return a site that a request names; 400 unless it can be one, 403 unless it is allowed."""
    if not isinstance(site_id, str) or not SITE_ID.fullmatch(site_id):
        raise ApiError(
            "bad_site_id", "site_id must be 1 to 64 characters out of A-Z a-z 0-9 . _ -", "site_id"
        )
    demand(grant, site_id)
    return site_id


def demand(grant: Grant, site_id: str) -> None:
    """Reject with 403 a site that the token is not for."""
    if not grant.allows(site_id):
        raise ApiError("forbidden", "This token is not for this site")


def demand_own_origin(request: Request) -> None:
    """Reject with 403 a change that a page of another origin requests.

    The cookie is sent from other ports of the same host as well; a header or an address is not.
    """
    origin = request.headers.get("origin")
    if origin is None or "authorization" in request.headers:
        return
    host = request.headers.get("host", "")
    if not host or origin.partition("://")[2] != host:
        raise ApiError("foreign_origin", "Another site's page may not ask for this")


def set_cookie(response: Response, token: str, request: Request) -> None:
    """Give the page its token, out of reach of any script."""
    response.set_cookie(
        _cookie_name(request),
        token,
        max_age=_COOKIE_SECONDS,
        secure=request.scope.get("scheme") == "https",
        httponly=True,
        samesite="strict",
    )


def _cookie_name(request: Request) -> str:
    """Return a name with the port: two headraces of one host share their cookies otherwise."""
    port = _PORT.fullmatch(request.headers.get("host", ""))
    return f"{_COOKIE}_{port[1]}" if port else _COOKIE
