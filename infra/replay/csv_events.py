"""Events in CSV: the header names our fields, with dots for nested ones.

A row that cannot be read is rejected with its line, and takes no other row with it: after a quote
that never ends, reading goes on at the next line.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence

from infra.replay.csv_columns import to_columns, to_event
from infra.replay.csv_header import Header, Mapped, read_header
from infra.replay.csv_numbers import AmbiguousError
from infra.replay.exact_json import encode
from infra.replay.recorded import Problem, Recorded, not_utf8
from infra.replay.texts import MAX_LINE, Line, to_bytes

_QUOTES = "a cell with a quotation mark in it must be in quotes, with the mark doubled"
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


def read_rows(name: str, lines: Iterator[Line], mapped: Mapped) -> Iterator[Recorded]:
    """Yield an event a row; `UserError` when the header names none of our fields."""
    header = read_header(name, lines, mapped)
    if header is None:
        return
    spaced = all(cell.startswith(" ") for cell in header.text.split(header.delimiter)[1:])
    columns = to_columns(header.names, decimal_comma=header.delimiter == ";")
    again: deque[Line] = deque()
    while True:
        taken: list[Line] = []
        reader = csv.reader(
            _one_row(lines, again, taken),
            strict=True,
            delimiter=header.delimiter,
            skipinitialspace=spaced,
        )
        try:
            row = next(reader)
            problem = _wrong_cells(row, header, len(taken))
        except StopIteration:
            return
        except csv.Error as error:
            problem = Problem("bad_csv", f"the row is not CSV ({error}); {_QUOTES}")
        if problem is not None:
            again.extendleft(reversed(taken[1:]))
            yield _rejected(taken[:1], problem, header)
        elif len(row) > 1 or any(cell.strip() for cell in row):
            try:
                yield Recorded(taken[0].number, encode(to_event(columns, row)))
            except AmbiguousError as error:
                yield _rejected(taken, Problem("ambiguous_number", str(error)), header)
            except UnicodeEncodeError:
                texts = (header.text, *(line.text for line in taken))
                if (problem := not_utf8(to_bytes("".join(texts)))) is None:
                    raise
                yield _rejected(taken, problem, header)


def _one_row(lines: Iterator[Line], again: deque[Line], taken: list[Line]) -> Iterator[str]:
    """Yield lines for csv, first those of `again`; note what a row has taken."""
    size = 0
    while (line := again.popleft() if again else next(lines, None)) is not None:
        taken.append(line)
        size += len(line.text)
        if not line.whole or size > MAX_LINE:
            raise csv.Error(f"a row of over {MAX_LINE >> 10} KiB")
        yield line.text


def _rejected(lines: Sequence[Line], problem: Problem, header: Header) -> Recorded:
    data = to_bytes("".join(line.text for line in lines).strip("\r\n"))
    return Recorded(lines[0].number, data, problem._replace(header=header.text))


def _wrong_cells(row: Sequence[str], header: Header, lines: int) -> Problem | None:
    """Return what is wrong with the number of cells; more may be there when they are empty.

    A row over several lines must be exact, or it is likely that a quote is missing.
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
