"""Convert number formats of other programs to JSON numbers, without rounding."""

import re

_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
#: Numbers that JSON does not allow: +1, 007, .05 or 5.
_OTHER_NUMBER = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eE][+-]?[0-9]+)?")
_SPACES = " \t\u00a0\u202f"
#: 1 234,50 and 1'234.50
_GROUPED_BY_SPACES = re.compile(
    r"[+-]?[0-9]{1,3}(?:[ '\u2019\u00a0\u202f][0-9]{3})+(?:[.,][0-9]*)?"
)
#: 1.234,50 and 1.234.567, and with dots and commas swapped.
_GROUPED_BY_DOTS = re.compile(r"[+-]?[0-9]{1,3}(?:(?:\.[0-9]{3})+,[0-9]*|(?:\.[0-9]{3}){2,})")
_GROUPED_BY_COMMAS = re.compile(r"[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+\.[0-9]*|(?:,[0-9]{3}){2,})")
_AMBIGUOUS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")


class AmbiguousError(ValueError):
    """A number that can be read in two ways; the message contains both."""


def to_json_number(cell: str, *, decimal_comma: bool) -> str | None:
    """Return the number in a cell as a JSON number, or None if it is not a number.

    With `decimal_comma`, a single comma is a decimal separator, as in files delimited by
    semicolons. Otherwise raises `AmbiguousError` for numbers such as `1,234`.
    """
    text = cell.strip(_SPACES).replace("\u2212", "-")
    if _JSON_NUMBER.fullmatch(text):
        return text
    if not decimal_comma and _AMBIGUOUS.fullmatch(text):
        (plain, point) = (text.replace(",", ""), text.replace(",", "."))
        raise AmbiguousError(f"{text} could mean {plain} or {point}; write it without the comma")
    found = _OTHER_NUMBER.fullmatch(_without_separators(text))
    if found is None or not (found[2] or found[3]):
        return None
    sign = "-" if found[1] == "-" else ""
    fraction = f".{found[3]}" if found[3] else ""
    return f"{sign}{found[2].lstrip('0') or '0'}{fraction}{found[4] or ''}"


def _without_separators(text: str) -> str:
    if _GROUPED_BY_SPACES.fullmatch(text):
        return re.sub(rf"['\u2019{_SPACES}]", "", text).replace(",", ".")
    if _GROUPED_BY_DOTS.fullmatch(text):
        return text.replace(".", "").replace(",", ".")
    if _GROUPED_BY_COMMAS.fullmatch(text):
        return text.replace(",", "")
    return text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
