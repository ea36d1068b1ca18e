"""Requests that arrive while the role starts."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from producer_api.http.app import Api
from tests.component.producer_api.conftest import SHORT_DEADLINE_SECONDS, new_api
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.component.producer_api.test_connections import Client, connected
from tests.component.producer_api.test_direct import AsgiOnly, WithFastPath, request
from tests.fixtures.waiting import eventually_async

applications = pytest.mark.parametrize("app", [WithFastPath, AsgiOnly])
App = Callable[[Api], Any]


class Connecting(FakeKafka):
    """A Kafka to which the first connection is still being opened."""

    def __init__(self) -> None:
        super().__init__()
        self.problem, self.is_connecting = "Kafka is not reached yet", True

    def start(self, on_open: Callable[[int], None]) -> None:
        """Keep `on_open` for `connect`."""
        self._on_open = on_open

    def connect(self) -> None:
        """Open the connection."""
        self._on_open(4)
        self.problem, self.is_connecting = None, False

    def fail(self) -> None:
        """Fail to connect."""
        self.is_connecting = False


async def started(fake: Connecting, **options: Any) -> Api:
    """Return an application that is starting, and reads the registered sites."""
    api = new_api(fake, **options)
    api.sites.is_loaded = False
    await api.start()
    return api


async def has_arrived(api: Api) -> None:
    """Wait until a request is in flight."""
    await eventually_async(
        lambda: api.intake._in_flight,  # noqa: SLF001
        within_seconds=15,
        what="the request has arrived",
    )


async def send(api: Api, client: Client) -> None:
    """Send an event, and wait until the server has it."""
    await client.send(request())
    await has_arrived(api)


@applications
async def test_events_wait_for_the_start(app: App) -> None:
    """Until Kafka is connected and the registered sites are loaded; then they are accepted."""
    fake = Connecting()
    api = await started(fake)
    async with connected(app(api)) as client:
        await send(api, client)
        fake.connect()
        await asyncio.sleep(0)
        api.sites.is_loaded = True

        assert await client.status() == 202
        assert not api.intake.is_starting
        await client.send(request())
        assert await client.status() == 202
    assert len(fake.stored) == 2


@applications
async def test_if_kafka_cannot_be_reached_at_the_start_events_get_500(app: App) -> None:
    """At once; when it is reached later, they wait until the registered sites are loaded."""
    fake = Connecting()
    api = await started(fake)
    async with connected(app(api)) as client:
        await send(api, client)
        fake.fail()
        assert await client.status() == 500
        await client.send(request())
        assert await client.status() == 500

        fake.connect()
        await send(api, client)
        api.sites.is_loaded = True
        assert await client.status() == 202


@applications
async def test_events_do_not_wait_longer_than_the_deadline(app: App) -> None:
    """For the start and the confirmation together."""
    api = await started(Connecting(), deadline_seconds=SHORT_DEADLINE_SECONDS)
    async with connected(app(api)) as client:
        await client.send(request())
        response = await client.response()

    assert (response.split()[1], b'"code":"not_accepted"' in response) == (b"500", True)


@applications
async def test_a_stop_during_the_start_does_not_wait(app: App) -> None:
    """The requests that wait get 503."""
    api = await started(Connecting())
    async with connected(app(api)) as client:
        await send(api, client)
        drained = asyncio.create_task(api.drain())

        assert await client.status() == 503
        await asyncio.wait_for(drained, 5)
