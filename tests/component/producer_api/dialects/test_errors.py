"""Errors have what the clients of a path read, also before it is known whose request it is."""

from typing import Any

import httpx
import pytest

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
