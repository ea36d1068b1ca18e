"""Authentication and authorization of requests by tokens."""

import re
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.security import APIKeyCookie, APIKeyQuery, HTTPBearer

from query_api import tokens
from query_api.errors import ApiError, Route, responses
from query_api.tokens import Grant
from schemas.root_path import root_path_of
from schemas.settings import SITE_ID
from schemas.trusted_proxies import TrustedProxies
from sinks.sql.engine import Database

_COOKIE = "headrace_token"

#: How long valid tokens are cached, so that a revoked one still works. Unknown tokens are not
#: cached, so that a new one works at once.
CACHE_SECONDS = 2.0
_MAX_CACHED = 1_000
_COOKIE_SECONDS = 30 * 24 * 3600
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_REQUIRED = (
    "A token is required: Authorization: Bearer <token>; `headrace tokens create` creates one"
)
_UNKNOWN = "This token is unknown; `headrace tokens create` creates another"
_MANAGE_REQUIRED = (
    "This token can only read; a change requires a token of `headrace tokens create --manage`"
)
_REVOKED = "This token was revoked; `headrace tokens create` creates another"
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_PORT = re.compile(r".*:(\d{1,5})", re.DOTALL)

#: The security schemes of the OpenAPI document; `token_of` implements them.
_SECURITY = [
    Depends(HTTPBearer(scheme_name="bearer", auto_error=False)),
    Depends(APIKeyQuery(name="access_token", scheme_name="access_token", auto_error=False)),
    Depends(
        APIKeyCookie(
            name=_COOKIE,
            scheme_name="cookie",
            description="Cookie of the dashboard; the port and the root path are appended if the "
            "URL has them. With TLS it has the prefix __Host-, below a root path __Secure-.",
            auto_error=False,
        )
    ),
]


def make_router(prefix: str, tag: str) -> APIRouter:
    """Return a router whose paths require a token."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        route_class=Route,
        dependencies=_SECURITY,
        responses=responses(400, 401, 403, 404, 405, 413, 429, 500, 503, 504),
    )


class Authenticator:
    """Checks tokens, with a cache of valid ones. `clock` is in seconds."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        #: By hash, so that tokens are not stored.
        self._cache: dict[str, tuple[float, Grant]] = {}

    async def grant(self, request: Request) -> Grant:
        """Return the grant of the request's token.

        Raises `ApiError`: 401 without a valid token, 403 for a change from another origin or
        without the scope `manage`.
        """
        token = token_of(request)
        grant = await self.check(token) if token else None
        if grant is None:
            raise await self.unauthorized(token)
        if request.method not in _SAFE_METHODS:
            require_same_origin(request)
            if grant.scope != "manage":
                raise ApiError("manage_required", _MANAGE_REQUIRED)
        return grant

    async def unauthorized(self, token: str) -> ApiError:
        """Return the 401 error for a missing (""), unknown or revoked token.

        As in RFC 6750, its challenge has the error `invalid_token` unless the token is missing.
        """
        if not token:
            return ApiError("unauthorized", _REQUIRED, www_authenticate="Bearer")
        sentence = _REVOKED if await self.was_revoked(token) else _UNKNOWN
        challenge = 'Bearer error="invalid_token"'
        return ApiError("unauthorized", sentence, www_authenticate=challenge)

    async def was_revoked(self, token: str) -> bool:
        """Return True for a revoked token."""
        return await self._database.run(lambda connection: tokens.is_revoked(connection, token))

    async def check(self, token: str) -> Grant | None:
        """Return the grant of a token, None if it is unknown or revoked."""
        key = tokens.token_hash(token)
        (cached_at, grant) = self._cache.get(key, (0.0, None))
        if grant is not None and self._clock() - cached_at < CACHE_SECONDS:
            return grant
        self._cache.pop(key, None)
        grant = await self._database.run(lambda connection: tokens.check(connection, token))
        if grant is not None:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            self._cache[key] = (self._clock(), grant)
        return grant


async def _grant(request: Request) -> Grant:
    authenticator: Authenticator = request.app.state.authenticator
    if request.app.state.query.is_stopping:
        raise ApiError("shutting_down", "The server is shutting down", retry_after="1")
    return await authenticator.grant(request)


