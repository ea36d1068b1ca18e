"""The service for registered sites, used by the HTTP API and the commands.

Each change is published to the topic first, which is authoritative, and then written to SQL.
`SiteReconciler` repairs partial changes.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

from msgspec.structs import asdict
from msgspec.structs import replace as replaced
from sqlalchemy import Connection

from schemas.records import Site, SiteKey
from schemas.settings import Settings
from schemas.site_keys import KEY_PREFIX, key_hash
from schemas.topics import SITES
from sinks.delivery.publisher import PublishConfiguration, Unavailable, open_publisher
from sinks.delivery.service import NotFound, open_subscriptions, run_in_time
from sinks.delivery.subscription_spec import Body, Invalid, parse
from sinks.sites import store
from sinks.sites.spec import NewSite, NewSiteKey, SiteChange
from sinks.sql.conversion import iso_utc
from sinks.sql.engine import Database, open_database
from sinks.sql.types import micros, now_utc

T = TypeVar("T")
JsonObject = dict[str, Any]

MAX_KEYS = 100
_KEY_BYTES = 32
#: Attempts at a change, in case of concurrent changes of the same site.
_ATTEMPTS = 5


class Removed(NamedTuple):
    """Whether a removed site was registered, and the number of objects deleted with it."""

    was_registered: bool
    keys: int
    tokens: int
    subscriptions: int


class SiteService:
    """Manages registered sites. Create it with `open_sites`.

    Methods return JSON objects, and raise `Unavailable`, `Invalid` for invalid bodies, and
    `NotFound` for a site or key that does not exist. `delete_subscription` takes an id.
    """

    def __init__(
        self,
        database: Database,
        publish: PublishConfiguration,
        delete_subscription: Callable[[str], Awaitable[None]],
    ) -> None:
        self._database = database
        self._publish = publish
        self._delete_subscription = delete_subscription

    async def add(self, body: Body) -> JsonObject:
        """Register a site."""
        new, now = parse(NewSite, body), micros(now_utc())
        site = Site(site_id=new.site_id, created_at=now, updated_at=now, **new.changes())
        taken = Invalid("site_id", f"The site {new.site_id} is registered already")
        if await self._run(lambda connection: store.find(connection, new.site_id)):
            raise taken
        await self._publish(site.site_id, site)
        if not await self._run(lambda connection: store.add(connection, site)):
            raise taken
        return to_json(site)

    async def list(self) -> list[JsonObject]:
        """Return all registered sites by name."""
        return [to_json(site) for site in await self._run(store.all_sites)]

    async def get(self, site_id: str) -> JsonObject:
        """Return a registered site."""
        return to_json(await self._find(site_id))

    async def update(self, site_id: str, body: Body) -> JsonObject:
        """Change the fields in a request body, and return the site."""
        changes = parse(SiteChange, body).changes()
        return to_json(await self._change(site_id, lambda site: replaced(site, **changes)))

    async def remove(self, site_id: str) -> Removed:
        """Delete a site's registration, keys, tokens and subscriptions; idempotent.

        The events of the site stay.
        """
        site = await self._run(lambda connection: store.find(connection, site_id))
        await self._publish(site_id, None)
        subscriptions = await self._run(lambda c: store.subscription_ids(c, site_id))
        for subscription_id in subscriptions:
            with suppress(NotFound):
                await self._delete_subscription(subscription_id)
        tokens = await self._run(lambda c: store.revoke_access(c, site_id))
        await self._run(lambda connection: store.remove(connection, site_id))
        keys = len(site.keys) if site else 0
        return Removed(site is not None, keys, tokens, len(subscriptions))

    async def create_key(self, site_id: str, body: Body) -> JsonObject:
        """Create a site key, and return it with its text in `key`, which is not stored."""
        name, text = parse(NewSiteKey, body).name, KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
        digest = key_hash(text)
        now = micros(now_utc())
        key = SiteKey(key_id=str(uuid4()), name=name, hash=digest, created_at=now)

        def add(site: Site) -> Site:
            if len(site.keys) >= MAX_KEYS:
                raise Invalid("site_id", f"a site has at most {MAX_KEYS} keys: revoke one first")
            keys = sorted([*site.keys, key], key=lambda one: (one.created_at, one.key_id))
            return replaced(site, keys=keys)

        await self._change(site_id, add)
        return {**_key_json(key), "key": text}

    async def revoke_key(self, site_id: str, key_id: str) -> None:
        """Revoke a site key."""

        def remove(site: Site) -> Site:
            others = [key for key in site.keys if key.key_id != key_id]
            if len(others) == len(site.keys):
                raise NotFound
            return replaced(site, keys=others)

        await self._change(site_id, remove)

    async def _find(self, site_id: str) -> Site:
        site = await self._run(lambda connection: store.find(connection, site_id))
        if site is None:
            raise NotFound
        return site

    async def _change(self, site_id: str, change: Callable[[Site], Site]) -> Site:
        """Publish and store a change; repeat it if another one was stored in between."""
        for _ in range(_ATTEMPTS):
            before = await self._find(site_id)
            at = max(micros(now_utc()), before.updated_at + 1)
            after = replaced(change(before), updated_at=at)
            await self._publish(site_id, after)
            if await self._replace(after, before.updated_at):
                return after
        raise Unavailable(f"The site {site_id} was changed concurrently; try again")

    async def _replace(self, site: Site, updated_at: int) -> bool:
        return await self._run(lambda connection: store.replace(connection, site, updated_at))

    async def _run(self, work: Callable[[Connection], T]) -> T:
        return await run_in_time(self._database, work)


@asynccontextmanager
async def open_sites(
    settings: Settings, delete_subscription: Callable[[str], Awaitable[None]]
) -> AsyncIterator[SiteService]:
    """Yield the service; it connects to Kafka and the database when first used."""
    database = open_database(settings.database.url)
    try:
        async with open_publisher(settings.kafka, SITES) as publish:
            yield SiteService(database, publish, delete_subscription)
    finally:
        await database.close()


@asynccontextmanager
async def open_all(settings: Settings) -> AsyncIterator[SiteService]:
    """Yield the service together with a subscription service that it owns."""
    async with (
        open_subscriptions(settings) as subscriptions,
        open_sites(settings, subscriptions.delete) as sites,
    ):
        yield sites


def to_json(site: Site) -> JsonObject:
    """Return a site as a JSON object, without the hashes of its keys."""
    return {
        **asdict(site),
        "keys": [_key_json(key) for key in site.keys],
        "created_at": iso_utc(site.created_at),
        "updated_at": iso_utc(site.updated_at),
    }


def _key_json(key: SiteKey) -> JsonObject:
    return {"key_id": key.key_id, "name": key.name, "created_at": iso_utc(key.created_at)}
