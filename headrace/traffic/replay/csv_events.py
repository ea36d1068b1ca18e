"""Read events from CSV. The header has the field names, with dots for nested fields.

A row that cannot be parsed is rejected alone: after an unterminated quote, the next line is parsed
as a new row.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence

from headrace.traffic.replay.csv_columns import to_columns, to_event
from headrace.traffic.replay.csv_header import FieldMap, Header, read_header
from headrace.traffic.replay.csv_numbers import AmbiguousError
from headrace.traffic.replay.exact_json import encode
from headrace.traffic.replay.recorded_event import Problem, RecordedEvent, not_utf8
from headrace.traffic.replay.text_files import MAX_LINE, Line, to_bytes

_QUOTES = "a cell with a quotation mark in it must be in quotes, with the mark doubled"
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


def read_rows(name: str, lines: Iterator[Line], field_map: FieldMap) -> Iterator[RecordedEvent]:
    """Yield an event per row; raises `UserError` if the header has none of our fields."""
    header = read_header(name, lines, field_map)
    if header is None:
        return
    has_spaces = all(cell.startswith(" ") for cell in header.text.split(header.delimiter)[1:])
    columns = to_columns(header.names, decimal_comma=header.delimiter == ";")
    pushed_back: deque[Line] = deque()
    while True:
        consumed: list[Line] = []
        reader = csv.reader(
            _row_lines(lines, pushed_back, consumed),
            strict=True,
            delimiter=header.delimiter,
            skipinitialspace=has_spaces,
        )
        try:
            row = next(reader)
            problem = _cells_problem(row, header, len(consumed))
        except StopIteration:
            return
        except csv.Error as error:
            problem = Problem("bad_csv", f"the row is not CSV ({error}); {_QUOTES}")
        if problem is not None:
            pushed_back.extendleft(reversed(consumed[1:]))
            yield _rejected(consumed[:1], problem, header)
        elif len(row) > 1 or any(cell.strip() for cell in row):
            try:
                yield RecordedEvent(consumed[0].number, encode(to_event(columns, row)))
            except AmbiguousError as error:
                yield _rejected(consumed, Problem("ambiguous_number", str(error)), header)
            except UnicodeEncodeError:
                texts = (header.text, *(line.text for line in consumed))
                if (problem := not_utf8(to_bytes("".join(texts)))) is None:
                    raise
                yield _rejected(consumed, problem, header)


def _row_lines(
    lines: Iterator[Line], pushed_back: deque[Line], consumed: list[Line]
) -> Iterator[str]:
    """Yield lines to `csv.reader`, first those of `pushed_back`; append them to `consumed`."""
    size = 0
    while (line := pushed_back.popleft() if pushed_back else next(lines, None)) is not None:
        consumed.append(line)
        size += len(line.text)
        if not line.is_complete or size > MAX_LINE:
            raise csv.Error(f"a row of over {MAX_LINE >> 10} KiB")
        yield line.text


def _rejected(lines: Sequence[Line], problem: Problem, header: Header) -> RecordedEvent:
    data = to_bytes("".join(line.text for line in lines).strip("\r\n"))
    return RecordedEvent(lines[0].number, data, problem._replace(header=header.text))


def _cells_problem(row: Sequence[str], header: Header, lines: int) -> Problem | None:
    """Return a problem if the number of cells is wrong; additional cells may be empty.

    A row of several lines must have the exact number, because a missing quote is more likely.
    """
    if not row or (len(row) == 1 and not row[0].strip()):
        return None
    columns = len(header.names)
    needed = max(number for number, name in enumerate(header.names, 1) if name)
    if needed <= len(row) and not any(row[columns:]) and (lines == 1 or len(row) == columns):
        return None
    sentence = f"the row has {len(row)} cells, and the header names {columns} columns"
    if lines > 1:
        sentence += "; the row begins a quote that does not end on this line"
    elif len(row) > columns:
        delimiter = _DELIMITERS.get(header.delimiter, "delimiter")
        sentence += f"; a cell with a {delimiter} in it, as user agents have, must be in quotes"
    return Problem("wrong_number_of_cells", sentence)
