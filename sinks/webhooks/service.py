"""The life of subscriptions: what HTTP asks of them.

Each change goes to the topic first, which decides what is evaluated, and then to SQL, which
has the rest; see `mend.py` for what happens when only the first was done.
"""

import asyncio
import secrets
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import Connection
from yarl import URL

from schemas.settings import Settings
from sinks.paging import Page, Slice
from sinks.sql.engine import Database, open_database
from sinks.sql.errors import DATABASE_ERRORS, TooSlow, explain
from sinks.sql.reader import open_reader
from sinks.sql.types import now_utc
from sinks.webhooks import records
from sinks.webhooks.addresses import ForbiddenError
from sinks.webhooks.asked import Asked, Body, Invalid, read_change, read_new
from sinks.webhooks.records import Answer
from sinks.webhooks.sender import CheckingResolver
from sinks.webhooks.topic import Publish, Unavailable, open_topic

T = TypeVar("T")

#: Subscriptions of one site.
MAX_OF_SITE = 100
_SECRET_BYTES = 32
_DEADLINE_SECONDS = 8.0
_LOOKUP_SECONDS = 3.0
_JUST_LATER = timedelta(microseconds=1)


@asynccontextmanager
async def open_subscriptions(settings: Settings) -> AsyncIterator["Subscriptions"]:
    """Give the service; it connects to Kafka and the database when it is first asked."""
    allow_private, url = settings.webhooks.allow_private, settings.database.url
    database = open_database(url)
    reader = open_reader(url, settings.query.statement_timeout_seconds)
    resolver = CheckingResolver(allow_private=allow_private)
    try:
        async with open_topic(settings.kafka) as publish:
            service = Subscriptions(
                database, reader, publish, resolver, allow_private=allow_private
            )
            yield service
            await service.undone()
    finally:
        await resolver.close()
        await reader.close()
        await database.close()


class NotFound(Exception):  # noqa: N818 - an answer, not a fault
    """There is no such subscription or delivery."""


