"""The life of subscriptions: what HTTP asks of them.

Each change goes to the topic first, which decides what is evaluated, and then to SQL, which
has the rest; see `mend.py` for what happens when only the first was done.
"""

import asyncio
import secrets
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from yarl import URL

from schemas.settings import Settings
from sinks.sql.engine import Database, open_database
from sinks.sql.reader import open_reader
from sinks.sql.types import now_utc
from sinks.webhooks import records
from sinks.webhooks.addresses import ForbiddenError
from sinks.webhooks.asked import Asked, Invalid, read_change, read_cursor, read_id, read_new
from sinks.webhooks.records import Answer, Slice
from sinks.webhooks.sender import CheckingResolver
from sinks.webhooks.topic import Publish, Unavailable, open_topic
from sinks.webhooks.trial import test_delivery

__all__ = ["Invalid", "Subscriptions", "Unavailable", "Within", "open_subscriptions"]

T = TypeVar("T")
Body = Mapping[str, Any]
#: From when, and up to when, what is listed was made; None: without an end.
Within = tuple[datetime | None, datetime | None]
ANY_TIME: Within = (None, None)

#: Subscriptions of one site.
MAX_OF_SITE = 100
_SECRET_BYTES = 32
_DEADLINE_SECONDS = 8.0
_LOOKUP_SECONDS = 3.0
_JUST_LATER = timedelta(microseconds=1)


@asynccontextmanager
async def open_subscriptions(settings: Settings) -> AsyncIterator["Subscriptions"]:
    """Give the service; it connects to Kafka and the database when it is first asked."""
    allow_private = settings.webhooks.allow_private
    database, reader = open_database(settings.database.url), open_reader(settings.database.url)
    resolver = CheckingResolver(allow_private=allow_private)
    try:
        async with open_topic(settings.kafka.bootstrap_servers) as publish:
            service = Subscriptions(
                database, reader, publish, resolver, allow_private=allow_private
            )
            yield service
            await service.undone()
    finally:
        await resolver.close()
        await reader.close()
        await database.close()


class Subscriptions:
    """Creates, lists, changes, deletes, tests; `open_subscriptions` makes one with all it needs.

    A subscription is a dict as api.md section 2 shows it:
    `{"subscription_id","site_id","rule","params","channel":{"type","url"},"cooldown_seconds",
    "enabled","disabled_reason","created_at","updated_at"}`; `secret` is in `create`'s answer
    only. A list is `{"items":[…],"next_cursor":…}`, newest first. All methods raise
    `Unavailable`; who calls has checked that the token may see the site (`get` tells it).
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

    async def create(self, site_id: str, body: Body) -> Answer:
        """Return the new subscription with its `secret`; `Invalid` names the field."""
        asked = read_new(site_id, body, allow_private=self._allow_private)
        await self._check_where(asked.url)
        if (
            await self._read(lambda connection: records.count_of(connection, site_id))
            >= MAX_OF_SITE
        ):
            raise Invalid("site_id", f"a site has at most {MAX_OF_SITE} subscriptions")
        subscription_id, at = str(uuid4()), now_utc()
        secret = "whsec_" + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
        try:
            await self._publish(
                subscription_id, records.record_of(subscription_id, asked, records.micros(at))
            )
            row = await self._write(
                lambda connection: records.add(connection, subscription_id, asked, secret, at)
            )
        except BaseException:  # also when who asked has gone away
            self._undo(subscription_id)
            raise
        return {**records.shown(row), "secret": secret}

    async def list(
        self, sites: Sequence[str] | None, limit: int, cursor: str | None, within: Within = ANY_TIME
    ) -> Answer:
        """Return the subscriptions of these sites (None: of all); `Invalid` for a bad cursor."""
        part = Slice(limit, read_cursor(cursor), *within)
        return await self._read(lambda connection: records.page(connection, sites, part))

    async def get(self, subscription_id: str) -> Answer | None:
        """Return the subscription, or None when there is none."""
        name = read_id(subscription_id)
        if name is None:
            return None
        row = await self._read(lambda connection: records.find(connection, name))
        return None if row is None else records.shown(row)

    async def patch(self, subscription_id: str, body: Body) -> Answer | None:
        """Change `params`, `channel`, `cooldown_seconds`, `enabled`; None when there is none."""
        row = await self._find(subscription_id)
        if row is None:
            return None
        asked = read_change(records.asked_of(row), body, allow_private=self._allow_private)
        if asked.url != row.url:
            await self._check_where(asked.url)
        reason = None if asked.enabled else row.disabled_reason
        changed = await self._change(row, asked, reason)
        return None if changed is None else records.shown(changed)

    async def disable(self, subscription_id: str, reason: str) -> None:
        """Turn a subscription off, and say why."""
        row = await self._find(subscription_id)
        if row is not None and row.enabled:
            asked = records.asked_of(row)
            off = Asked(
                asked.site_id, asked.rule, asked.params, asked.url, asked.cooldown_seconds, False
            )
            await self._change(row, off, reason)

    async def delete(self, subscription_id: str) -> bool:
        """Delete it and cancel what is on its way; False when there is none."""
        row = await self._find(subscription_id)
        if row is None:
            return False
        await self._publish(row.subscription_id, None)
        return await self._write(lambda connection: records.remove(connection, row.subscription_id))

    async def test(self, subscription_id: str) -> Answer | None:
        """Send a test through the same delivery; return the delivery, None without a one."""
        row = await self._find(subscription_id)
        if row is None:
            return None
        _check_on(row)
        values = test_delivery(row, now_utc())
        return await self._write(lambda connection: records.enqueue(connection, values))

    async def deliveries(
        self, subscription_id: str, limit: int, cursor: str | None, within: Within = ANY_TIME
    ) -> Answer:
        """Return its deliveries, newest first, each with its list of `attempts`."""
        part, name = Slice(limit, read_cursor(cursor), *within), read_id(subscription_id)
        if name is None:
            return {"items": [], "next_cursor": None}
        return await self._read(lambda connection: records.deliveries(connection, name, part))

    async def resend(self, subscription_id: str, delivery_id: str) -> Answer | None:
        """Send a delivery again, from the start of the schedule; None when there is none."""
        row, name = await self._find(subscription_id), read_id(delivery_id)
        if row is None or name is None:
            return None
        _check_on(row)
        now = now_utc()
        return await self._write(
            lambda connection: records.send_again(connection, row.subscription_id, name, now)
        )

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

    async def _find(self, subscription_id: str) -> Any | None:
        """Return the row that will be changed; asked where it is changed, so no list delays it."""
        name = read_id(subscription_id)
        if name is None:
            return None
        return await self._write(lambda connection: records.find(connection, name))

    async def _change(self, row: Any, asked: Asked, reason: str | None) -> Any | None:
        name, at = row.subscription_id, max(now_utc(), row.updated_at + _JUST_LATER)
        await self._publish(name, records.record_of(name, asked, records.micros(at)))
        return await self._write(
            lambda connection: records.change(connection, name, asked, reason, at)
        )

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
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        raise Unavailable("The database did not answer in time; try again") from error


def _check_on(row: Any) -> None:
    if not row.enabled:
        raise Invalid("enabled", "the subscription is off: turn it on first")
