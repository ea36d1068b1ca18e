import json
from decimal import Decimal
from typing import Any

import pytest

from producer_api.events.batch import split
from producer_api.events.parse import parse
from producer_api.events.rejection import Rejected
from schemas.records import Screen, Utm
from schemas.reject_reasons import RejectReason
from tests.unit.producer_api.around import CONTEXT, REQUIRED, SERVER_ID, read, read_json


def rejection(**fields: Any) -> Rejected:
    """Return the rejection of an event with these fields."""
    with pytest.raises(Rejected) as caught:
        read(**fields)
    return caught.value


def test_null_equals_an_absent_field() -> None:
    """Both are stored as null."""
    nulls = dict.fromkeys(
        ("event_id", "timestamp", "sent_at", "title", "screen", "duration", "amount", "visitor_id")
    )

    assert read(**nulls) == read()
    assert read().event_id == SERVER_ID


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"type": None}, ["type"]),
        ({"site_id": "", "session_id": ""}, ["site_id", "session_id"]),
    ],
)
def test_missing_fields_are_named(fields: dict[str, Any], missing: list[str]) -> None:
    """The message is that of the event API that headrace implements."""
    error = rejection(**fields).to_json()

    assert error == {
        "error": "Missing required fields: site_id, type, session_id",
        "code": "missing_fields",
        "missing": missing,
    }


def test_the_error_of_an_unknown_type_lists_the_known_types() -> None:
    """It echoes the client's value, truncated."""
    error = rejection(type="x" * 10_000).sentence()

    assert "pageview, pageleave, custom_event" in error
    assert len(error) < 400


@pytest.mark.parametrize(
    ("name", "limit"),
    [("url", 2048), ("path", 2048), ("referrer", 2048), ("title", 1024), ("error_message", 1024)]
    + [(name, 512) for name in ("hostname", "language", "user_agent", "event_name", "provider")],
)
def test_long_texts_are_truncated(name: str, limit: int) -> None:
    """Limits count characters; `truncated` names the field."""
    assert read(**{name: "é" * limit}).truncated == []
    event = read(**{name: "é" * (limit + 1)})

    assert getattr(event, name) == "é" * limit
    assert event.truncated == [name]


def test_a_stack_is_truncated_at_a_character_boundary() -> None:
    """The limit counts bytes: here 2,047 remain, because the next character has two."""
    event = read(error_stack="x" + "é" * 2000)

    assert event.error_stack == "x" + "é" * 1023
    assert event.truncated == ["error_stack"]


def test_truncated_members_are_named_with_dots() -> None:
    """For example `utm.source`."""
    event = read(utm={"source": "x" * 600}, ad_click_ids={"gclid": "y" * 600})

    assert event.utm == Utm(source="x" * 512)
    assert event.ad_click_ids == {"gclid": "y" * 512}
    assert event.truncated == ["utm.source", "ad_click_ids.gclid"]


def test_nul_becomes_the_replacement_character_everywhere() -> None:
    """PostgreSQL cannot store NUL; an escaped backslash before u0000 is not changed."""
    event = read(
        title="a\0b",
        ad_click_ids={"g\0": "\0"},
        properties={"k\0": ["\0", {"x": "\0"}]},
        other="\0",
        spelt="\\u0000",
    )

    assert event.title == "a\ufffdb"
    assert event.ad_click_ids == {"g\ufffd": "\ufffd"}
    assert json.loads(event.properties or "") == {"k\ufffd": ["\ufffd", {"x": "\ufffd"}]}
    assert json.loads(event.extra or "") == {"other": "\ufffd", "spelt": "\\u0000"}


@pytest.mark.parametrize("name", ["session_id", "visitor_id", "user_id"])
@pytest.mark.parametrize("value", ["a\0", "a\n", "\x7f", "\x85", "x" * 129])
def test_ids_are_short_and_printable(name: str, value: str) -> None:
    """They become parts of record keys."""
    rejected = rejection(**{name: value})

    assert (rejected.reason, rejected.field) == (RejectReason.BAD_ID, name)


def test_ids_may_have_128_characters_of_any_script() -> None:
    """Spaces and colons are valid; an empty visitor id is stored as null."""
    event = read(session_id="é: " * 42, visitor_id="", user_id="u" * 128)

    assert (event.session_id, event.visitor_id) == ("é: " * 42, None)


