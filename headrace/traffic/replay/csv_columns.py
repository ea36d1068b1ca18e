"""Convert the rows of a CSV file to events."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import msgspec

from headrace.traffic.replay.csv_numbers import AmbiguousError, to_json_number
from headrace.traffic.replay.exact_json import JsonObject

#: Fields that are objects: their columns contain JSON.
OBJECTS = frozenset({"screen", "utm", "ad_click_ids", "properties", "vitals"})
#: Objects whose members are numbers.
_OF_NUMBERS = frozenset({"screen", "vitals"})
#: Null values, as databases and other programs export them.
NULLS = frozenset({"\\N", "NULL", "null", "(null)", "<null>", "None"})

_json = msgspec.json.Decoder(float_hook=Decimal)


class Column(NamedTuple):
    """A column with the field at `path`; `convert` returns the value of a cell."""

    position: int
    path: Sequence[str]
    convert: Callable[[str], Any]


def to_columns(header: Sequence[str], *, decimal_comma: bool) -> list[Column]:
    """Return the columns of a header, objects before their members."""
    columns = [
        Column(position, path, _converter(path, decimal_comma=decimal_comma))
        for position, name in enumerate(header)
        if name and (path := name.split("."))
    ]
    return sorted(columns, key=lambda column: len(column.path))


def to_event(columns: Sequence[Column], row: Sequence[str]) -> JsonObject:
    """Convert a row to an event; empty cells are left out.

    Raises `AmbiguousError` for an ambiguous number.
    """
    event: JsonObject = {}
    for column, cell in _non_empty(columns, row):
        members = event
        (*objects, name) = column.path
        for part in objects:
            members = members.setdefault(part, {})
            if not isinstance(members, dict):
                break  # The object's own column has another value, which the server rejects.
        else:
            members[name] = column.convert(cell)
    return event


def _non_empty(columns: Sequence[Column], row: Sequence[str]) -> Iterator[tuple[Column, str]]:
    for column in columns:
        cell = row[column.position] if column.position < len(row) else ""
        if (bare := cell.strip()) and bare not in NULLS:
            yield column, cell


def _converter(path: Sequence[str], *, decimal_comma: bool) -> Callable[[str], Any]:
    (first, *inner) = path
    if not inner and first in OBJECTS:
        return _json_value
    if path == ["amount"]:
        # A string, which the server parses exactly.
        return partial(_number, "amount", str, decimal_comma=decimal_comma)
    if path == ["duration"] or (inner and first in _OF_NUMBERS):
        return partial(_number, ".".join(path), Decimal, decimal_comma=decimal_comma)
    return str


def _number(name: str, kind: Callable[[str], Any], cell: str, *, decimal_comma: bool) -> Any:
    """Convert a number to `kind` without rounding; return other cells unchanged."""
    try:
        number = to_json_number(cell, decimal_comma=decimal_comma)
    except AmbiguousError as error:
        raise AmbiguousError(f"{name} {error}") from None
    return cell if number is None else kind(number)


def _json_value(cell: str) -> Any:
    """Decode a JSON cell; return other cells unchanged."""
    try:
        return _json.decode(cell)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return cell
