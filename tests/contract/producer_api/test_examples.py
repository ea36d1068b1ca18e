import asyncio
import json
from pathlib import Path

import httpx
import pytest

from producer_api.app import create_app
from schemas.event_types import EVENT_TYPES, EventType
from schemas.reject_reasons import RejectReason
from schemas.settings import Settings
from tests.component.producer_api.conftest import client_of
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.contract.producer_api.examples import (
    INVALID,
    NOT_OF_A_BODY,
    VALID,
    label,
    read_invalid,
)

VALID_FILES = sorted(VALID.glob("*/*.json"))
INVALID_FILES = sorted(INVALID.glob("*/*.json"))


async def post(path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    """Send one request to an application of its own."""
    api = create_app(Settings(), connection=FakeKafka())
    await api.start()
    async with client_of(api) as client:
        return await client.post(path, content=body, headers=headers)


@pytest.mark.parametrize("event_type", EVENT_TYPES.values(), ids=EVENT_TYPES)
def test_every_type_has_an_example_with_all_its_own_fields(event_type: EventType) -> None:
    """A type without one cannot be sent by who reads the examples."""
    name = f"schemas/examples/valid/{event_type.name}/basic.json"
    file = VALID / event_type.name / "basic.json"

    assert file.is_file(), f"`{event_type.name}` has no example: add {name}"
    example = json.loads(file.read_text())
    missing = [field for field in event_type.fields if field not in example]
    assert not missing, f"{name} shows no {', '.join(missing)}"
    assert example["type"] == event_type.name, f"{name} is of the type {example['type']}"


@pytest.mark.parametrize("file", VALID_FILES, ids=label)
def test_every_valid_example_is_accepted(file: Path) -> None:
    """As it stands in the file."""
    answer = asyncio.run(post("/api/event", file.read_bytes(), {}))

    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("reason", [*RejectReason], ids=lambda reason: reason.code)
def test_every_reason_that_a_body_provokes_has_an_example(reason: RejectReason) -> None:
    """And one that no body provokes has none."""
    has_one = any((INVALID / reason.code).glob("*.json"))

    if reason in NOT_OF_A_BODY:
        assert not has_one, f"`{reason.code}` has an example, so it is not NOT_OF_A_BODY"
    else:
        assert has_one, (
            f"`{reason.code}` has no example: add schemas/examples/invalid/{reason.code}/*.json"
        )


@pytest.mark.parametrize("file", INVALID_FILES, ids=label)
async def test_every_invalid_example_is_refused_as_it_says(file: Path) -> None:
    """With the code of its folder, and a sentence without gaps."""
    example = read_invalid(file)

    answer = await post(example.path, example.body, example.headers)

    told = answer.json()
    # An event of a batch is refused within the batch's results.
    refusal = told["results"][0] if "results" in told else told
    expected = {"code": example.code, **example.expect}
    assert answer.status_code == expected.pop("status")
    assert {name: refusal.get(name) for name in expected} == expected
    assert "{" not in refusal["error"].replace("{}", "").replace('{"events": [...]}', "")


def test_no_example_is_orphaned() -> None:
    """Each lies in the folder of a type or of a reason."""
    codes = {reason.code for reason in RejectReason}

    orphans = [
        label(file)
        for (files, known) in ((VALID_FILES, EVENT_TYPES.keys()), (INVALID_FILES, codes))
        for file in files
        if file.parent.name not in known
    ]

    assert not orphans, f"no type or reason of that name: {orphans}"
