"""The header `Forwarded` (RFC 7239), read from its end.

Each proxy appends an element, so only the last elements are those of proxies; a client can put any
text in front of them. Read from the beginning, a quote that the client opened would contain the
proxy's element.
"""

import re
from collections.abc import Iterator, Mapping

# Possessive quantifiers (`*+`), so that no text takes quadratic time.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"  # noqa: S105 - of the grammar
#: Unquoted values may have ports and brackets, which some proxies do not quote.
_VALUE = r'(?:"(?:[^"\\]|\\.)*+"|[^\s",;]*+)'
_SPACE = r"[ \t]*+"
_PAIR = rf"{_TOKEN}{_SPACE}={_SPACE}{_VALUE}"
_ELEMENT = rf"{_SPACE}(?:{_PAIR})?(?:{_SPACE};{_SPACE}(?:{_PAIR})?)*+{_SPACE}"
_LAST = re.compile(rf"(?:^|,)({_ELEMENT})\Z")
_PARAMETER = re.compile(rf"({_TOKEN}){_SPACE}={_SPACE}({_VALUE})")
_ESCAPED = re.compile(r"\\(.)")


def elements_from_end(value: str) -> Iterator[Mapping[str, str]]:
    """Yield the parameters of each element, the last element first, names in lower case.

    A parameter that occurs twice in an element, and an element that is not valid, which ends the
    iteration, are empty.
    """
    while value := value.rstrip(" \t,"):  # lists may have empty elements
        match = _LAST.search(value)
        yield _parameters(match[1]) if match else {}
        value = value[: match.start()] if match else ""


def _parameters(element: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for cased, value in _PARAMETER.findall(element):
        name = cased.lower()
        found[name] = "" if name in found else _unquoted(value)
    return found


def _unquoted(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value
