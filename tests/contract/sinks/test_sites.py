"""Registered sites, on both engines, with a topic in memory."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import Connection

from query_api import tokens
from schemas.codec import encode
from schemas.records import Site
from sinks.delivery.publisher import Unavailable
from sinks.delivery.service import NotFound
from sinks.delivery.subscription_spec import Invalid
from sinks.sites import store
from sinks.sites.reconciler import SiteReconciler
from sinks.sites.service import Removed, SiteService
from sinks.sql.engine import Database, open_database
from sinks.sql.types import now_utc
from tests.contract.sinks.place import BODY, Harness

SHOP = {"site_id": "shop", "origins": ["https://shop.example"], "events_per_second": 5}
LATER = timedelta(minutes=5)


class Topic:
    """The topic in memory; `before_return` runs after each record."""

    def __init__(self) -> None:
        self.records: list[tuple[str, Site | None]] = []
        self.is_away = False
        self.before_return: Callable[[], Any] | None = None

    async def publish(self, key: str, record: Any) -> None:
        """Append a record."""
        if self.is_away:
            raise Unavailable("away")
        self.records.append((key, record))
        if (then := self.before_return) is not None:
            self.before_return = None
            await then()

    def state(self) -> dict[str, Site | None]:
        """Return the last record of each key."""
        return dict(self.records)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Yield the database."""
    database = open_database(database_url)
    yield database
    await database.close()


@pytest.fixture
def topic() -> Topic:
    """Return the topic."""
    return Topic()


async def never(_: str) -> None:
    """Delete no subscription."""
    raise AssertionError


@pytest.fixture
def service(database: Database, topic: Topic) -> SiteService:
    """Return the service."""
    return SiteService(database, topic.publish, never)


async def reconcile(database: Database, topic: Topic) -> None:
    """Compare the tables with the topic, five minutes from now."""
    reconciler = SiteReconciler(database, database, topic.publish, lambda: now_utc() + LATER)
    for key, record in topic.records:
        reconciler.apply(key.encode(), None if record is None else encode(record))
    reconciler.apply(b"shop", b"garbage")
    await reconciler.reconcile()


async def rows(database: Database) -> dict[str, Site | None]:
    """Return the sites in SQL."""
    return {site.site_id: site for site in await database.run(store.all_sites)}


async def test_a_site_is_registered_changed_and_removed(
    service: SiteService, database: Database, topic: Topic
) -> None:
    """The topic and the tables have the same content after each change."""
    made = await service.add(SHOP)
    assert (made["origins"], made["require_key"], made["derives_visitors"]) == (
        ["https://shop.example"],
        None,
        True,
    )
    assert await service.get("shop") == made
    changed = await service.update("shop", {"require_key": [], "events_per_second": None})
    assert (changed["origins"], changed["require_key"]) == (made["origins"], [])
    assert changed["updated_at"] > made["updated_at"]
    await service.add({"site_id": "blog"})
    assert [site["site_id"] for site in await service.list()] == ["blog", "shop"]
    assert await rows(database) == topic.state()

    assert await service.remove("shop") == Removed(True, 0, 0, 0)
    assert await service.remove("shop") == Removed(False, 0, 0, 0)
    assert topic.state()["shop"] is None
    assert list(await rows(database)) == ["blog"]
    for gone in (service.get("shop"), service.update("shop", {}), service.create_key("shop", {})):
        with pytest.raises(NotFound):
            await gone


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"site_id": "no/site"}, "site_id"),
        ({"site_id": "shop"}, "site_id"),
        ({"site_id": "x", "origins": ["https://x.example/path"]}, "origins.0"),
        ({"site_id": "x", "require_key": ["payments"]}, "require_key.0"),
        ({"site_id": "x", "events_per_second": 0}, "events_per_second"),
        ({"site_id": "x", "keys": []}, "keys"),
    ],
)
async def test_invalid_and_taken_sites_are_rejected(
    service: SiteService, topic: Topic, body: dict[str, Any], field: str
) -> None:
    """Before anything is written; the error names the field."""
    await service.add({"site_id": "shop"})
    with pytest.raises(Invalid) as caught:
        await service.add(body)

    assert caught.value.field == field
    assert len(topic.records) == 1


async def test_keys_are_shown_once_and_stored_hashed(
    service: SiteService, database: Database, topic: Topic
) -> None:
    """Neither the topic nor the tables have the key itself."""
    await service.add(SHOP)
    first = await service.create_key("shop", {"name": "till"})
    second = await service.create_key("shop", {})
    text = first.pop("key")

    assert text.startswith("hrk_")
    assert (await service.get("shop"))["keys"][0] == first
    stored = topic.state()["shop"]
    assert stored is not None
    assert stored.keys[0].hash == sha256(text.encode()).hexdigest()
    assert text not in str(topic.records)
    assert await rows(database) == topic.state()

    await service.revoke_key("shop", first["key_id"])
    assert [key["key_id"] for key in (await service.get("shop"))["keys"]] == [second["key_id"]]
    with pytest.raises(NotFound):
        await service.revoke_key("shop", first["key_id"])


async def test_concurrent_changes_are_both_kept(
    service: SiteService, database: Database, topic: Topic
) -> None:
    """The one that finds another version in SQL is repeated on top of it."""
    await service.add(SHOP)
    topic.before_return = lambda: service.create_key("shop", {"name": "other"})

    await service.create_key("shop", {"name": "mine"})

    site = (await rows(database))["shop"]
    assert site is not None
    assert sorted(key.name for key in site.keys) == ["mine", "other"]
    assert topic.state()["shop"] == site


async def test_removing_a_site_removes_its_tokens_and_subscriptions(harness: Harness) -> None:
    """Tokens of other sites as well keep those; other subscriptions stay."""
    sites = SiteService(harness.database, Topic().publish, harness.service.delete)
    await sites.add(SHOP)
    for site in ("shop", "shop", "blog"):
        await harness.service.create({**BODY, "site_id": site})

    def create(connection: Connection) -> list[str]:
        granted = (["shop"], ["shop", "blog"], ["blog"], None)
        return [tokens.create(connection, "", names) for names in granted]

    made = await harness.database.run(create)
    assert await sites.remove("shop") == Removed(True, 0, 2, 2)

    def check(connection: Connection) -> list[Any]:
        return [tokens.check(connection, token) for token in made]

    grants = await harness.database.run(check)
    assert [grant and grant.sites for grant in grants] == [None, {"blog"}, {"blog"}, None]
    assert grants[0] is None


async def test_partial_changes_are_repaired(
    service: SiteService, database: Database, topic: Topic
) -> None:
    """The topic is authoritative; what a new topic does not have is published."""
    await service.add(SHOP)
    await service.add({"site_id": "blog"})
    await service.add({"site_id": "lost"})
    topic.records = [(key, record) for key, record in topic.records if key != "lost"]
    shop = topic.state()["shop"]
    assert shop is not None
    new = Site(site_id="new", created_at=1, updated_at=1)
    changed = Site(site_id="shop", created_at=1, updated_at=shop.updated_at + 1)
    topic.records += [("new", new), ("shop", changed), ("blog", None), ("gone", None)]

    await reconcile(database, topic)

    assert await rows(database) == {"new": new, "shop": changed, "lost": topic.state()["lost"]}
    published = len(topic.records)
    await reconcile(database, topic)
    assert len(topic.records) == published
    topic.is_away = True
    with pytest.raises(Unavailable):
        await service.update("shop", {"counts_bots": True})
    assert (await rows(database))["shop"] == changed
