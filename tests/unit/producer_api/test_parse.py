import json
from decimal import Decimal
from typing import Any

import pytest

from producer_api.batch import split
from producer_api.parse import parse
from producer_api.rejected import Rejected
from schemas.records import Screen, Utm
from schemas.reject_reasons import RejectReason
from tests.unit.producer_api.around import CONTEXT, REQUIRED, SERVER_ID, read, read_json


def refused(**fields: Any) -> Rejected:
    """Return how an event of these fields is refused."""
    with pytest.raises(Rejected) as caught:
        read(**fields)
    return caught.value


def test_what_is_absent_stays_absent() -> None:
    """Null says the same as nothing."""
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
    """The sentence is the event API's, to the letter."""
    told = refused(**fields).to_json()

    assert told == {
        "error": "Missing required fields: site_id, type, session_id",
        "code": "missing_fields",
        "missing": missing,
    }


def test_an_unknown_type_is_told_the_known_ones() -> None:
    """What was sent is repeated, but never at length."""
    told = refused(type="x" * 10_000).sentence()

    assert "pageview, pageleave, custom_event" in told
    assert len(told) < 400


@pytest.mark.parametrize(
    ("name", "limit"),
    [("url", 2048), ("path", 2048), ("referrer", 2048), ("title", 1024), ("error_message", 1024)]
    + [(name, 512) for name in ("hostname", "language", "user_agent", "event_name", "provider")],
)
def test_long_texts_are_cut_and_named(name: str, limit: int) -> None:
    """By characters; a text of just the limit is whole."""
    assert read(**{name: "é" * limit}).truncated == []
    event = read(**{name: "é" * (limit + 1)})

    assert getattr(event, name) == "é" * limit
    assert event.truncated == [name]


def test_a_stack_is_cut_by_bytes_on_a_character() -> None:
    """2,047 bytes, since the next character has two."""
    event = read(error_stack="x" + "é" * 2000)

    assert event.error_stack == "x" + "é" * 1023
    assert event.truncated == ["error_stack"]


def test_nested_texts_are_named_with_dots() -> None:
    """As the API names them."""
    event = read(utm={"source": "x" * 600}, ad_click_ids={"gclid": "y" * 600})

    assert event.utm == Utm(source="x" * 512)
    assert event.ad_click_ids == {"gclid": "y" * 512}
    assert event.truncated == ["utm.source", "ad_click_ids.gclid"]


def test_nul_becomes_the_replacement_character_everywhere() -> None:
    """PostgreSQL stores none; a text that only spells an escape is left as it is."""
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
    """They become keys."""
    rejected = refused(**{name: value})

    assert (rejected.reason, rejected.field) == (RejectReason.BAD_ID, name)


def test_an_id_of_128_characters_of_any_script_is_taken() -> None:
    """Spaces and colons too; and an empty visitor is none."""
    event = read(session_id="é: " * 42, visitor_id="", user_id="u" * 128)

    assert (event.session_id, event.visitor_id) == ("é: " * 42, None)


def test_unknown_fields_are_kept_under_their_names() -> None:
    """Also those within objects that are known."""
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
def test_extra_over_8_kib_is_left_out_and_named(size: int) -> None:
    """The event is taken all the same."""
    event = read(x="y" * (size - len('{"x":""}')))

    assert (event.extra is None) == (size > 8192)
    assert event.truncated == (["extra"] if size > 8192 else [])


def test_extra_without_bottom_is_left_out() -> None:
    """No reader behind us shall stumble over it."""
    nested: Any = 1
    for _ in range(200):
        nested = [nested]

    assert read(x=nested).truncated == ["extra"]


@pytest.mark.parametrize("depth", [8, 9])
def test_properties_are_nested_at_most_8_levels(depth: int) -> None:
    """The object itself is the first."""
    nested: Any = {}
    for _ in range(depth - 1):
        nested = {"a": nested}

    if depth == 8:
        assert json.loads(read(properties=nested).properties or "") == nested
    else:
        assert refused(properties=nested).reason is RejectReason.PROPERTIES_TOO_DEEP


