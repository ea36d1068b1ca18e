"""Queries on registered sites and their keys. Functions of a connection."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from schemas.records import Site, SiteKey
from sinks.sql.tables import SiteKeyRow, SiteRow, SubscriptionRow, TokenRow, table_of
from sinks.sql.types import from_micros, micros, now_utc

_SITES = table_of(SiteRow)
_KEYS = table_of(SiteKeyRow)
_TOKENS = table_of(TokenRow)
_SUBSCRIPTIONS = table_of(SubscriptionRow).c


def find(connection: Connection, site_id: str) -> Site | None:
    """Return a site; None if it is not registered."""
    rows = connection.execute(select(_SITES).where(_SITES.c.site_id == site_id)).all()
    return next(iter(_with_keys(connection, rows)), None)


def all_sites(connection: Connection) -> list[Site]:
    """Return all sites by name."""
    return _with_keys(connection, connection.execute(select(_SITES).order_by(_SITES.c.site_id)))


def names(connection: Connection, limit: int, after: str) -> list[str]:
    """Return up to `limit` site ids after `after`, in order."""
    query = select(_SITES.c.site_id).where(_SITES.c.site_id > after)
    return list(connection.execute(query.order_by(_SITES.c.site_id).limit(limit)).scalars())


def add(connection: Connection, site: Site) -> bool:
    """Insert a site; return False if it already exists."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = dialect.insert(_SITES).values(site_id=site.site_id, **_columns(site))
    if not connection.execute(row.on_conflict_do_nothing()).rowcount:
        return False
    _replace_keys(connection, site)
    return True


def replace(connection: Connection, site: Site, updated_at: int) -> bool:
    """Overwrite a site; return False unless it was last changed at `updated_at`."""
    query = update(_SITES).where(
        _SITES.c.site_id == site.site_id, _SITES.c.updated_at == from_micros(updated_at)
    )
    if not connection.execute(query.values(**_columns(site))).rowcount:
        return False
    _replace_keys(connection, site)
    return True


def remove(connection: Connection, site_id: str) -> bool:
    """Delete a site and its keys; return False if it did not exist."""
    connection.execute(delete(_KEYS).where(_KEYS.c.site_id == site_id))
    return bool(connection.execute(delete(_SITES).where(_SITES.c.site_id == site_id)).rowcount)


def revoke_access(connection: Connection, site_id: str) -> int:
    """Remove a site from all tokens, and revoke those left without sites; return the count."""
    query = select(_TOKENS.c.token_id, _TOKENS.c.sites).where(_TOKENS.c.revoked_at.is_(None))
    changed = [
        (token_id, [name for name in sites if name != site_id])
        for token_id, sites in connection.execute(query)
        if isinstance(sites, list) and site_id in sites
    ]
    for token_id, others in changed:
        values = {"sites": others} if others else {"revoked_at": now_utc()}
        query_of = update(_TOKENS).where(_TOKENS.c.token_id == token_id)
        connection.execute(query_of.values(**values))
    return len(changed)


def subscription_ids(connection: Connection, site_id: str) -> list[str]:
    """Return the ids of the subscriptions of a site."""
    query = select(_SUBSCRIPTIONS.subscription_id).where(_SUBSCRIPTIONS.site_id == site_id)
    return [str(name) for name in connection.execute(query).scalars()]


def _columns(site: Site) -> dict[str, Any]:
    return {
        "origins": site.origins,
        "require_key": site.require_key,
        "events_per_second": site.events_per_second,
        "counts_bots": site.counts_bots,
        "derives_visitors": site.derives_visitors,
        "honours_opt_out": site.honours_opt_out,
        "created_at": from_micros(site.created_at),
        "updated_at": from_micros(site.updated_at),
    }


def _replace_keys(connection: Connection, site: Site) -> None:
    connection.execute(delete(_KEYS).where(_KEYS.c.site_id == site.site_id))
    if site.keys:
        connection.execute(
            insert(_KEYS),
            [
                {
                    "key_id": key.key_id,
                    "site_id": site.site_id,
                    "name": key.name,
                    "key_hash": key.hash,
                    "created_at": from_micros(key.created_at),
                }
                for key in site.keys
            ],
        )


def _with_keys(connection: Connection, rows: Iterable[Row[Any]]) -> list[Site]:
    found = list(rows)
    keys: defaultdict[str, list[SiteKey]] = defaultdict(list)
    query = select(_KEYS).order_by(_KEYS.c.created_at, _KEYS.c.key_id)
    if len(found) == 1:
        query = query.where(_KEYS.c.site_id == found[0].site_id)
    for row in connection.execute(query) if found else ():
        keys[row.site_id].append(
            SiteKey(
                key_id=str(row.key_id),
                name=row.name,
                hash=row.key_hash,
                created_at=micros(row.created_at),
            )
        )
    return [_site(row, keys[row.site_id]) for row in found]


def _site(row: Any, keys: list[SiteKey]) -> Site:
    return Site(
        site_id=row.site_id,
        origins=row.origins,
        require_key=row.require_key,
        events_per_second=row.events_per_second,
        counts_bots=row.counts_bots,
        derives_visitors=row.derives_visitors,
        honours_opt_out=row.honours_opt_out,
        keys=keys,
        created_at=micros(row.created_at),
        updated_at=micros(row.updated_at),
    )
