"""Read events from CSV. The header has the field names, with dots for nested fields.

A row that cannot be parsed does not affect the others: after an unterminated quote, the next line
is parsed as a new row.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence

from headrace.traffic.replay.csv_columns import Column, to_columns, to_event
from headrace.traffic.replay.csv_header import FieldMap, Header, read_header
from headrace.traffic.replay.csv_numbers import AmbiguousError
from headrace.traffic.replay.exact_json import encode
from headrace.traffic.replay.recorded_event import Problem, RecordedEvent, not_utf8
from headrace.traffic.replay.text_files import MAX_LINE, Line, to_bytes

_QUOTES = "a cell that contains a quotation mark must be quoted, with the mark doubled"
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


def read_rows(name: str, lines: Iterator[Line], field_map: FieldMap) -> Iterator[RecordedEvent]:
    """Yield an event per row. Raises `UserError` if the header has no field of headrace."""
    header = read_header(name, lines, field_map)
    if header is None:
        return
    columns = to_columns(header.names, decimal_comma=header.delimiter == ";")
    pushed_back: deque[Line] = deque()
    while True:
        consumed: list[Line] = []
        try:
            row = next(_csv_reader(_row_lines(lines, pushed_back, consumed), header))
            problem = _cells_problem(row, header, len(consumed))
        except StopIteration:
            return
        except csv.Error as error:
            problem = Problem("bad_csv", f"the row is not CSV ({error}); {_QUOTES}")
        if problem is not None:
            pushed_back.extendleft(reversed(consumed[1:]))
            yield _rejected(consumed[:1], problem, header)
        elif len(row) > 1 or any(cell.strip() for cell in row):
            yield _to_recorded(columns, row, consumed, header)


def _csv_reader(lines: Iterator[str], header: Header) -> Iterator[list[str]]:
    has_spaces = all(cell.startswith(" ") for cell in header.text.split(header.delimiter)[1:])
    return csv.reader(lines, strict=True, delimiter=header.delimiter, skipinitialspace=has_spaces)


def _to_recorded(
    columns: Sequence[Column], row: Sequence[str], lines: Sequence[Line], header: Header
) -> RecordedEvent:
    """Convert a row, which was read from these lines; reject it if a cell is invalid."""
    try:
        return RecordedEvent(lines[0].number, encode(to_event(columns, row)))
    except AmbiguousError as error:
        return _rejected(lines, Problem("ambiguous_number", str(error)), header)
    except UnicodeEncodeError:
        texts = (header.text, *(line.text for line in lines))
        if (problem := not_utf8(to_bytes("".join(texts)))) is None:
            raise
        return _rejected(lines, problem, header)


def _row_lines(
    lines: Iterator[Line], pushed_back: deque[Line], consumed: list[Line]
) -> Iterator[str]:
    """Yield lines for `csv.reader`, those of `pushed_back` first; append them to `consumed`."""
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
    """Return a problem if the number of cells is wrong; additional cells must be empty.

    A row of several lines must have the exact number, because it may have a missing quote.
    """
    if not row or (len(row) == 1 and not row[0].strip()):
        return None
    columns = len(header.names)
    required = max(number for number, name in enumerate(header.names, 1) if name)
    if required <= len(row) and not any(row[columns:]) and (lines == 1 or len(row) == columns):
        return None
    sentence = f"the row has {len(row)} cells, but the header has {columns} columns"
    if lines > 1:
        sentence += "; a quoted cell of the row does not end on this line"
    elif len(row) > columns:
        delimiter = _DELIMITERS.get(header.delimiter, "delimiter")
        sentence += f"; a cell that contains a {delimiter}, such as a user agent, must be quoted"
    return Problem("wrong_number_of_cells", sentence)
