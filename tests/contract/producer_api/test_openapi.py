from msgspec.structs import fields

from producer_api.events.derive.steps import DERIVED
from producer_api.events.fields import FIELDS
from producer_api.events.parse import REQUIRED
from producer_api.http.event_schema import event_schema
from producer_api.http.openapi import document
from schemas import http_docs
from schemas.event_types import EVENT_TYPES
from schemas.records import RawEvent
from schemas.reject_reasons import RejectReason

#: Fields that become `event_ts` and `time_source`.
TIMES = {"timestamp", "sent_at"}
#: Fields that the server adds.
OURS = {"received_at", "event_ts", "time_source", "extra", "truncated", *DERIVED}


def test_openapi_has_exactly_the_types_of_the_registry() -> None:
    """The document is generated from the registry."""
    schemas = document()["components"]["schemas"]

    assert event_schema()["properties"]["type"]["enum"] == list(EVENT_TYPES)
    shared = {"Event", "Batch", "Accepted", "Results", "Error"}
    assert schemas.keys() - shared == EVENT_TYPES.keys()


def test_openapi_has_exactly_the_fields_of_the_record() -> None:
    """Every documented field is stored, but `ip`, and every stored one documented."""
    documented = set(event_schema()["properties"])

    assert documented == {*REQUIRED, *FIELDS, *TIMES, "event_id"}
    stored = {field.name for field in fields(RawEvent)} - OURS
    assert documented - TIMES - {"duration", "ip"} == stored - {"duration_ms"}


def test_every_field_of_a_type_is_a_field_of_the_api() -> None:
    """The registry contains no unknown field."""
    named = {field for event_type in EVENT_TYPES.values() for field in event_type.fields}

    assert named <= FIELDS.keys()


def test_openapi_lists_every_reject_reason() -> None:
    """With its status and code, for both paths."""
    for path in ("/api/event", "/api/events"):
        responses = document()["paths"][path]["post"]["responses"]
        for reason in RejectReason:
            assert reason.code in responses[str(reason.status)]["description"]


def test_the_documentation_page_lists_the_same() -> None:
    """Types, fields and reject reasons."""
    page = http_docs.page(document(), {"headers": []}).decode()

    names = [*EVENT_TYPES, *FIELDS, *(reason.code for reason in RejectReason)]
    assert [name for name in names if f"<td>{name}" not in page] == []
