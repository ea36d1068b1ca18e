"""Telling generated ids and hashes from names, in runs of letters and digits.

A name consists of words and possibly a number: `getElementById`, `Base64Encoder`. Random text
changes its kind of characters often: `NffrFeUfNV2Hib`.
"""

import re

_DIGITS = re.compile(r"\d+")
_HEX = re.compile(r"[0-9a-f]+", re.IGNORECASE)
#: The parts of a name: words, abbreviations, numbers.
_SEGMENT = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
#: A part that may be a word or an abbreviation.
_PLAUSIBLE = re.compile(
    r"(?=.*[aeiouyAEIOUY])[A-Z]?[a-z]{2,}(?<=[A-Za-z]{3})|[A-Z]{2,4}"
    r"|(?i:to|is|of|in|on|by|id|my|at|or|as|if|do|no|go|up|me|we|db|js|ui|io|ok)"
)
_WORD = re.compile(r"[a-z]{3,}|[A-Z]{3,}|[A-Z][a-z]{3,}|\d+")
_WORD_AND_NUMBER = re.compile(r"[A-Za-z][a-z]+\d{1,4}")
#: Names that start with a word and a number.
_NUMBERED = re.compile(
    r"(?:utf|base|sha|md|ipv|http|oauth|u?int|float|x|h26|log|i18n|l10n|a11y|k8s)\d", re.IGNORECASE
)
_SEPARATOR = re.compile(r"[_-]")

_HEX_WORD = 8  # `facade` is a word, `deadbeef` is not
_HEX_ID = 6
_SHORT_ID = 4
_PREFIXED_ID = 6
_ID = 8
_LONG_ID = 14
_BUNDLE_HASH = 8
#: The lengths of ids that may contain `_` and `-`: a nanoid, a UUID in base64.
_JOINED = (21, 22)


def is_word(part: str) -> bool:
    """Return True for a single word or number."""
    return _WORD.fullmatch(part) is not None


def is_id(part: str, *, has_prefix: bool) -> bool:
    """Return True for an id (hex, ULID, nanoid, base62 and so on), but not for a number.

    `part` consists of letters and digits. `has_prefix` means that it follows `_` or `-`, as in
    `cus_4f3a`.
    """
    if part.isdigit() or len(part) < _SHORT_ID:
        return False
    numbers = len(_DIGITS.findall(part))
    if _HEX.fullmatch(part):
        shortest = _SHORT_ID if has_prefix else _HEX_ID
        return len(part) >= (shortest if numbers else _HEX_WORD)
    if numbers == 0 or part.rstrip("0123456789").isalpha():
        return _is_random(part) and len(part) >= (_PREFIXED_ID if has_prefix else _LONG_ID)
    return _is_id_with_numbers(part, numbers, has_prefix=has_prefix)


def _is_id_with_numbers(part: str, numbers: int, *, has_prefix: bool) -> bool:
    length, segments = len(part), len(_SEGMENT.findall(part))
    changes_often = 2 * length <= 3 * segments and (numbers > 1 or segments > 3)  # noqa: PLR2004
    if changes_often:
        return True
    if has_prefix and not _NUMBERED.match(part):
        return length >= _ID or numbers > 1
    return length >= _ID and (
        (length < 3 * segments and _is_random(part))
        or (length >= _LONG_ID and numbers > 2)  # noqa: PLR2004
        or (numbers > 1 and (part.islower() or part.isupper()) and not _NUMBERED.match(part))
    )


def _is_random(part: str) -> bool:
    """Return True if most parts are not plausible words."""
    words = [segment for segment in _SEGMENT.findall(part) if segment.isalpha()]
    odd = sum(_PLAUSIBLE.fullmatch(word) is None for word in words)
    return odd > 1 and (2 * odd >= len(words) or 2 * len(part) < 5 * len(words))


def is_joined_id(chunk: str) -> int | None:
    """Return the start of an id with `_` or `-` at the end of a chunk; None if there is none."""
    if chunk.isupper() and not _DIGITS.search(chunk):
        return None  # a constant, such as ERR_CONNECTION_REFUSED
    for length in _JOINED:
        start = len(chunk) - length
        if start < 0 or (start > 0 and chunk[start - 1] not in "_-"):
            continue
        tail = chunk[start:]
        first = _SEPARATOR.split(tail)[0]
        if first != tail and not first.islower() and _is_random(tail):
            return start
    return None


def is_bundle_hash(part: str) -> bool:
    """Return True for the hash in a bundled file's name; it may contain `_` and `-`."""
    if part.isdigit():
        return len(part) >= _BUNDLE_HASH
    if not _SEPARATOR.search(part) and is_id(part, has_prefix=True):
        return True
    return len(part) == _BUNDLE_HASH and _is_base64_hash(part)


def _is_base64_hash(part: str) -> bool:
    if _DIGITS.search(part):
        return _WORD_AND_NUMBER.fullmatch(part) is None
    if part.isupper() or part[1:].islower():
        return part.isupper()
    words = _SEGMENT.findall(part)
    return not all(_PLAUSIBLE.fullmatch(word) and len(word) > 2 for word in words)  # noqa: PLR2004
