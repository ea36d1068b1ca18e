"""What the clients of Segment, RudderStack and Jitsu read of responses."""

import base64
import gzip
import json
from typing import Any

import httpx
import pytest

from producer_api.events.derive.salts import day_name
from producer_api.http.app import Api
from schemas import codec
from schemas.records import RawEvent
from tests.component.producer_api.fake_kafka import FakeKafka

Client = tuple[str, dict[str, str]]

SEGMENT: Client = ("/v1/batch", {})
RUDDERSTACK: Client = ("/v1/batch", {"AnonymousId": "YW5u"})
JITSU: Client = ("/api/s/s2s/batch", {"X-Write-Key": "shop:secret"})

each_client = pytest.mark.parametrize(
    "sender", [SEGMENT, RUDDERSTACK, JITSU], ids=["segment", "rudderstack", "jitsu"]
)


@pytest.fixture(autouse=True)
def salts(api: Api) -> None:
    """Load the salts, of which ids of sessions are made."""
    for day in api.salts.missing():
        api.salts.apply(day_name(day).encode(), api.salts.candidate(day))


async def send(
    client: httpx.AsyncClient, sender: Client, *messages: Any, key: str = "shop"
) -> httpx.Response:
    """Send a batch as one of the clients."""
    (path, headers) = sender
    content = json.dumps({"writeKey": key, "batch": messages})
    return await client.post(path, content=content, headers=headers)


@each_client
async def test_an_empty_batch_is_accepted(client: httpx.AsyncClient, sender: Client) -> None:
    """Because a client would not know what to do about an error."""
    response = await send(client, sender)

    assert response.status_code == 200


@each_client
async def test_a_batch_with_a_wrong_message_is_accepted(
    client: httpx.AsyncClient, fake: FakeKafka, sender: Client
) -> None:
    """The others are stored."""
    response = await send(client, sender, {"type": "page"}, {"userId": "u1"})

    assert response.json()["code"] == "missing_fields"
    assert len(fake.stored) == 1


@pytest.mark.parametrize(
    ("sender", "status"),
    [(SEGMENT, 400), (RUDDERSTACK, 200), (("/api/s/page", {"X-Write-Key": "not a site:x"}), 400)],
)
async def test_a_site_that_cannot_exist_is_an_error(
    client: httpx.AsyncClient, fake: FakeKafka, sender: Client, status: int
) -> None:
    """RudderStack's clients would end, or repeat the request."""
    response = await send(client, sender, {"type": "page"}, key="not a site")

    assert response.status_code == status
    assert response.json()["code"] == "bad_site_id"
    assert fake.stored == []


@pytest.mark.parametrize(("sender", "status"), [(SEGMENT, 401), (RUDDERSTACK, 200)])
async def test_an_unknown_site_key_is_an_error(
    client: httpx.AsyncClient, sender: Client, status: int
) -> None:
    """The dialect also responds to rejections of the whole request."""
    response = await send(client, sender, {"type": "page"}, key="hrk_unknown")

    assert response.status_code == status
    assert response.json()["code"] == "bad_key"


@each_client
async def test_an_event_that_kafka_does_not_take_is_sent_again(
    client: httpx.AsyncClient, fake: FakeKafka, sender: Client
) -> None:
    """All clients but Jitsu's repeat a request after an error of the server."""
    fake.fails = True

    response = await send(client, sender, {"type": "page"})

    assert response.status_code == 500
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/batch/", "/v1/import", "/v1/b"])
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_compressed_body_needs_no_header(
    client: httpx.AsyncClient, fake: FakeKafka, path: str, content_type: str
) -> None:
    """Whatever its content type is."""
    body = gzip.compress(b'{"writeKey":"shop","batch":[{"type":"page","userId":""}]}')

    response = await client.post(path, content=body, headers={"content-type": content_type})

    assert response.status_code == 200
    (event,) = [codec.decode(record.value, RawEvent) for record in fake.stored]
    assert event.user_id is None


@pytest.mark.parametrize("address", ["192.0.2.7", "192.0.2.7, 10.0.0.1", "not one", ["192.0.2.7"]])
async def test_an_address_is_never_stored(
    client: httpx.AsyncClient, fake: FakeKafka, address: Any
) -> None:
    """Even if it cannot be read."""
    await send(client, SEGMENT, {"type": "page", "context": {"ip": address}})

    (record,) = fake.stored
    assert b"192.0.2" not in record.value
    assert b'"ip"' not in record.value


async def test_a_pixel_is_an_image(client: httpx.AsyncClient, fake: FakeKafka) -> None:
    """Its message is base64."""
    message = {"writeKey": "shop", "userId": "u1", "event": "Opened"}
    data = base64.b64encode(json.dumps(message).encode()).decode()

    response = await client.get("/v1/pixel/track", params={"data": data})

    assert response.headers["content-type"] == "image/gif"
    (event,) = [codec.decode(record.value, RawEvent) for record in fake.stored]
    assert (event.type, event.event_name, event.user_id) == ("custom_event", "Opened", "u1")


@pytest.mark.parametrize("data", ["", "x", "W10="])
async def test_a_pixel_without_a_message_is_an_image(
    client: httpx.AsyncClient, fake: FakeKafka, data: str
) -> None:
    """Nobody reads the response."""
    response = await client.get("/v1/pixel/track", params={"data": data})

    assert response.headers["content-type"] == "image/gif"
    assert fake.stored == []


@pytest.mark.parametrize(
    ("host", "protocol"),
    [
        ("collect.example", None),
        ("collect.example:8443", None),
        ("localhost", "http"),
        ("127.0.0.1:8080", "http"),
        ("[::1]:8080", "http"),
    ],
)
async def test_settings_of_segment_name_this_server(
    client: httpx.AsyncClient, host: str, protocol: str | None
) -> None:
    """With HTTPS, unless it is on the same machine."""
    response = await client.get("/v1/projects/shop/settings", headers={"host": host})

    destination = response.json()["integrations"]["Segment.io"]
    assert destination["apiKey"] == "shop"
    assert destination["apiHost"] == f"{host}/v1"
    assert destination.get("protocol") == protocol


async def test_the_source_of_rudderstack_has_no_destinations(client: httpx.AsyncClient) -> None:
    """The client would load their scripts."""
    response = await client.get("/sourceConfig/", params={"writeKey": "shop"})

    source = response.json()["source"]
    assert source["enabled"]
    assert source["destinations"] == []
    assert source["id"] == "shop"