#: The grant of the request's token.
Granted = Annotated[Grant, Depends(_grant)]


async def _site(
    site_id: Annotated[
        str,
        Path(json_schema_extra={"pattern": f"^{SITE_ID.pattern}$"}, examples=["my-site"]),
    ],
    grant: Granted,
) -> str:
    return validate_site(grant, site_id)


#: The site in the path, to which the token grants access.
AllowedSite = Annotated[str, Depends(_site)]


async def _manage(grant: Granted) -> Grant:
    if grant.scope != "manage":
        raise ApiError("manage_required", _MANAGE_REQUIRED)
    return grant


#: The grant of a token with the scope `manage`.
Managing = Annotated[Grant, Depends(_manage)]


async def _managed_site(site_id: AllowedSite, _: Managing) -> str:
    return site_id


#: The site of the path, which the token may manage.
AllowedManager = Annotated[str, Depends(_managed_site)]


def token_of(request: Request) -> str:
    """Return the token of the Authorization header, the query string or the cookie; else ""."""
    header = request.headers.get("authorization")
    if header is not None:
        bearer = _BEARER.fullmatch(header)
        return bearer[1] if bearer else ""
    if "access_token" in request.query_params:
        return request.query_params["access_token"]
    return request.cookies.get(_cookie_name(request), "")


def validate_site(grant: Grant, site_id: object) -> str:
    """Return `site_id`. Raise `ApiError`: 400 if it is invalid, 403 if the token has no access."""
    if not isinstance(site_id, str) or not SITE_ID.fullmatch(site_id):
        raise ApiError(
            "bad_site_id", "site_id must be 1 to 64 characters from A-Z a-z 0-9 . _ -", "site_id"
        )
    require_site(grant, site_id)
    return site_id


def require_site(grant: Grant, site_id: str) -> None:
    """Raise `ApiError` 403 if the token has no access to the site."""
    if not grant.allows(site_id):
        raise ApiError("forbidden", "This token has no access to this site")


def require_same_origin(request: Request) -> None:
    """Raise `ApiError` 403 for a cross-origin request without an Authorization header.

    `SameSite` does not suffice: it also admits pages on other ports of the same host.
    """
    origin = request.headers.get("origin")
    if origin is None or "authorization" in request.headers:
        return
    host = _host_of(request)
    if not host or origin.partition("://")[2] != host:
        raise ApiError("foreign_origin", "A page of another origin cannot make this request")


def set_cookie(response: Response, token: str, request: Request) -> None:
    """Set the token as an HttpOnly cookie of the paths below the root path."""
    response.set_cookie(
        _cookie_name(request),
        token,
        max_age=_COOKIE_SECONDS,
        path=f"{root_path_of(request.scope)}/",
        secure=_is_https(request),
        httponly=True,
        samesite="strict",
    )


def _cookie_name(request: Request) -> str:
    """Return the cookie name with the port and the root path.

    All ports of a host share cookies, and a request has those of all paths above its own. With TLS,
    the prefix `__Host-` forbids that another host or a page without TLS sets the cookie. It also
    requires the path /: below a root path, the prefix is `__Secure-`, so that browsers do not send
    the token to the other applications of the host.
    """
    port = _PORT.fullmatch(_host_of(request))
    root_path = root_path_of(request.scope)
    name = (f"{_COOKIE}_{port[1]}" if port else _COOKIE) + root_path.replace("/", "_")
    if not _is_https(request):
        return name
    return f"__Secure-{name}" if root_path else f"__Host-{name}"


def _host_of(request: Request) -> str:
    """Return the host that the client requested, with the port if the URL has one."""
    proxies, peer = _proxy_of(request)
    host = proxies.host(peer, request.scope["headers"])
    return host or request.headers.get("host", "")


def _is_https(request: Request) -> bool:
    """Return True if the client uses TLS, also if it ends at a trusted proxy."""
    if request.scope.get("scheme") == "https":
        return True
    proxies, peer = _proxy_of(request)
    return proxies.is_https(peer, request.scope["headers"])


def _proxy_of(request: Request) -> tuple[TrustedProxies, str]:
    """Return the trusted proxies, and the address of the peer, which may be one of them."""
    return request.app.state.query.proxies, request.client.host if request.client else ""
