"""Translated events are accepted as they are, or with members moved to `unmapped`."""

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest

from producer_api.events.dialects.fitting import UNMAPPED, event_uuid, fit, hashed_id, with_ids
from producer_api.events.fields import MAX_JSON_BYTES, TEXTS
from schemas.records import RawEvent
from tests.unit.producer_api.around import REQUIRED, read_json

LARGE = "x" * 20_000


def fitted(**members: Any) -> dict[str, Any]:
    """Return the members of a fitted event, without the required ones."""
    event = fit(with_ids(REQUIRED | members))
    return {name: value for name, value in event.items() if name not in REQUIRED}


def stored(**members: Any) -> RawEvent:
    """Return the record of a fitted event."""
    return read_json(msgspec.json.encode(fit(with_ids(REQUIRED | members))))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("duration", "long"),
        ("duration", -1),
        ("currency", "euro"),
        ("amount", "many"),
        ("amount", True),
        ("amount", 10**30),
        ("screen", "1920x1080"),
        ("screen", {"width": "1920"}),
        ("screen", {"width": 2**63}),
        ("utm", ["a"]),
        ("ad_click_ids", {"gclid": 7}),
        ("vitals", {"lcp": True}),
        ("timestamp", "yesterday"),
        ("timestamp", 7),
        ("sent_at", {}),
        ("error_stack", None),
        ("visitor_id", ["a"]),
        ("user_id", True),
    ],
)
def test_members_that_the_api_rejects_are_unmapped(name: str, value: Any) -> None:
    """The event is stored, with their value in `extra`; null is no value."""
    extra = stored(**{name: value}).extra
    found = {} if extra is None else json.loads(extra)

    assert found == ({} if value is None else {UNMAPPED: {name: value}})


@pytest.mark.parametrize("ip", ["203.0.113", "203.0.113.7:80", "unknown"])
def test_an_address_is_not_stored(ip: str) -> None:
    """Also if it is misspelled."""
    assert stored(ip=ip).extra is None


@pytest.mark.parametrize(
    "members",
    [
        {"duration": 5.5, "amount": 7, "currency": "eur"},
        {"screen": {"width": 1}, "vitals": {"lcp": 1}, "utm": {"term": None}},
        {"timestamp": "2026-01-31T12:00:00Z", "sent_at": "2026-01-31T12:00:00Z"},
        {"visitor_id": "v", "properties": {"a": [1]}, "own": {"b": 1}, "ip": "::1"},
    ],
)
def test_valid_members_are_unchanged(members: dict[str, Any]) -> None:
    """Also members that the API does not know."""
    assert fitted(**members) == members


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    ("value", "text"), [(404, "404"), (True, "true"), (["a", 1], '["a",1]'), ("", "")]
)
def test_texts_may_have_any_type(name: str, value: Any, text: str) -> None:
    """They are stored as JSON."""
    assert fitted(**{name: value}) == {name: text}


@pytest.mark.parametrize("name", [*TEXTS, "error_stack"])
def test_long_texts_are_truncated_as_those_of_the_api(name: str) -> None:
    """The record names them, although the rest is cut before."""
    event = fit(REQUIRED | {name: LARGE})

    assert len(event[name]) < len(LARGE)
    assert stored(**{name: LARGE}).truncated == [name]


@pytest.mark.parametrize("name", ["session_id", "visitor_id", "user_id"])
def test_ids_are_texts(name: str) -> None:
    """Numbers are written as such; ids that are invalid get another one, the same each time."""
    assert with_ids({name: 7})[name] == "7"
    assert with_ids({name: 2.5})[name] == "2.5"
    assert name not in with_ids({name: ""})
    for invalid in ("a" * 129, "a\nb"):
        replaced = with_ids({name: invalid})[name]
        assert str(UUID(replaced)) == replaced == with_ids({name: invalid})[name]


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("29.90", "29.90"),
        (" 29 ", "29"),
        (".5", "0.5"),
        ("12345678901234567.123456", "12345678901234567.123456"),
        ("1e3", "1E+3"),
        ("٣", "3"),
    ],
)
def test_amounts_in_texts_keep_all_digits(text: str, amount: str) -> None:
    """In any form of a decimal number."""
    assert fitted(amount=text) == {"amount": amount}
    assert stored(amount=text).amount == stored(amount=amount).amount is not None


@pytest.mark.parametrize("text", ["inf", "NaN", "29,90", ""])
def test_other_amounts_are_unmapped(text: str) -> None:
    """Rather than guessed."""
    assert fitted(amount=text) == {UNMAPPED: {"amount": text}}


@pytest.mark.parametrize(("value", "kept"), [(["a"], ["a"]), ("a", "a"), (7, 7)])
def test_properties_that_are_no_object_are_one_property(value: Any, kept: Any) -> None:
    """They are no reason to reject the event."""
    assert fitted(properties=value) == {"properties": {"value": kept}}


def test_the_largest_properties_are_cut() -> None:
    """The smaller ones are complete, and `unmapped` names those that are not."""
    properties = {"html": LARGE, "plan": "pro", "list": ["y" * 5_000], "also": "z" * 2_000}

    event = stored(properties=properties)

    kept = json.loads(event.properties or "")
    assert kept == {**properties, "html": '"' + "x" * 511}
    assert json.loads(event.extra or "") == {UNMAPPED: {"cut_properties": ["html"]}}


def test_deep_properties_are_cut() -> None:
    """To texts with their JSON."""
    value: Any = 1
    for _ in range(12):
        value = {"a": value}

    event = stored(properties={"deep": value, "plan": "pro"})

    assert json.loads(event.properties or "") == {
        "deep": msgspec.json.encode(value).decode(),
        "plan": "pro",
    }


