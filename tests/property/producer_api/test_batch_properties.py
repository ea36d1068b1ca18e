import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from producer_api.http.create_app import create_app
from schemas import codec
from schemas.records import RawEvent
from schemas.settings import ApiSettings, Settings
from tests.component.producer_api.conftest import client_of
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.fixtures.examples import at_most

GOOD = {"type": "copy", "site_id": "shop"}
EVENTS = st.one_of(
    st.builds(lambda session: json.dumps({**GOOD, "session_id": session}), st.sampled_from("abc")),
    st.just(json.dumps(GOOD)),
    st.sampled_from(["5", "{}", '"\\ud800"', '{"x": NaN}', "[[]]"]),
)


async def send(lines: list[str]) -> tuple[int, dict[str, Any], list[str]]:
    """Send a batch; return the status, the body, and the ids that are stored."""
    fake = FakeKafka(max_batch_bytes=300)
    api = create_app(Settings(api=ApiSettings(sites="open")), connection=fake)
    await api.start()
    async with client_of(api) as client:
        response = await client.post("/api/events", content=f"[{','.join(lines)}]")
    stored = [codec.decode(record.value, RawEvent).event_id for record in fake.stored]
    return response.status_code, response.json(), stored


@settings(deadline=None, max_examples=at_most(50))
@given(st.lists(EVENTS, min_size=1, max_size=60))
def test_every_event_of_a_batch_gets_exactly_one_result(lines: list[str]) -> None:
    """Exactly the valid events are accepted and stored."""
    good = [index for index, line in enumerate(lines) if "session_id" in line]

    (status, content, stored) = asyncio.run(send(lines))

    results = content["results"]
    assert [result["index"] for result in results] == list(range(len(lines)))
    accepted = [result for result in results if result["status"] == "accepted"]
    assert [result["index"] for result in accepted] == good
    assert sorted(result["event_id"] for result in accepted) == sorted(stored)
    assert (content["accepted"], content["rejected"]) == (len(good), len(lines) - len(good))
    assert status == (400 if not good else 202 if len(good) == len(lines) else 207)
