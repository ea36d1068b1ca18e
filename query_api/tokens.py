"""Access tokens, their sites and scopes. Functions of a connection for `Database.run`.

A token has 32 random bytes, and SQL its SHA-256: 256 random bits need no slow hash.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import Connection, insert, select, update

from sinks.sql.tables import TokenRow, table_of
from sinks.sql.types import now_utc

ALL_SITES = "*"

#: `manage` also allows changes of subscriptions and import windows.
Scope = Literal["read", "manage"]

_PREFIX = "hr_"
_BYTES = 32
#: Longer tokens are rejected without hashing.
_MAX_CHARACTERS = 128

#: Default maximum number of listed tokens.
MAX_LISTED = 1_000

_TABLE = table_of(TokenRow)


@dataclass(frozen=True, slots=True)
class Grant:
    """The permissions of a token; `sites` is None for all sites."""

    token_id: str
    sites: frozenset[str] | None
    scope: Scope = "read"

    def allows(self, site_id: str) -> bool:
        """Return True if the token allows the site."""
        return self.sites is None or site_id in self.sites


@dataclass(frozen=True, slots=True)
class ListedToken:
    """A token in a list, without its secret."""

    token_id: str
    name: str
    grant: Grant
    created_at: datetime
    revoked_at: datetime | None


def create(
    connection: Connection, name: str, sites: Iterable[str] | None, scope: Scope = "read"
) -> str:
    """Create and return a token for these sites (None: all). Only its hash is stored."""
    token = _PREFIX + secrets.token_urlsafe(_BYTES)
    connection.execute(
        insert(_TABLE).values(
            token_id=str(uuid4()),
            token_hash=token_hash(token),
            name=name,
            sites=ALL_SITES if sites is None else sorted(set(sites)),
            scope=scope,
            created_at=now_utc(),
            revoked_at=None,
        )
    )
    return token


def check(connection: Connection, token: str) -> Grant | None:
    """Return the grant of a token; None if it is unknown or revoked."""
    if len(token) > _MAX_CHARACTERS:
        return None
    hashed = token_hash(token)
    columns = (_TABLE.c.token_id, _TABLE.c.token_hash, _TABLE.c.sites, _TABLE.c.scope)
    row = connection.execute(
        select(*columns).where(_TABLE.c.token_hash == hashed, _TABLE.c.revoked_at.is_(None))
    ).one_or_none()
    if row is None or not hmac.compare_digest(row.token_hash, hashed):
        return None
    return _grant(row)


def is_revoked(connection: Connection, token: str) -> bool:
    """Return True for a revoked token."""
    if len(token) > _MAX_CHARACTERS:
        return False
    query = select(_TABLE.c.revoked_at).where(_TABLE.c.token_hash == token_hash(token))
    return connection.execute(query).scalar_one_or_none() is not None


def list_tokens(connection: Connection, limit: int = MAX_LISTED) -> list[ListedToken]:
    """Return the newest `limit` tokens, oldest first, including revoked ones."""
    key = (_TABLE.c.created_at, _TABLE.c.token_id)
    newest = select(_TABLE).order_by(*(column.desc() for column in key)).limit(limit)
    rows = connection.execute(newest).all()
    return [
        ListedToken(row.token_id, row.name, _grant(row), row.created_at, row.revoked_at)
        for row in reversed(rows)
    ]


def revoke(connection: Connection, token_id: str) -> bool:
    """Revoke a token. Return False if there is no valid token with this id."""
    result = connection.execute(
        update(_TABLE)
        .where(_TABLE.c.token_id == token_id, _TABLE.c.revoked_at.is_(None))
        .values(revoked_at=now_utc())
    )
    return result.rowcount == 1


def token_hash(token: str) -> str:
    """Return the SHA-256 of a token in hex."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _grant(row: Any) -> Grant:
    sites = frozenset(row.sites) if isinstance(row.sites, list) else None
    # A scope of a later version is treated as `read`.
    return Grant(row.token_id, sites, "manage" if row.scope == "manage" else "read")