class Subscriptions:
    """Creates, lists, changes, deletes, tests; `open_subscriptions` makes one with all it needs.

    Subscriptions and deliveries are dicts as HTTP shows them. Ids are UUIDs in canonical text. All
    methods raise `Unavailable`, and `NotFound` for an id that does not exist. The caller has
    checked that the token may see the site.
    """

    def __init__(
        self,
        database: Database,
        reader: Database,
        publish: Publish,
        resolver: CheckingResolver,
        *,
        allow_private: bool,
    ) -> None:
        self._database = database
        #: So that who only asks holds nobody back: on SQLite, a transaction takes the write lock.
        self._reader = reader
        self._publish = publish
        self._resolver = resolver
        self._allow_private = allow_private
        self._undoing: set[asyncio.Task[None]] = set()

    async def create(self, body: Body) -> Answer:
        """Return the new subscription with its `secret`; `Invalid` names the field."""
        asked = read_new(body, allow_private=self._allow_private)
        await self._check_where(asked.url)
        # Here so that nothing is published; again where it is inserted, for certain.
        await self._read(lambda connection: _check_count(connection, asked.site_id))
        subscription_id, at = str(uuid4()), now_utc()
        secret = "whsec_" + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
        try:
            await self._publish(
                subscription_id, records.record_of(subscription_id, asked, records.micros(at))
            )
            row = await self._write(
                lambda connection: _add(connection, subscription_id, asked, secret, at)
            )
        except BaseException:  # also when who asked has gone away
            self._undo(subscription_id)
            raise
        return {**records.shown(row), "secret": secret}

    async def list(self, sites: Sequence[str] | None, part: Slice) -> Page:
        """Return subscriptions of these sites (None: of all), newest first."""
        return await self._read(lambda connection: records.page(connection, sites, part))

    async def get(self, name: str) -> Answer:
        """Return the subscription."""
        found = await self._read(lambda connection: records.find(connection, name))
        return records.shown(_existing(found))

    async def patch(self, name: str, body: Body) -> Answer:
        """Change `params`, `channel`, `cooldown_seconds`, `enabled`; `Invalid` names the field."""
        row = await self._to_change(name)
        asked = read_change(records.asked_of(row), body, allow_private=self._allow_private)
        if asked.url != row.url:
            await self._check_where(asked.url)
        return await self._change(row, asked, None if asked.enabled else row.disabled_reason)

    async def disable(self, name: str, reason: str) -> None:
        """Turn a subscription off, and say why; nothing if it is off or gone."""
        with suppress(NotFound):
            row = await self._to_change(name)
            if row.enabled:
                await self._change(row, replace(records.asked_of(row), enabled=False), reason)

    async def delete(self, name: str) -> None:
        """Delete it and cancel what is on its way."""
        await self._to_change(name)
        await self._publish(name, None)
        if not await self._write(lambda connection: records.remove(connection, name)):
            raise NotFound

    async def test(self, name: str) -> Answer:
        """Enqueue a test, which is delivered as an alert is, and return the delivery."""
        row = await self._to_change(name)
        _check_on(row)
        (delivery, now) = (str(uuid4()), now_utc())
        return _existing(
            await self._write(lambda connection: records.add_test(connection, row, delivery, now))
        )

    async def deliveries(self, name: str, part: Slice) -> Page:
        """Return its deliveries, newest first, each with its list of `attempts`."""
        return await self._read(lambda connection: records.deliveries(connection, name, part))

    async def resend(self, name: str, delivery: str) -> Answer:
        """Send a delivery again, from the start of the schedule."""
        _check_on(await self._to_change(name))
        now = now_utc()
        found = await self._write(
            lambda connection: records.send_again(connection, name, delivery, now)
        )
        return _existing(found)

    async def undone(self) -> None:
        """Return when what failed half-way has been undone, or given up."""
        await asyncio.gather(*self._undoing)

    def _undo(self, subscription_id: str) -> None:
        """Take back what nobody was told the secret of; `mend.py` does when this cannot."""

        async def undo() -> None:
            with suppress(Unavailable):
                await self._publish(subscription_id, None)
                await self._write(lambda connection: records.remove(connection, subscription_id))

        task = asyncio.create_task(undo())
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)

    async def _to_change(self, name: str) -> Any:
        """Return the row to change; read where it is changed, so that no list delays it."""
        return _existing(await self._write(lambda connection: records.find(connection, name)))

    async def _change(self, row: Any, asked: Asked, reason: str | None) -> Answer:
        name, at = row.subscription_id, max(now_utc(), row.updated_at + _JUST_LATER)
        await self._publish(name, records.record_of(name, asked, records.micros(at)))
        changed = await self._write(
            lambda connection: records.change(connection, name, asked, reason, at)
        )
        return records.shown(_existing(changed))

    async def _check_where(self, url: str) -> None:
        """Refuse a name that leads inside now; one that is not found may be, later."""
        host = URL(url).raw_host or ""
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                await self._resolver.resolve(host, 443, socket.AF_UNSPEC)
        except ForbiddenError as error:
            raise Invalid("channel.url", str(error)) from None
        except (OSError, TimeoutError, UnicodeError):
            return  # each attempt looks again, and says so

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await _run(self._reader, work)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await _run(self._database, work)


async def _run(database: Database, work: Callable[[Connection], T]) -> T:
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            return await database.run(work)
    except TooSlow:
        raise
    except DATABASE_ERRORS as error:
        raise Unavailable(f"{explain(error)}; try again") from error


def _existing(found: T | None) -> T:
    if found is None:
        raise NotFound
    return found


def _check_count(connection: Connection, site_id: str) -> None:
    if records.count_of(connection, site_id) >= MAX_OF_SITE:
        raise Invalid("site_id", f"a site has at most {MAX_OF_SITE} subscriptions")


def _add(
    connection: Connection, subscription_id: str, asked: Asked, secret: str, at: datetime
) -> Any:
    """Insert a subscription unless the site has as many as it may, whoever else adds some."""
    records.lock_site(connection, asked.site_id)
    _check_count(connection, asked.site_id)
    return records.add(connection, subscription_id, asked, secret, at)


def _check_on(row: Any) -> None:
    if not row.enabled:
        raise Invalid("enabled", "the subscription is off: turn it on first")
