from msgspec.structs import fields

from producer_api.fields import FIELDS
from producer_api.openapi import document, event_schema
from producer_api.parse import REQUIRED
from schemas import http_docs
from schemas.event_types import EVENT_TYPES
from schemas.records import RawEvent
from schemas.reject_reasons import RejectReason

#: Fields that say when something happened become `event_ts` and `time_source`.
TIMES = {"timestamp", "sent_at"}
#: What the server adds.
OURS = {"received_at", "event_ts", "time_source", "extra", "truncated"}


def test_openapi_has_exactly_the_types_of_the_registry() -> None:
    """A type that is added there is documented by that."""
    schemas = document()["components"]["schemas"]

    assert event_schema()["properties"]["type"]["enum"] == list(EVENT_TYPES)
    shared = {"Event", "Batch", "Accepted", "Results", "Error"}
    assert schemas.keys() - shared == EVENT_TYPES.keys()


def test_openapi_has_exactly_the_fields_that_are_read() -> None:
    """Neither more nor less than the record can hold."""
    documented = set(event_schema()["properties"])

    assert documented == {*REQUIRED, *FIELDS, *TIMES, "event_id"}
    stored = {field.name for field in fields(RawEvent)} - OURS
    assert documented - TIMES - {"duration"} == stored - {"duration_ms"}


def test_every_field_of_a_type_is_a_field_of_the_api() -> None:
    """The registry names none that no reader knows."""
    named = {field for event_type in EVENT_TYPES.values() for field in event_type.fields}

    assert named <= FIELDS.keys()


def test_openapi_tells_every_refusal() -> None:
    """By status and code, on both paths."""
    for path in ("/api/event", "/api/events"):
        responses = document()["paths"][path]["post"]["responses"]
        for reason in RejectReason:
            assert reason.code in responses[str(reason.status)]["description"]


def test_the_page_tells_the_same() -> None:
    """Types, fields and refusals."""
    page = http_docs.page(document(), {"headers": []}).decode()

    names = [*EVENT_TYPES, *FIELDS, *(reason.code for reason in RejectReason)]
    assert [name for name in names if f"<td>{name}" not in page] == []
