"""Who asks: the token of a request, and what it may see."""

import re
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from schemas.settings import SITE_ID
from sinks.query import tokens
from sinks.query.answers import Refused
from sinks.query.request import Request
from sinks.query.tokens import Grant
from sinks.sql.engine import Database

_COOKIE = "headrace_token"

#: A revoked token stops after so long; a new one works at once, for only what was found is kept.
REMEMBERED_SECONDS = 2.0
_MOST_REMEMBERED = 1_000
_COOKIE_SECONDS = 30 * 24 * 3600
_SAFE = frozenset({"GET", "HEAD"})
_BEARER = re.compile(rb"bearer +(\S+) *", re.IGNORECASE)
_PORT = re.compile(rb".*:(\d{1,5})", re.DOTALL)


class Guard:
    """Finds what tokens allow; `clock` is in seconds."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        # By the hash: the tokens themselves are kept nowhere.
        self._found: dict[str, tuple[float, Grant]] = {}

    async def grant(self, request: Request) -> Grant:
        """Return what the request's token allows; `Refused` with 401 or, for its origin, 403."""
        token = token_of(request)
        grant = await self.check(token) if token else None
        if grant is None:
            raise _unauthorized(given=bool(token))
        if request.method not in _SAFE and not _is_ours(request):
            raise Refused(403, "foreign_origin", "Another site's page may not ask for this")
        return grant

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


def token_of(request: Request) -> str:
    """Return the token that a request carries: header, then address, then cookie."""
    header = request.headers.get(b"authorization")
    if header is not None:
        bearer = _BEARER.fullmatch(header)
        return bearer[1].decode("latin-1") if bearer else ""
    if "access_token" in request.query:
        return request.query["access_token"]
    return _cookie(request)


def site_of(request: Request) -> str:
    """Return the site of the path; 403 unless the token is for it."""
    return site_for(request.grant, request.names["site_id"])


def site_for(grant: Grant, site_id: object) -> str:
    """Return a site that a request names; 400 unless it can be one, 403 unless it is allowed."""
    if not isinstance(site_id, str) or not SITE_ID.fullmatch(site_id):
        raise Refused(
            400,
            "bad_site_id",
            "site_id must be 1 to 64 characters out of A-Z a-z 0-9 . _ -",
            "site_id",
        )
    demand(grant, site_id)
    return site_id


def demand(grant: Grant, site_id: str) -> None:
    """Refuse with 403 what the token is not for."""
    if not grant.allows(site_id):
        raise Refused(403, "forbidden", "This token is not for this site")


def set_cookie(token: str, request: Request) -> tuple[bytes, bytes]:
    """Return the header that gives the page its token, out of reach of any script."""
    secure = "; Secure" if request.scheme == "https" else ""
    own = f"{_cookie_name(request)}={token}"
    told = f"{own}; Path=/; Max-Age={_COOKIE_SECONDS}; HttpOnly; SameSite=Strict"
    return b"set-cookie", (told + secure).encode()


def _cookie(request: Request) -> str:
    try:
        cookies = SimpleCookie(request.headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return ""
    name = _cookie_name(request)
    return cookies[name].value if name in cookies else ""


def _cookie_name(request: Request) -> str:
    """Return a name with the port: two headraces of one host share their cookies otherwise."""
    port = _PORT.fullmatch(request.headers.get(b"host", b""))
    return f"{_COOKIE}_{port[1].decode()}" if port else _COOKIE


def _is_ours(request: Request) -> bool:
    """Tell whether a request that changes something can come from a page of another origin.

    A cookie goes along from other ports of the same host, too; a header or an address does not.
    """
    origin = request.headers.get(b"origin")
    if origin is None or b"authorization" in request.headers:
        return True
    host = request.headers.get(b"host", b"").decode("latin-1")
    return urlsplit(origin.decode("latin-1")).netloc == host


def _unauthorized(*, given: bool) -> Refused:
    if given:
        return Refused(
            401,
            "unauthorized",
            "This token is not known, or was revoked",
            www_authenticate="Bearer",
        )
    return Refused(
        401,
        "unauthorized",
        "A token is needed: Authorization: Bearer <token>; `headrace tokens create` makes one",
        www_authenticate="Bearer",
    )
