"""Whatever a client sends is answered as the OpenAPI document says, and never by a 5xx."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.generation.case import Case

from producer_api.app import Api
from producer_api.openapi import document
from tests.component.producer_api.conftest import new_api
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.fixtures.fuzzing import CHECKS, EXAMPLES
from tests.fixtures.serving import served

_SCHEMA = schemathesis.openapi.from_dict(document())


@asynccontextmanager
async def _started() -> AsyncIterator[Api]:
    api = new_api(FakeKafka())
    await api.start()
    yield api
    await api.stop()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Give the address of the role, whose Kafka is there."""
    with served(_started()) as address:
        yield address


@_SCHEMA.parametrize()
@settings(max_examples=EXAMPLES)
def test_every_answer_is_in_the_document(case: Case[Any], address: str) -> None:
    """Status, content type and body; for requests that keep to it, and for others."""
    case.call_and_validate(base_url=address, checks=CHECKS)
