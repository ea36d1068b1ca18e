from collections.abc import AsyncIterator

import httpx
import pytest

from producer_api.http.app import Api
from producer_api.http.create_app import create_app
from schemas.settings import ApiSettings, ImportSettings, Settings
from tests.component.producer_api.fake_kafka import FakeKafka

NOW = 1_769_860_800_000_000  # 2026-01-31T12:00:00Z
#: For tests in which Kafka does not respond.
SHORT_DEADLINE_SECONDS = 0.3


@pytest.fixture
async def fake() -> FakeKafka:
    """Return the Kafka of the application."""
    return FakeKafka()


@pytest.fixture
async def api(fake: FakeKafka) -> Api:
    """Return the started application."""
    api = new_api(fake)
    await api.start()
    return api


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the application."""
    async with client_of(api) as client:
        yield client


def new_api(fake: FakeKafka, deadline_seconds: float = 10) -> Api:
    """Return an application with a fixed clock; a busy machine does not exceed the deadline."""
    settings = Settings(
        api=ApiSettings(
            deadline_seconds=deadline_seconds, max_waiting_bytes=1024 * 1024, sites="open"
        ),
        HEADRACE_IMPORT=ImportSettings(sites=("archive",)),
    )
    return create_app(settings, connection=fake, now=lambda: NOW)


def client_of(api: Api) -> httpx.AsyncClient:
    """Return a client that calls the application in-process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://headrace")