def test_properties_are_at_most_8_kib_as_json() -> None:
    """Counted in bytes, without blanks."""
    fitting = {"a": "é" * ((8192 - len('{"a":""}')) // 2)}

    assert read(properties=fitting).properties
    assert refused(properties={"a": fitting["a"] + "x"}).reason is RejectReason.PROPERTIES_TOO_LARGE


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (1.4, 1), (1.5, 2), (2.5, 3), (0.49999999999999994, 0), (2**63 - 1, 2**63 - 1)],
)
def test_durations_are_rounded_half_up(value: float, expected: int) -> None:
    """To whole milliseconds."""
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
def test_no_other_durations_are_taken(value: Any, reason: RejectReason) -> None:
    """Each with its own reason."""
    assert refused(duration=value).reason is reason


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("19.99", "19.990000"),
        ('"19.99"', "19.990000"),
        ("0.0000005", "0.000001"),
        ("-3", "-3.000000"),
        ("1e3", "1000.000000"),
        # More digits than a float has.
        ("1234567890123456789.123456", "1234567890123456789.123456"),
        ('"9223372036854775807.999999"', "9223372036854775807.999999"),
        ("1e-300", "0.000000"),
    ],
)
def test_amounts_are_exact_to_six_places(written: str, expected: str) -> None:
    """Numbers and numeric texts, as they were written."""
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
def test_an_amount_that_was_rounded_is_named(written: str, truncated: list[str]) -> None:
    """No money is lost without a word."""
    raw = json.dumps(REQUIRED)[:-1] + f', "amount": {written}}}'

    assert read_json(raw.encode()).truncated == truncated


@pytest.mark.parametrize("value", [2**63, -(2**63), "9223372036854775807.9999999", "1e999999"])
def test_amounts_have_at_most_63_bits(value: Any) -> None:
    """After rounding, too."""
    assert refused(amount=value).reason is RejectReason.NUMBER_OUT_OF_RANGE


@pytest.mark.parametrize("value", ["", "NaN", "Infinity", "1_000", " 1", "٣", "1,5", True, [], {}])
def test_no_other_amounts_are_taken(value: Any) -> None:
    """Decimal would take some of them."""
    assert refused(amount=value).reason is RejectReason.WRONG_KIND


def test_a_currency_is_stored_in_capitals() -> None:
    """However it was written."""
    assert read(currency="eur").currency == "EUR"


def test_the_last_of_duplicate_keys_wins() -> None:
    """Also of an amount, which is read twice."""
    raw = json.dumps(REQUIRED)[:-1] + ', "title": "a", "title": "b", "amount": 0.5, "amount": 1.5}'
    event = read_json(raw.encode())

    assert (event.title, event.amount) == ("b", Decimal("1.5"))


@pytest.mark.parametrize("first", ["null", '"x"', "[]", "{}", "true", "1e-99999999999999999999"])
@pytest.mark.parametrize("last", ["1.5", '"1.5"', "15e-1"])
def test_the_last_amount_wins_whatever_the_first_is(first: str, last: str) -> None:
    """What does not count is not judged either."""
    raw = json.dumps(REQUIRED)[:-1] + f', "amount": {first}, "amount": {last}}}'

    assert read_json(raw.encode()).amount == Decimal("1.5")


@pytest.mark.parametrize("written", ["1e-99999999999999999999", "0e99999999999999999999"])
def test_an_exponent_beyond_all_decimals_is_zero(written: str) -> None:
    """As it is for a float."""
    raw = json.dumps(REQUIRED)[:-1] + f', "amount": {written}}}'

    assert read_json(raw.encode()).amount == 0


@pytest.mark.parametrize("name", ["screen", "utm", "vitals", "ad_click_ids", "properties"])
@pytest.mark.parametrize("value", [1, "x", True, []])
def test_objects_are_objects(name: str, value: Any) -> None:
    """And the refusal names the field."""
    rejected = refused(**{name: value})

    assert (rejected.reason, rejected.field) == (RejectReason.WRONG_KIND, name)


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b'{"a":' * 100_000, b'{"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}"]
)
def test_nesting_without_end_is_invalid_json(raw: bytes) -> None:
    """And never an overflow."""
    with pytest.raises(Rejected) as caught:
        parse(raw, CONTEXT)

    assert caught.value.reason is RejectReason.INVALID_JSON


@pytest.mark.parametrize("raw", [b"", b" \r\n"])
def test_an_empty_body_is_said_to_be_empty(raw: bytes) -> None:
    """Whoever forgot it is not sent looking for a mistake in it."""
    for read_body in (lambda: parse(raw, CONTEXT), lambda: split(raw, b"")):
        with pytest.raises(Rejected) as caught:
            read_body()

        assert caught.value.reason is RejectReason.INVALID_JSON
        assert caught.value.sentence().startswith("The body is empty; ")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 5000])
def test_a_number_that_cannot_be_read_is_told(number: str) -> None:
    """No sentence says that it is no JSON, which it is."""
    with pytest.raises(Rejected) as caught:
        parse(f'{json.dumps(REQUIRED)[:-1]}, "own": {number}}}'.encode(), CONTEXT)

    assert caught.value.reason is RejectReason.INVALID_JSON
    assert "number that is too large" in caught.value.sentence()


def test_an_amount_with_a_comma_is_told_what_would_be_right() -> None:
    """It is a text, as it may be."""
    told = refused(amount="12,50").to_json()

    assert told == {
        "error": 'amount must be a number, or a text that holds just one, as in "12.50"',
        "code": "wrong_kind",
        "field": "amount",
    }
