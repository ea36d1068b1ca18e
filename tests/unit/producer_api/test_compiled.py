"""The compiled module, and its fallback without a C compiler."""

import json
import sys

import httpx
import pytest
from aiokafka import partitioner
from hypothesis import given
from hypothesis import strategies as st

from producer_api.events.client import NO_CLIENT
from producer_api.events.fast_parse import make_reader
from producer_api.http import intake
from tests.component.producer_api.conftest import client_of, new_api
from tests.component.producer_api.fake_kafka import FakeKafka, Stored
from tests.contract.producer_api.examples import VALID
from tests.unit.producer_api.around import CONTEXT

event_compiled = pytest.importorskip("producer_api.events.event_compiled", reason="no C compiler")
EXAMPLES = [json.loads(example.read_bytes()) for example in sorted(VALID.glob("*/basic.json"))]


@given(st.binary())
def test_the_hash_of_keys_equals_aiokafkas(key: bytes) -> None:
    """Otherwise the events of a session would change partitions."""
    assert event_compiled.murmur2(key) == partitioner.murmur2(key)


async def sent(batch: list[object]) -> tuple[httpx.Response, list[Stored]]:
    """Return the response to a batch, and the records in Kafka."""
    fake = FakeKafka()
    api = new_api(fake)
    await api.start()
    async with client_of(api) as client:
        response = await client.post("/api/events", json=batch)
    return response, fake.stored


async def test_without_the_compiled_module_the_same_records_are_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Responses are equal too, for every event type and for rejected events."""
    own_id = {"event_id": "0197c2a4-7d1b-7c3e-9a55-2b8f6d0e4c11"}
    batch = [example | own_id for example in EXAMPLES]
    batch += [{}, batch[0] | {"duration": -1}]
    compiled = await sent(batch)
    monkeypatch.setitem(sys.modules, "producer_api.events.event_compiled", None)
    reader = make_reader()
    monkeypatch.setattr(intake, "read_fast", reader)

    plain = await sent(batch)

    assert reader(json.dumps(batch[0]).encode(), CONTEXT, NO_CLIENT) is None
    assert plain[0].json() == compiled[0].json()
    assert plain[1] == compiled[1]
    assert len(plain[1]) == len(EXAMPLES)
