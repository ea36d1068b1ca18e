"""The header of a CSV file: which line it is, its delimiter, and the fields that it names."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from infra.errors import UserError
from infra.replay.csv_columns import OBJECTS
from infra.replay.texts import Line, read_lines
from producer_api.fields import FIELDS

REQUIRED = frozenset({"type", "site_id", "session_id"})
_KNOWN = frozenset({*REQUIRED, *FIELDS, "event_id", "timestamp", "sent_at"})
_DELIMITERS = ",;\t|"
#: By this, Excel learns the delimiter of a file.
_SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
#: A line of nothing but these is blank: spreadsheets write delimiters into empty rows.
_BLANK = ' \t\r\n,;|"'

#: Names of other programs' fields, and what headrace calls them.
Mapped = Mapping[str, str]


class Header(NamedTuple):
    """What a header says; a column without a name is an empty text.

    `columns` are the names in the file, `names` the fields that they mean.
    """

    delimiter: str
    columns: Sequence[str]
    names: Sequence[str]
    text: str


def read_header(name: str, lines: Iterator[Line], mapped: Mapped) -> Header | None:
    """Read up to the header and return it; None for an empty file.

    Blank lines before it are skipped. `UserError` when it names none of our fields, or one twice.
    """
    found = _first(lines, mapped)
    return None if found is None else _checked(name, *found, mapped)


def header_in(start: str, mapped: Mapped) -> bool:
    """Return True for the start of a CSV file: its first line that is not blank is a header."""
    found = _first(read_lines(io.StringIO(start, newline=None)), mapped)
    return found is not None and found[1] is not None


def _first(lines: Iterator[Line], mapped: Mapped) -> tuple[Line, Header | None] | None:
    """Return the first line that is not blank, and the header that it is."""
    delimiters = _DELIMITERS
    for line in lines:
        if found := _SEP.fullmatch(line.text):
            delimiters = found[1]
        elif line.text.strip(_BLANK):
            return line, _header(line.text, mapped, delimiters)
    return None


def _header(text: str, mapped: Mapped, delimiters: str) -> Header | None:
    """Return the header in a line, by the delimiter that gives most of our fields; None without."""
    best, most = None, 0
    for delimiter in delimiters:
        try:
            (cells,) = csv.reader([text], delimiter=delimiter, skipinitialspace=True)
        except (csv.Error, ValueError):
            continue
        columns = [cell.strip() for cell in cells]
        names = [_field(column, mapped) for column in columns]
        known = sum(name.partition(".")[0] in _KNOWN for name in names)
        if not REQUIRED.isdisjoint(names) and known > most:
            best, most = Header(delimiter, columns, names, text.rstrip("\r\n")), known
    return best


def _field(name: str, mapped: Mapped) -> str:
    """Return the field that a column means; our names are known in any case and with blanks."""
    if name in mapped:
        return mapped[name]
    plain = re.sub(r"[\s-]+", "_", name.lower())
    (first, _, inner) = plain.partition(".")
    if plain in _KNOWN or (first in OBJECTS - {"properties"} and inner):
        return plain
    return name


def _checked(name: str, line: Line, header: Header | None, mapped: Mapped) -> Header:
    if header is None:
        raise UserError(
            f"Line {line.number:,} of {name} must name the fields, such as "
            "type,site_id,session_id,path; none of the first three is there. Give columns of other "
            "names with --map theirs=ours"
        )
    named = [column for column in header.names if column]
    if twice := {column for column in named if named.count(column) > 1}:
        raise UserError(f"Line {line.number:,} of {name} names {min(twice)} twice")
    if absent := mapped.keys() - set(header.columns):
        raise UserError(f"--map names {min(absent)}, which is no column of {name}")
    return header
