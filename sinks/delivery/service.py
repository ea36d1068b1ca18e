"""The subscription service behind the HTTP API.

Each change is published to the topic first, which is authoritative, and then written to SQL.
`Reconciler` repairs partial changes.
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
from sinks.delivery import delivery_store, subscription_store
from sinks.delivery.addresses import ForbiddenError
from sinks.delivery.publisher import Publish, Unavailable, open_publisher
from sinks.delivery.secret_box import SecretBox
from sinks.delivery.sender import CheckingResolver
from sinks.delivery.subscription_spec import (
    Body,
    Invalid,
    SubscriptionSpec,
    parse_change,
    parse_new,
)
from sinks.delivery.subscription_store import JsonObject
from sinks.paging import Page, Slice
from sinks.sql.engine import Database, open_database
from sinks.sql.errors import DATABASE_ERRORS, ReadTimeout, explain
from sinks.sql.reader import open_reader
from sinks.sql.types import micros, now_utc

T = TypeVar("T")

#: The maximum number of subscriptions of a site.
MAX_PER_SITE = 100
_SECRET_BYTES = 32
_DEADLINE_SECONDS = 8.0
_LOOKUP_SECONDS = 3.0
_MICROSECOND = timedelta(microseconds=1)


@asynccontextmanager
async def open_subscriptions(settings: Settings) -> AsyncIterator["Subscriptions"]:
    """Yield the service; it connects to Kafka and the database when first used."""
    allow_private, url = settings.webhooks.allow_private, settings.database.url
    database = open_database(url)
    reader = open_reader(url, settings.query.statement_timeout_seconds)
    resolver = CheckingResolver(allow_private=allow_private)
    box = SecretBox(settings.secrets.keys())
    try:
        async with open_publisher(settings.kafka) as publish:
            service = Subscriptions(
                database, reader, publish, resolver, allow_private=allow_private, box=box
            )
            yield service
            await service.wait_for_rollbacks()
    finally:
        await resolver.close()
        await reader.close()
        await database.close()


class NotFound(Exception):  # noqa: N818 - names the condition
    """The subscription or delivery does not exist."""


class Subscriptions:
    """Manages subscriptions and their deliveries. Create it with `open_subscriptions`.

    Methods return JSON objects. Ids are UUIDs as canonical text. All methods raise `Unavailable`,
    and `NotFound` for an unknown id. The caller must check the token's access to the site.
    """

    def __init__(  # noqa: PLR0913 - keyword arguments
        self,
        database: Database,
        reader: Database,
        publish: Publish,
        resolver: CheckingResolver,
        *,
        allow_private: bool,
        box: SecretBox = SecretBox(),  # noqa: B008 - immutable
    ) -> None:
        self._database = database
        self._box = box
        #: For reads, which on SQLite must not take the write lock.
        self._reader = reader
        self._publish = publish
        self._resolver = resolver
        self._allow_private = allow_private
        self._rollbacks: set[asyncio.Task[None]] = set()

    async def create(self, body: Body) -> JsonObject:
        """Create a subscription and return it with its `secret`; raises `Invalid`."""
        spec = parse_new(body, allow_private=self._allow_private)
        await self._check_host(spec.url)
        # Before publishing; checked again under the lock that serializes inserts.
        await self._read(lambda connection: _check_count(connection, spec.site_id))
        subscription_id, at = str(uuid4()), now_utc()
        secret = "whsec_" + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
        encrypted = self._box.encrypt(secret)
        try:
            await self._publish(
                subscription_id,
                subscription_store.record_of(subscription_id, spec, micros(at)),
            )
            row = await self._write(
                lambda connection: _add(connection, subscription_id, spec, encrypted, at)
            )
        except BaseException:  # also if the request is cancelled
            self._roll_back(subscription_id)
            raise
        return {**subscription_store.to_json(row), "secret": secret}

    async def list(self, sites: Sequence[str] | None, slice_: Slice) -> Page:
        """Return a page of the subscriptions of sites (None: of all sites), newest first."""
        return await self._read(
            lambda connection: subscription_store.page(connection, sites, slice_)
        )

    async def get(self, subscription_id: str) -> JsonObject:
        """Return a subscription."""
        row = await self._read(
            lambda connection: subscription_store.find(connection, subscription_id)
        )
        return subscription_store.to_json(_or_not_found(row))

    async def patch(self, subscription_id: str, body: Body) -> JsonObject:
        """Change the fields in a request body, and return the subscription; raises `Invalid`."""
        row = await self._find_to_change(subscription_id)
        spec = parse_change(
            subscription_store.spec_of(row), body, allow_private=self._allow_private
        )
        if spec.url != row.url:
            await self._check_host(spec.url)
        return await self._change(row, spec, None if spec.enabled else row.disabled_reason)

    async def disable(self, subscription_id: str, reason: str) -> None:
        """Disable a subscription; do nothing if it is disabled or does not exist."""
        with suppress(NotFound):
            row = await self._find_to_change(subscription_id)
            if row.enabled:
                await self._change(
                    row, replace(subscription_store.spec_of(row), enabled=False), reason
                )

    async def delete(self, subscription_id: str) -> None:
        """Delete a subscription and cancel its pending deliveries."""
        await self._find_to_change(subscription_id)
        await self._publish(subscription_id, None)
        if not await self._write(
            lambda connection: subscription_store.remove(connection, subscription_id)
        ):
            raise NotFound

    async def test(self, subscription_id: str) -> JsonObject:
        """Enqueue a test delivery and return it."""
        row = await self._find_to_change(subscription_id)
        _check_enabled(row)
        delivery_id, now = str(uuid4()), now_utc()
        delivery = await self._write(
            lambda connection: delivery_store.add_test(connection, row, delivery_id, now)
        )
        return _or_not_found(delivery)

    async def deliveries(self, subscription_id: str, slice_: Slice) -> Page:
        """Return a page of a subscription's deliveries, newest first, with their `attempts`."""
        return await self._read(
            lambda connection: delivery_store.page(connection, subscription_id, slice_)
        )

    async def resend(self, subscription_id: str, delivery_id: str) -> JsonObject:
        """Restart the schedule of a delivery and return it."""
        _check_enabled(await self._find_to_change(subscription_id))
        now = now_utc()
        delivery = await self._write(
            lambda connection: delivery_store.resend(connection, subscription_id, delivery_id, now)
        )
        return _or_not_found(delivery)

    async def wait_for_rollbacks(self) -> None:
        """Wait until the rollbacks of failed creations have ended."""
        await asyncio.gather(*self._rollbacks)

    def _roll_back(self, subscription_id: str) -> None:
        """Delete a subscription whose secret was not returned; `Reconciler` does if this fails."""

        async def roll_back() -> None:
            with suppress(Unavailable):
                await self._publish(subscription_id, None)
                await self._write(
                    lambda connection: subscription_store.remove(connection, subscription_id)
                )

        task = asyncio.create_task(roll_back())
        self._rollbacks.add(task)
        task.add_done_callback(self._rollbacks.discard)

    async def _find_to_change(self, subscription_id: str) -> Any:
        """Return the row; read by the writer, because the readers may be busy with lists."""
        return _or_not_found(
            await self._write(
                lambda connection: subscription_store.find(connection, subscription_id)
            )
        )

    async def _change(self, row: Any, spec: SubscriptionSpec, reason: str | None) -> JsonObject:
        subscription_id, at = row.subscription_id, max(now_utc(), row.updated_at + _MICROSECOND)
        await self._publish(
            subscription_id,
            subscription_store.record_of(subscription_id, spec, micros(at)),
        )
        changed = await self._write(
            lambda connection: subscription_store.change(
                connection, subscription_id, spec, reason, at
            )
        )
        return subscription_store.to_json(_or_not_found(changed))

    async def _check_host(self, url: str) -> None:
        """Raise `Invalid` if the host resolves to a private address."""
        host = URL(url).raw_host or ""
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                await self._resolver.resolve(host, 443, socket.AF_UNSPEC)
        except ForbiddenError as error:
            raise Invalid("channel.url", str(error)) from None
        except (OSError, TimeoutError, UnicodeError):
            return  # it may resolve later; each attempt checks it again

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await run_in_time(self._reader, work)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await run_in_time(self._database, work)


async def run_in_time(database: Database, work: Callable[[Connection], T]) -> T:
    """Run a transaction; raises `Unavailable` if the database fails or does not answer in time."""
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            return await database.run(work)
    except ReadTimeout:
        raise
    except DATABASE_ERRORS as error:
        raise Unavailable(f"{explain(error)}; try again") from error


def _or_not_found(value: T | None) -> T:
    if value is None:
        raise NotFound
    return value


def _check_count(connection: Connection, site_id: str) -> None:
    if subscription_store.count(connection, site_id) >= MAX_PER_SITE:
        raise Invalid("site_id", f"a site has at most {MAX_PER_SITE} subscriptions")


def _add(
    connection: Connection, subscription_id: str, spec: SubscriptionSpec, secret: str, at: datetime
) -> Any:
    """Insert a subscription; raises `Invalid` if the site has the maximum number."""
    subscription_store.lock_site(connection, spec.site_id)
    _check_count(connection, spec.site_id)
    return subscription_store.add(connection, subscription_id, spec, secret, at)


def _check_enabled(row: Any) -> None:
    if not row.enabled:
        raise Invalid("enabled", "the subscription is disabled: enable it first")
