"""Find the header of a CSV file, its delimiter and its fields."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from headrace.errors import UserError
from headrace.traffic.replay.csv_columns import OBJECTS
from headrace.traffic.replay.text_files import Line, read_lines
from producer_api.events.fields import FIELDS

REQUIRED = frozenset({"type", "site_id", "session_id"})
_FIELDS = frozenset({*REQUIRED, *FIELDS, "event_id", "timestamp", "sent_at"})
_DELIMITERS = ",;\t|"
#: A line that sets the delimiter, as in Excel.
_SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
#: Characters of blank lines: spreadsheets export empty rows as delimiters.
_BLANK = ' \t\r\n,;|"'

#: The field names of headrace by the names in a file.
FieldMap = Mapping[str, str]


class Header(NamedTuple):
    """A header. `columns` are the names in the file, `names` the fields of headrace.

    Both have an empty string for a column without a name.
    """

    delimiter: str
    columns: Sequence[str]
    names: Sequence[str]
    text: str


def read_header(name: str, lines: Iterator[Line], field_map: FieldMap) -> Header | None:
    """Read up to the header, skipping blank lines, and return it; None for an empty file.

    Raises `UserError` if it has no field of headrace, a duplicate field, or lacks a column of
    `field_map`.
    """
    found = _find_header(lines, field_map)
    return None if found is None else _validated(name, *found, field_map)


def starts_with_header(start: str, field_map: FieldMap) -> bool:
    """Return True if the first line that is not blank is a CSV header."""
    found = _find_header(read_lines(io.StringIO(start, newline=None)), field_map)
    return found is not None and found[1] is not None


def _find_header(lines: Iterator[Line], field_map: FieldMap) -> tuple[Line, Header | None] | None:
    """Return the first line that is not blank, with the header if it is one."""
    delimiters = _DELIMITERS
    for line in lines:
        if found := _SEP.fullmatch(line.text):
            delimiters = found[1]
        elif line.text.strip(_BLANK):
            return line, _parse_header(line.text, field_map, delimiters)
    return None


def _parse_header(text: str, field_map: FieldMap, delimiters: str) -> Header | None:
    """Parse a line with the delimiter that yields the most fields; None if it has none."""
    best, best_count = None, 0
    for delimiter in delimiters:
        try:
            (cells,) = csv.reader([text], delimiter=delimiter, skipinitialspace=True)
        except (csv.Error, ValueError):
            continue
        columns = [cell.strip() for cell in cells]
        names = [_field(column, field_map) for column in columns]
        count = sum(name.partition(".")[0] in _FIELDS for name in names)
        if not REQUIRED.isdisjoint(names) and count > best_count:
            best, best_count = Header(delimiter, columns, names, text.rstrip("\r\n")), count
    return best


def _field(name: str, field_map: FieldMap) -> str:
    """Return the field of a column. Names match in any case, and with spaces or hyphens for _."""
    if name in field_map:
        return field_map[name]
    plain = re.sub(r"[\s-]+", "_", name.lower())
    (first, _, inner) = plain.partition(".")
    if plain in _FIELDS or (first in OBJECTS - {"properties"} and inner):
        return plain
    return name


def _validated(name: str, line: Line, header: Header | None, field_map: FieldMap) -> Header:
    if header is None:
        raise UserError(
            f"Line {line.number:,} of {name} must be a header such as type,site_id,session_id,path "
            "with at least one of the first three. Map other names with --map theirs=ours"
        )
    named = [column for column in header.names if column]
    if duplicates := {column for column in named if named.count(column) > 1}:
        raise UserError(f"Line {line.number:,} of {name} has {min(duplicates)} twice")
    if missing := field_map.keys() - set(header.columns):
        raise UserError(f"--map has {min(missing)}, which is not a column of {name}")
    return header
