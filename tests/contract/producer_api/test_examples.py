import asyncio
import json
from pathlib import Path

import httpx
import pytest

from producer_api.http.create_app import create_app
from schemas.event_types import EVENT_TYPES, EventType
from schemas.reject_reasons import RejectReason
from schemas.settings import ApiSettings, Settings
from tests.component.producer_api.conftest import client_of
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.contract.producer_api.examples import (
    INDEPENDENT_OF_BODY,
    INVALID,
    VALID,
    label,
    read_invalid,
)

VALID_FILES = sorted(VALID.glob("*/*.json"))
INVALID_FILES = sorted(INVALID.glob("*/*.json"))


async def post(path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    """Send one request to a new application."""
    api = create_app(Settings(api=ApiSettings(sites="open")), connection=FakeKafka())
    await api.start()
    async with client_of(api) as client:
        return await client.post(path, content=body, headers=headers)


@pytest.mark.parametrize("event_type", EVENT_TYPES.values(), ids=EVENT_TYPES)
def test_every_type_has_an_example_with_all_its_own_fields(event_type: EventType) -> None:
    """The examples are documentation, so they must show all fields of a type."""
    name = f"schemas/examples/valid/{event_type.name}/basic.json"
    file = VALID / event_type.name / "basic.json"

    assert file.is_file(), f"`{event_type.name}` has no example: add {name}"
    example = json.loads(file.read_text())
    missing = [field for field in event_type.fields if field not in example]
    assert not missing, f"{name} shows no {', '.join(missing)}"
    assert example["type"] == event_type.name, f"{name} is of the type {example['type']}"


@pytest.mark.parametrize("file", VALID_FILES, ids=label)
def test_every_valid_example_is_accepted(file: Path) -> None:
    """The body is the file, unchanged."""
    response = asyncio.run(post("/api/event", file.read_bytes(), {}))

    assert response.status_code == 202, response.text


@pytest.mark.parametrize("reason", [*RejectReason], ids=lambda reason: reason.code)
def test_every_reason_that_depends_on_the_body_has_an_example(reason: RejectReason) -> None:
    """The other reasons have none."""
    has_example = any((INVALID / reason.code).glob("*.json"))

    if reason in INDEPENDENT_OF_BODY:
        assert not has_example, f"`{reason.code}` has an example, so it is not INDEPENDENT_OF_BODY"
    else:
        assert has_example, (
            f"`{reason.code}` has no example: add schemas/examples/invalid/{reason.code}/*.json"
        )


@pytest.mark.parametrize("file", INVALID_FILES, ids=label)
async def test_every_invalid_example_is_rejected_as_expected(file: Path) -> None:
    """With the code of its folder, and a message without unfilled placeholders."""
    example = read_invalid(file)

    response = await post(example.path, example.body, example.headers)

    content = response.json()
    # The rejection of an event in a batch is in `results`.
    error = content["results"][0] if "results" in content else content
    expected = {"code": example.code, **example.expect}
    assert response.status_code == expected.pop("status")
    assert {name: error.get(name) for name in expected} == expected
    assert "{" not in error["error"].replace("{}", "").replace('{"events": [...]}', "")


def test_no_example_is_orphaned() -> None:
    """Each is in the folder of an event type or a reason."""
    codes = {reason.code for reason in RejectReason}

    orphans = [
        label(file)
        for (files, known) in ((VALID_FILES, EVENT_TYPES.keys()), (INVALID_FILES, codes))
        for file in files
        if file.parent.name not in known
    ]

    assert not orphans, f"no type or reason of that name: {orphans}"
