"""Errors have what the clients of a path read, also before it is known whose request it is."""

import json
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from producer_api.events.decompression import zstd
from producer_api.http.app import Api
from tests.component.producer_api.fake_kafka import FakeKafka

_SENTENCE = "The server is shutting down; try again in a moment"
_EVENT = b'{"event":"a","properties":{"token":"shop","distinct_id":"u1"}}'


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/track", {"error": _SENTENCE, "code": "shutting_down", "status": 0}),
        ("/batch", {"error": _SENTENCE, "code": 503}),
        ("/e", {"error": _SENTENCE, "code": "shutting_down"}),
        ("/api/event", {"error": _SENTENCE, "code": "shutting_down"}),
    ],
)
async def test_an_error_before_the_body_is_read(
    api: Api, client: httpx.AsyncClient, path: str, expected: dict[str, Any]
) -> None:
    """Dialects that share a path get the members of both."""
    api.intake.is_draining = True

    response = await client.post(path, content=_EVENT)

    assert (response.status_code, response.json()) == (503, expected)
    assert response.headers["retry-after"] == "1"


async def test_an_error_after_which_to_send_again(
    client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """In the form of the client whose request it is."""
    fake.fails = True

    response = await client.post("/track", content=_EVENT)

    assert response.status_code == 500
    assert response.json().keys() == {"status", "error"}


@pytest.mark.parametrize(
    ("compress", "encoding"), [(zlib.compress, "deflate"), (zstd.compress, "zstd")]
)
async def test_a_large_batch_of_posthog_is_accepted(
    client: httpx.AsyncClient,
    fake: FakeKafka,
    compress: Callable[[bytes], bytes],
    encoding: str,
) -> None:
    """Its client for Python sends up to 6 MiB, with zlib or zstd if it is configured so."""
    event = {"event": "a", "distinct_id": "u1", "properties": {"text": "x" * 100_000}}
    body = json.dumps({"api_key": "shop", "batch": [event] * 50}).encode()

    for content, headers in ((body, {}), (compress(body), {"content-encoding": encoding})):
        response = await client.post("/batch/", content=content, headers=headers)
        assert response.status_code == 200, response.text

    assert len(fake.stored) == 2 * 50
