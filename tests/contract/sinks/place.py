"""The subscription service with a real database and a topic in memory."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.codec import encode
from schemas.records import Subscription
from sinks.delivery.publisher import Publish, Unavailable
from sinks.delivery.reconciler import Reconciler
from sinks.delivery.sender import CheckingResolver
from sinks.delivery.service import Subscriptions
from sinks.sql.engine import Database, open_database
from sinks.sql.reader import open_reader

BODY: dict[str, Any] = {
    "site_id": "shop",
    "rule": "payment",
    "params": {"min_amount": 10, "currency": "eur"},
    "channel": {"type": "webhook", "url": "https://hooks.example/x"},
    "cooldown_seconds": 60,
}


@dataclass
class Topic:
    """The topic as a list of records; `is_away` makes it unavailable."""

    records: list[tuple[str, Subscription | None]] = field(default_factory=list)
    is_away: bool = False

    async def publish(self, subscription_id: str, record: Subscription | None) -> None:
        """Append a record."""
        if self.is_away:
            raise Unavailable("away")
        self.records.append((subscription_id, record))

    def last(self) -> Subscription | None:
        """Return the last record."""
        return self.records[-1][1]


@dataclass
class Harness:
    """The service with its database and topic."""

    url: str
    database: Database
    reader: Database
    topic: Topic
    service: Subscriptions

    def service_with(
        self, resolver: CheckingResolver, publish: Publish | None = None
    ) -> Subscriptions:
        """Return a service with another resolver or publisher."""
        written = publish or self.topic.publish
        return Subscriptions(self.database, self.reader, written, resolver, allow_private=False)

    def reconciler(self, now: datetime) -> Reconciler:
        """Return a reconciler that has read the topic, with a fixed clock."""
        found = Reconciler(self.database, self.reader, self.topic.publish, lambda: now)
        for name, record in self.topic.records:
            found.apply(name.encode(), None if record is None else encode(record))
        return found


def names(*addresses: str) -> Any:
    """Return a `getaddrinfo` that returns these addresses."""

    def resolve(*_: Any, **__: Any) -> list[Any]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "not found")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, 443)) for name in addresses]

    return resolve


@asynccontextmanager
async def open_harness(database_url: str) -> AsyncIterator[Harness]:
    """Yield a service for which each name resolves to 1.1.1.1."""
    database, reader, topic = open_database(database_url), open_reader(database_url), Topic()
    resolver = CheckingResolver(allow_private=False, getaddrinfo=names("1.1.1.1"))
    made = Subscriptions(database, reader, topic.publish, resolver, allow_private=False)
    yield Harness(database_url, database, reader, topic, made)
    await made.wait_for_rollbacks()
    await resolver.close()
    await reader.close()
    await database.close()
