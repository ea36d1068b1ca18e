"""What the columns of a CSV file mean: a row's cells become an event."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import msgspec

from infra.replay.csv_numbers import AmbiguousError, to_json_number
from infra.replay.exact_json import Object

#: Fields that hold an object: a column of such a name holds JSON.
OBJECTS = frozenset({"screen", "utm", "ad_click_ids", "properties", "vitals"})
#: Objects whose members are all numbers.
_OF_NUMBERS = frozenset({"screen", "vitals"})
#: How databases and programs write that there is no value.
NULLS = frozenset({"\\N", "NULL", "null", "(null)", "<null>", "None"})

_json = msgspec.json.Decoder(float_hook=Decimal)


class Column(NamedTuple):
    """A column of an event's field; `read` returns the value of a cell."""

    position: int
    path: Sequence[str]
    read: Callable[[str], Any]


def to_columns(header: Sequence[str], *, decimal_comma: bool) -> list[Column]:
    """Return the columns that the header names, those of objects before those of their members."""
    columns = [
        Column(position, path, _reader(path, decimal_comma=decimal_comma))
        for position, name in enumerate(header)
        if name and (path := name.split("."))
    ]
    return sorted(columns, key=lambda column: len(column.path))


def to_event(columns: Sequence[Column], row: Sequence[str]) -> Object:
    """Return the event of a row, without empty cells; `AmbiguousError` for such a number."""
    event: Object = {}
    for column, cell in _filled(columns, row):
        members = event
        (*objects, name) = column.path
        for part in objects:
            members = members.setdefault(part, {})
            if not isinstance(members, dict):
                break  # The column of the object holds something else, which the server rejects.
        else:
            members[name] = column.read(cell)
    return event


def _filled(columns: Sequence[Column], row: Sequence[str]) -> Iterator[tuple[Column, str]]:
    for column in columns:
        cell = row[column.position] if column.position < len(row) else ""
        if (bare := cell.strip()) and bare not in NULLS:
            yield column, cell


def _reader(path: Sequence[str], *, decimal_comma: bool) -> Callable[[str], Any]:
    (first, *inner) = path
    if not inner and first in OBJECTS:
        return _value
    if path == ["amount"]:
        # The server reads the text exactly.
        return partial(_number, "amount", str, decimal_comma=decimal_comma)
    if path == ["duration"] or (inner and first in _OF_NUMBERS):
        return partial(_number, ".".join(path), Decimal, decimal_comma=decimal_comma)
    return str


def _number(name: str, kind: Callable[[str], Any], cell: str, *, decimal_comma: bool) -> Any:
    """Return a cell that is a number as one of a kind, to the last digit; else as it is."""
    try:
        number = to_json_number(cell, decimal_comma=decimal_comma)
    except AmbiguousError as error:
        raise AmbiguousError(f"{name} {error}") from None
    return cell if number is None else kind(number)


def _value(cell: str) -> Any:
    """Return what a cell of JSON holds; else the cell as it is."""
    try:
        return _json.decode(cell)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return cell
