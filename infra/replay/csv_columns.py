"""What the columns of a CSV file mean: a row's cells become the text of a JSON object.

Text, since a number keeps every digit that way, and bytes that are no UTF-8 go through as they
are (in Python's surrogate escapes) for the server to refuse.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

#: Fields that hold an object: a column of such a name holds JSON.
OBJECTS = frozenset({"screen", "utm", "ad_click_ids", "properties", "vitals"})
#: Objects whose members are all numbers.
_OF_NUMBERS = frozenset({"screen", "vitals"})

_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
#: As other programs write numbers: +1, 007, .05
_OTHER_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")

_string = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(slots=True)
class Node:
    """A field: the column that it is from, if any, and the members that have their own."""

    read: Callable[[str], str]
    column: int | None = None
    members: dict[str, "Node"] = field(default_factory=dict)

    def text(self, row: Sequence[str]) -> str | None:
        """Return the field's JSON for this row; None when its cells are empty."""
        own = None
        if self.column is not None and self.column < len(row) and row[self.column]:
            own = self.read(row[self.column])
        if not self.members:
            return own
        members = [
            f"{name}:{text}"
            for name, member in self.members.items()
            if (text := member.text(row)) is not None
        ]
        return _joined(own, members) if members else own


def to_tree(header: Sequence[str]) -> Node:
    """Return the event as the header has it; columns without a name are left out."""
    root = Node(_string)
    for column, name in enumerate(header):
        if not name:
            continue
        node = root
        path = tuple(name.split("."))
        for depth, part in enumerate(path, 1):
            node = node.members.setdefault(_string(part), Node(_reader(path[:depth])))
        node.column = column
    return root


def _reader(path: tuple[str, ...]) -> Callable[[str], str]:
    (first, *inner) = path
    if not inner and first in OBJECTS:
        return _json
    is_number = first == "duration" if not inner else first in _OF_NUMBERS
    return _number if is_number else _string


def _number(cell: str) -> str:
    """Return a cell that is a number as one, to the last digit; else as a string."""
    text = cell.strip()
    if _JSON_NUMBER.fullmatch(text):
        return text
    if _OTHER_NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return repr(number)
    return _string(cell)


def _json(cell: str) -> str:
    """Return a cell that is JSON as that, on one line; else as a string."""
    try:
        msgspec.json.decode(cell.encode("utf-8", "surrogateescape"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _string(cell)
    return cell.replace("\n", " ").replace("\r", " ").strip()


def _joined(own: str | None, members: Sequence[str]) -> str:
    """Return an object with members of other columns; what is no object stays what it is."""
    more = ",".join(members)
    if own is None:
        return "{" + more + "}"
    if not own.startswith("{"):
        return own
    body = own[:-1].rstrip()
    return body + ("" if body == "{" else ",") + more + "}"