def test_unknown_fields_are_stored_in_extra() -> None:
    """So are unknown members of known objects."""
    event = read(
        campaign={"a": [1, None]},
        screen={"width": 10, "depth": 24},
        utm={"id": "7"},
        vitals={"lcp": 1, "tbt": 5},
    )

    assert json.loads(event.extra or "") == {
        "campaign": {"a": [1, None]},
        "screen": {"depth": 24},
        "utm": {"id": "7"},
        "vitals": {"tbt": 5},
    }
    assert event.screen == Screen(width=10)
    assert (event.utm, event.vitals) == (None, {"lcp": 1.0})


@pytest.mark.parametrize("size", [8192, 8193])
def test_extra_over_8_kib_is_dropped(size: int) -> None:
    """The event is accepted, and `truncated` names `extra`."""
    event = read(x="y" * (size - len('{"x":""}')))

    assert (event.extra is None) == (size > 8192)
    assert event.truncated == (["extra"] if size > 8192 else [])


def test_deeply_nested_extra_is_dropped() -> None:
    """Consumers have recursion limits."""
    nested: Any = 1
    for _ in range(200):
        nested = [nested]

    assert read(x=nested).truncated == ["extra"]


@pytest.mark.parametrize("depth", [8, 9])
def test_properties_are_nested_at_most_8_levels(depth: int) -> None:
    """The object itself is the first level."""
    nested: Any = {}
    for _ in range(depth - 1):
        nested = {"a": nested}

    if depth == 8:
        assert json.loads(read(properties=nested).properties or "") == nested
    else:
        assert rejection(properties=nested).reason is RejectReason.PROPERTIES_TOO_DEEP


def test_properties_are_at_most_8_kib_as_json() -> None:
    """The limit counts the bytes of compact JSON."""
    fitting = {"a": "é" * ((8192 - len('{"a":""}')) // 2)}

    assert read(properties=fitting).properties
    assert (
        rejection(properties={"a": fitting["a"] + "x"}).reason is RejectReason.PROPERTIES_TOO_LARGE
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (1.4, 1), (1.5, 2), (2.5, 3), (0.49999999999999994, 0), (2**63 - 1, 2**63 - 1)],
)
def test_durations_are_rounded_half_up(value: float, expected: int) -> None:
    """They are stored as integer milliseconds."""
    assert read(duration=value).duration_ms == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (-1, RejectReason.BAD_DURATION),
        (-0.5, RejectReason.BAD_DURATION),
        (2**63, RejectReason.NUMBER_OUT_OF_RANGE),
        (1e300, RejectReason.NUMBER_OUT_OF_RANGE),
        (True, RejectReason.WRONG_KIND),
        ("5", RejectReason.WRONG_KIND),
    ],
)
def test_other_durations_are_rejected(value: Any, reason: RejectReason) -> None:
    """Each with its own reason."""
    assert rejection(duration=value).reason is reason


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("19.99", "19.990000"),
        ('"19.99"', "19.990000"),
        ("0.0000005", "0.000001"),
        ("-3", "-3.000000"),
        ("1e3", "1000.000000"),
        # More digits than a float can represent.
        ("1234567890123456789.123456", "1234567890123456789.123456"),
        ('"9223372036854775807.999999"', "9223372036854775807.999999"),
        ("1e-300", "0.000000"),
    ],
)
def test_amounts_are_exact_to_six_places(written: str, expected: str) -> None:
    """Numbers and numeric strings keep all digits of the JSON."""
    raw = json.dumps(REQUIRED)[:-1] + f', "amount": {written}}}'

    assert read_json(raw.encode()).amount == Decimal(expected)


@pytest.mark.parametrize(
    ("written", "truncated"),
    [
        ("1e-7", ["amount"]),
        ("0.30000000000000004", ["amount"]),
        ('"0.1234567"', ["amount"]),
        ("0.1", []),
        ("1e2", []),
        ("49.9000000000", []),
        ("12345678901234567.89", []),
        ("-0.0", []),
    ],
)
def test_a_rounded_amount_is_named_in_truncated(written: str, truncated: list[str]) -> None:
    """Exact amounts are not named."""
    raw = json.dumps(REQUIRED)[:-1] + f', "amount": {written}}}'

    assert read_json(raw.encode()).truncated == truncated


