"""Timestamps and numbers in the formats of other programs."""

import pytest

from headrace.traffic.replay.csv_numbers import AmbiguousError, to_json_number
from headrace.traffic.replay.timestamps import to_iso

_TEN = 1_709_287_200_000_000  # 2024-03-01T10:00:00Z


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2024-03-01T10:00:00Z", _TEN),
        ("2024-03-01 10:00:00 UTC", _TEN),
        ("2024-03-01 10:00:00.123456 UTC", _TEN + 123_456),
        ("2024-03-01 10:00:00 +0000", _TEN),
        ("2024-03-01 10:00:00.5 +00:00", _TEN + 500_000),
        ("2024-03-01 10:00:00+00", _TEN),
        ("2024-03-01 10:00:00 +05:30", _TEN - 19_800_000_000),
        ("2024-03-01 10:00:00.000 -0800", _TEN + 28_800_000_000),
        ("2024-03-01 10:00:00 Z", _TEN),
        ("2024-03-01 10:00:00 GMT", _TEN),
        ("2024-03-01  10:00:00  utc", _TEN),
        (" 2024-03-01 10:00:00 ", _TEN),
        ("2024-03-01 10:00:00", _TEN),
        ("2024-03-01 10:00", _TEN),
        ("2024-03-01T10:00:00.123456789Z", _TEN + 123_456),
        ("2024-03-01 10:00:00,123456789 UTC", _TEN + 123_456),
        ("2024-03-01 10:00:00.1 UTC", _TEN + 100_000),
        ("2024/03/01 10:00:00", _TEN),
        ("2024-3-1 10:00:00 AM", _TEN),
        ("2024-3-1 12:00:00 AM", _TEN - 36_000_000_000),
        ("2024-03-01 12:00 PM", _TEN + 7_200_000_000),
        ("Fri, 01 Mar 2024 10:00:00 +0000", _TEN),
        ("Fri, 01 Mar 2024 10:00:00 GMT", _TEN),
        ("1709287200", _TEN),
        ("1709287200.25", _TEN + 250_000),
        ("1709287200000", _TEN),
        ("1709287200000000", _TEN),
        ("1709287200000000999", _TEN),
        ("20240301", _TEN - 36_000_000_000),
        ("2024-03-01", _TEN - 36_000_000_000),
        ("2024-03-01 23:59:60 UTC", _TEN + 50_400_000_000),
    ],
)
def test_other_timestamp_formats_are_converted(text: str, micros: int) -> None:
    """To the microsecond; those that the server accepts do not change."""
    (iso, found) = to_iso(text)

    assert found == micros
    assert to_iso(iso) == (iso, micros)


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "03/01/2024 10:00", "1.3.2024", "45352.41", "2024-13-01 10:00:00 UTC"),
        *("2024-03-01 10:00:00 CET", "2024-03-01 25:00:00 UTC", "2024-03-01 13:00 PM"),
        *("2024-02-30 10:00:00 UTC", "2024-03-01 10:00:00.1234567890 UTC", "1.7e9", "-1709287200"),
        *("2024-03/01 10:00", "2024-03-01 10:00:00 +99:00", "Fri, 99 Mar 2024 10:00:00 +0000"),
        *("\u0662\u0660\u0662\u0664-03-01 10:00:00 UTC", "99999999999999999999"),
    ],
)
def test_an_unknown_timestamp_format_does_not_change(text: str) -> None:
    """The server rejects it."""
    assert to_iso(text) == (text, None)


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        *((".99", "0.99"), (" 12.50 ", "12.50"), ("+5", "5"), ("5.", "5"), ("-0", "-0")),
        *(("1e3", "1e3"), ("-.5", "-0.5"), ("007", "7"), ("+.5E-3", "0.5E-3"), ("00", "0")),
        *(("1,234.50", "1234.50"), ("1.234,50", "1234.50"), ("12,50", "12.50"), (",5", "0.5")),
        *(("1,234,567", "1234567"), ("1.234.567", "1234567"), ("1 234,50", "1234.50")),
        *(("1\u00a0234.50", "1234.50"), ("1\u202f234", "1234"), ("1'234.50", "1234.50")),
        *(("\u22125", "-5"), ("0,123", "0.123"), ("1234,567", "1234.567"), ("\u00a05", "5")),
        ("1.10000000000000000001", "1.10000000000000000001"),
        ("99999999999999999999.99", "99999999999999999999.99"),
    ],
)
def test_other_number_formats_are_converted_exactly(cell: str, number: str) -> None:
    """No digit is rounded."""
    assert to_json_number(cell, decimal_comma=False) == number


@pytest.mark.parametrize(
    "cell",
    [
        *("", " ", ".", "+", "e3", "1_000", "NaN", "Infinity", "0x10", "$5", "5 EUR", "1,2,3"),
        *("12,34,567", "1.2.3", "1,23.4", "--5", "5-", "1 2", "\u0665", "1e", "1e5.5"),
    ],
)
def test_invalid_numbers_are_none(cell: str) -> None:
    """The server rejects them."""
    assert to_json_number(cell, decimal_comma=False) is None


def test_a_comma_before_three_digits_is_ambiguous() -> None:
    """Unless commas are known to be decimal separators."""
    with pytest.raises(AmbiguousError, match=r"1,234 could mean 1234 or 1\.234"):
        to_json_number("1,234", decimal_comma=False)

    assert to_json_number("1,234", decimal_comma=True) == "1.234"
