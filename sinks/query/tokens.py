"""Access tokens: their sites and scope. Functions of a connection, for `Database.run`.

A token is 32 random bytes, shown once; SQL has its SHA-256. No slow hash is needed: nobody
guesses 256 bits.
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

#: `manage` also changes what belongs to a site: subscriptions, import windows.
Scope = Literal["read", "manage"]

_PREFIX = "hr_"
_BYTES = 32
#: Longer than any token: what is longer is not even hashed.
_MOST_CHARACTERS = 128

#: Tokens that are listed, unless more are asked for.
MAX_LISTED = 1_000

_TABLE = table_of(TokenRow)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows; `sites` is None for all."""

    token_id: str
    sites: frozenset[str] | None
    scope: Scope = "read"

    def allows(self, site_id: str) -> bool:
        """Return True if the site may be seen."""
        return self.sites is None or site_id in self.sites


@dataclass(frozen=True, slots=True)
class ListedToken:
    """A token as it is listed: all but the token."""

    token_id: str
    name: str
    grant: Grant
    created_at: datetime
    revoked_at: datetime | None


def create(
    connection: Connection, name: str, sites: Iterable[str] | None, scope: Scope = "read"
) -> str:
    """Return a new token for these sites (None: for all); it is not kept, and works at once."""
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
    """Return what a token allows; None when there is no such token, or none any more."""
    if len(token) > _MOST_CHARACTERS:
        return None
    wanted = token_hash(token)
    columns = (_TABLE.c.token_id, _TABLE.c.token_hash, _TABLE.c.sites, _TABLE.c.scope)
    row = connection.execute(
        select(*columns).where(_TABLE.c.token_hash == wanted, _TABLE.c.revoked_at.is_(None))
    ).one_or_none()
    if row is None or not hmac.compare_digest(row.token_hash, wanted):
        return None
    return _grant(row)


def is_revoked(connection: Connection, token: str) -> bool:
    """Return True for a token that was good once."""
    if len(token) > _MOST_CHARACTERS:
        return False
    query = select(_TABLE.c.revoked_at).where(_TABLE.c.token_hash == token_hash(token))
    return connection.execute(query).scalar_one_or_none() is not None


def list_tokens(connection: Connection, limit: int = MAX_LISTED) -> list[ListedToken]:
    """Return the newest `limit` tokens, the oldest of them first, also those that were revoked."""
    key = (_TABLE.c.created_at, _TABLE.c.token_id)
    newest = select(_TABLE).order_by(*(column.desc() for column in key)).limit(limit)
    rows = connection.execute(newest).all()
    return [
        ListedToken(row.token_id, row.name, _grant(row), row.created_at, row.revoked_at)
        for row in reversed(rows)
    ]


def revoke(connection: Connection, token_id: str) -> bool:
    """End a token; False when there is none with this id that still works."""
    ended = connection.execute(
        update(_TABLE)
        .where(_TABLE.c.token_id == token_id, _TABLE.c.revoked_at.is_(None))
        .values(revoked_at=now_utc())
    )
    return ended.rowcount == 1


def token_hash(token: str) -> str:
    """Return what SQL keeps of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _grant(row: Any) -> Grant:
    sites = frozenset(row.sites) if isinstance(row.sites, list) else None
    # A scope that this version does not know may read, and no more.
    return Grant(row.token_id, sites, "manage" if row.scope == "manage" else "read")