def test_many_small_properties_are_a_text() -> None:
    """Its begin, as they are too many to choose from."""
    event = stored(properties={f"property {number}": number for number in range(2_000)})

    assert (event.properties or "").startswith(r'{"cut":"{\"property 0\":0,')
    assert json.loads(event.extra or "") == {UNMAPPED: {"cut_properties": ["2000 members"]}}


@pytest.mark.parametrize(
    "unmapped",
    [
        {"html": "\u20ac" * 20_000, "plan": "pro"},
        {str(number): "\n" * 600 for number in range(100)},
        {"\u20ac" * 600 + str(number): 1 for number in range(100)},
    ],
)
def test_what_has_no_field_fits_into_extra(unmapped: dict[str, Any]) -> None:
    """Its largest members are cut, so that the smaller ones are stored."""
    event = stored(**{UNMAPPED: unmapped})

    assert not event.truncated
    assert len((event.extra or "").encode()) <= MAX_JSON_BYTES
    assert (json.loads(event.extra or "")[UNMAPPED].get("plan") == "pro") is ("plan" in unmapped)


def test_empty_properties_are_not_stored() -> None:
    """Dialects need not check whether anything is left over."""
    record = stored(properties={}, **{UNMAPPED: {}})

    assert (record.properties, record.extra) == (None, None)


def test_a_visitor_who_opts_out_is_not_in_extra() -> None:
    """The members that dialects do not map repeat the ids that the API drops."""
    unmapped = {
        "msclkid": "x",
        "$set_once": {"$initial_gclid": "x", "browser": "Chrome"},
        "page": "https://shop.example/?gclid=x&a=b",
        "session": {"userId": "v1", "alias": ["u1", "u2"]},
        "traits": {"email": "ada@shop.example"},
    }
    event = REQUIRED | {"visitor_id": "v1", "user_id": "u1", UNMAPPED: unmapped}

    assert fit(event)[UNMAPPED] == unmapped
    assert fit(event, opts_out=True)[UNMAPPED] == {
        "$set_once": {"browser": "Chrome"},
        "page": "https://shop.example/?a=b",
        "session": {"alias": ["u2"]},
    }


def test_event_ids_are_uuids() -> None:
    """Any other one becomes the UUIDv5 of site and id."""
    uuid = "0197C2A4-7d1b-7c3e-9a55-2b8f6d0e4c11"

    assert event_uuid("shop", uuid) == uuid.lower()
    assert event_uuid("shop", "a") == event_uuid("shop", "a") != event_uuid("other", "a")
    for odd in ("x" * 36, 7, "", ["a"], uuid.replace("-", "")):
        assert UUID(event_uuid("shop", odd)).version == 5


def test_ids_of_a_client_are_hashed_by_site() -> None:
    """Visitors of two sites are not the same because of their id. The hashes never change."""
    assert hashed_id("shop", "a") == "b5b23b6e-08ec-5e82-90d1-571527ed1c66"


def test_the_largest_unmapped_members_are_cut() -> None:
    """The others are stored."""
    event = fit({"type": "error", UNMAPPED: {"frames": ["x" * 9000], "version": "1.2"}})

    unmapped = event[UNMAPPED]
    assert unmapped["version"] == "1.2"
    assert unmapped["frames"].startswith('["xxx')
    assert len(json.dumps(event)) < MAX_JSON_BYTES


def test_deeply_nested_unmapped_members_are_cut() -> None:
    """Without an error, however deep they are."""
    nested: list[object] = []
    for _ in range(900):
        nested = [nested]

    event = fit({UNMAPPED: {"nested": nested, "version": "1.2"}})

    assert isinstance(event[UNMAPPED]["nested"], str)
    assert event[UNMAPPED]["version"] == "1.2"


def test_email_addresses_in_unmapped_urls_are_masked() -> None:
    """In values and names, at any level; other texts are unchanged."""
    url = "https://shop.example/thanks?email=ada%40shop.example"
    masked = "https://shop.example/thanks?email=***"

    event = fit({UNMAPPED: {"entry": [{"url": url, url: 1}], "email": "ada@shop.example"}})

    assert event[UNMAPPED] == {"entry": [{"url": masked, masked: 1}], "email": "ada@shop.example"}


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (1796083200, "2026-12-01T00:00:00+00:00"),
        (1796083200500, "2026-12-01T00:00:00.500000+00:00"),
        ("1796083200", "2026-12-01T00:00:00+00:00"),
        ("Tue, 01 Dec 2026 01:00:00 +0100", "2026-12-01T01:00:00+01:00"),
        ("Tue, 01 Dec 2026 00:00:00 GMT", "2026-12-01T00:00:00+00:00"),
        (
            "Tue Dec 01 2026 01:00:00 GMT+0100 (Central European Standard Time)",
            "2026-12-01T01:00:00+01:00",
        ),
        ("2026-12-01 00:00:00 UTC", "2026-12-01 00:00:00Z"),
        ("2026-12-01 01:00:00.5 +0100", "2026-12-01 01:00:00.5+0100"),
        ("20261201", "20261201"),
    ],
)
def test_times_that_are_no_iso_8601(sent: object, stored: str) -> None:
    """As programs pass them to clients that check none."""
    assert fit({"timestamp": sent, "sent_at": sent}) == {"timestamp": stored, "sent_at": stored}


@pytest.mark.parametrize("sent", ["yesterday", "", "7", "1e999", "9" * 400, True, [1], {}])
def test_what_is_no_time_is_unmapped(sent: object) -> None:
    """The event has the time of its arrival."""
    assert fit({"timestamp": sent})[UNMAPPED]["timestamp"] == sent
