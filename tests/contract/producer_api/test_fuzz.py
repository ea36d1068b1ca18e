"""Every response conforms to the OpenAPI document and is never a 5xx, whatever the client sends."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import settings
from schemathesis.generation.case import Case

from producer_api.http.app import Api
from producer_api.http.openapi import document
from tests.component.producer_api.conftest import new_api
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.fixtures.fuzzing import CHECKS, EXAMPLES, load
from tests.fixtures.serving import served

_SCHEMA = load(document())


@asynccontextmanager
async def _started() -> AsyncIterator[Api]:
    api = new_api(FakeKafka())
    await api.start()
    yield api
    await api.stop()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Yield the address of a role that is connected to Kafka."""
    with served(_started()) as address:
        yield address


@_SCHEMA.parametrize()
@settings(max_examples=EXAMPLES)
def test_every_response_conforms_to_the_document(case: Case[Any], address: str) -> None:
    """Status, content type and body, for valid and invalid requests."""
    case.call_and_validate(base_url=address, checks=CHECKS)