@pytest.mark.parametrize("value", [2**63, -(2**63), "9223372036854775807.9999999", "1e999999"])
def test_amounts_have_at_most_63_bits(value: Any) -> None:
    """The limit applies after rounding as well."""
    assert rejection(amount=value).reason is RejectReason.NUMBER_OUT_OF_RANGE


@pytest.mark.parametrize("value", ["", "NaN", "Infinity", "1_000", " 1", "٣", "1,5", True, [], {}])
def test_other_amounts_are_rejected(value: Any) -> None:
    """Decimal itself would accept some of them."""
    assert rejection(amount=value).reason is RejectReason.WRONG_KIND


def test_a_currency_is_stored_in_upper_case() -> None:
    """Clients may send any case."""
    assert read(currency="eur").currency == "EUR"


def test_the_last_of_duplicate_keys_wins() -> None:
    """This includes `amount`, which is decoded twice."""
    raw = json.dumps(REQUIRED)[:-1] + ', "title": "a", "title": "b", "amount": 0.5, "amount": 1.5}'
    event = read_json(raw.encode())

    assert (event.title, event.amount) == ("b", Decimal("1.5"))


@pytest.mark.parametrize("first", ["null", '"x"', "[]", "{}", "true", "1e-99999999999999999999"])
@pytest.mark.parametrize("last", ["1.5", '"1.5"', "15e-1"])
def test_the_last_amount_wins_whatever_the_first_is(first: str, last: str) -> None:
    """The first value is not validated."""
    raw = json.dumps(REQUIRED)[:-1] + f', "amount": {first}, "amount": {last}}}'

    assert read_json(raw.encode()).amount == Decimal("1.5")


@pytest.mark.parametrize("written", ["1e-99999999999999999999", "0e99999999999999999999"])
def test_an_exponent_beyond_all_decimals_is_zero(written: str) -> None:
    """A float is zero as well."""
    raw = json.dumps(REQUIRED)[:-1] + f', "amount": {written}}}'

    assert read_json(raw.encode()).amount == 0


@pytest.mark.parametrize("name", ["screen", "utm", "vitals", "ad_click_ids", "properties"])
@pytest.mark.parametrize("value", [1, "x", True, []])
def test_objects_are_objects(name: str, value: Any) -> None:
    """The rejection names the field."""
    rejected = rejection(**{name: value})

    assert (rejected.reason, rejected.field) == (RejectReason.WRONG_KIND, name)


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b'{"a":' * 100_000, b'{"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}"]
)
def test_deep_nesting_is_invalid_json(raw: bytes) -> None:
    """It does not raise RecursionError."""
    with pytest.raises(Rejected) as caught:
        parse(raw, CONTEXT)

    assert caught.value.reason is RejectReason.INVALID_JSON


@pytest.mark.parametrize("raw", [b"", b" \r\n"])
def test_an_empty_body_has_its_own_message(raw: bytes) -> None:
    """The decoder's message would not say that the body is missing."""
    for read_body in (lambda: parse(raw, CONTEXT), lambda: split(raw, b"")):
        with pytest.raises(Rejected) as caught:
            read_body()

        assert caught.value.reason is RejectReason.INVALID_JSON
        assert caught.value.sentence().startswith("The body is empty; ")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 5000])
def test_a_number_out_of_range_has_its_own_message(number: str) -> None:
    """It is valid JSON, so the message must not say otherwise."""
    with pytest.raises(Rejected) as caught:
        parse(f'{json.dumps(REQUIRED)[:-1]}, "own": {number}}}'.encode(), CONTEXT)

    assert caught.value.reason is RejectReason.INVALID_JSON
    assert "number that is too large" in caught.value.sentence()


def test_the_error_of_an_amount_with_a_comma_shows_the_format() -> None:
    """The type is right, but not the format."""
    error = rejection(amount="12,50").to_json()

    assert error == {
        "error": 'amount must be a number, or a text that holds just one, as in "12.50"',
        "code": "wrong_kind",
        "field": "amount",
    }
