"""The file of `--rejects`: rejected events and reasons, which `headrace replay` can read again.

Each line is `{"rejected":{"code","error","at"},"event":{...}}`. Input that is not a JSON object is
in `line` instead of `event`; a CSV row is accompanied by the `header` of its file. Events are
unwrapped when the file is read, so it can be corrected and replayed; event ids do not change.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import UNSET, Raw, UnsetType

from headrace.errors import UserError
from headrace.local.permissions import UMASK
from headrace.traffic.replay.csv_events import read_rows
from headrace.traffic.replay.recorded_event import RecordedEvent
from headrace.traffic.replay.text_files import Line

_BEGIN = b'{"rejected":'
#: Writes an event, the code and sentence of the reason, and its location.
WriteReject = Callable[[RecordedEvent, str, str, str], None]


class _Reason(msgspec.Struct):
    code: str
    error: str
    at: str


class _Reject(msgspec.Struct, omit_defaults=True):
    rejected: _Reason
    event: Raw | UnsetType = UNSET
    line: str | UnsetType = UNSET
    header: str | UnsetType = UNSET


_reject = msgspec.json.Decoder(_Reject).decode
_object = msgspec.json.Decoder(dict[str, Raw]).decode


@contextmanager
def rejects_file(path: Path) -> Iterator[WriteReject]:
    """Create the file, readable by its owner only, and yield a function that writes to it.

    Raises `UserError` if it cannot be written.
    """
    with _as_user_error(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666 & ~UMASK)
    with os.fdopen(descriptor, "wb") as file:

        def write(event: RecordedEvent, code: str, error: str, at: str) -> None:
            line = msgspec.json.encode(_to_reject(event, _Reason(code, error, at)))
            with _as_user_error(path):
                file.write(line + b"\n")
                file.flush()

        yield write


def unwrap_rejects(event: RecordedEvent) -> Iterator[RecordedEvent]:
    """Yield the events in a line of such a file; yield other lines unchanged."""
    try:
        reject = _reject(event.data) if event.data.startswith(_BEGIN) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        reject = None
    if reject is None:
        yield event
    elif reject.event is not UNSET:
        yield event._replace(data=bytes(reject.event))
    elif reject.line is not UNSET and reject.header is UNSET:
        yield event._replace(data=reject.line.replace("\n", " ").encode() or b" ")
    elif reject.line is not UNSET:
        texts = (reject.header, *io.StringIO(reject.line))
        lines = (Line(number, text) for number, text in enumerate(texts, 1))
        for row in read_rows("the line", lines, {}):
            yield row._replace(line=event.line)


def _to_reject(event: RecordedEvent, reason: _Reason) -> _Reject:
    text = _text(event.data)
    try:
        _object(text)
    except (msgspec.DecodeError, RecursionError):
        header = event.problem.header if event.problem else ""
        return _Reject(
            reason, line=text, header=_text(header.encode("utf-8", "surrogateescape")) or UNSET
        )
    return _Reject(reason, Raw(text.encode()))


@contextmanager
def _as_user_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        # Most likely Windows-1252; bytes that it does not define are read as Latin-1.
        return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in data)
