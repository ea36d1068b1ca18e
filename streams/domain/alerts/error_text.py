"""Normalization of error texts, which makes them equal across customers, records and releases.

Ids, numbers, times, e-mail addresses and the hashes in the names of bundled files become `#`;
query strings are removed. Words are kept, because they distinguish errors.
"""

import re

from streams.domain.routing.random_ids import is_bundle_hash, is_id, is_joined_id, is_word

_MASK = "#"

_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_CLOCK = r"\d\d?:\d\d(?::\d\d(?:[.,]\d{1,9})?)?"

_ISO_TIME = rf"\d{{4}}-\d\d-\d\d(?:[T ]{_CLOCK}(?: ?(?:Z\b|UTC|[+-]\d\d:?\d\d))?)?"
#: As JavaScript's `Date` and HTTP write it.
_DATE = (
    rf"(?:\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?\b(?:{_MONTH} \d\d?|\d\d? {_MONTH}),? \d{{4}}"
    rf"(?: {_CLOCK})?(?: (?:GMT|UTC)?(?:[+-]\d{{4}})?)?(?: \([A-Z][A-Z ]{{1,40}}\))?"
)
#: `a::b` is none.
_IPV6 = (
    r"(?<![\w:])(?=[a-f:]*\d)(?=(?:[0-9a-f]{1,4}:){1,7}:|::|(?:[0-9a-f]{1,4}:){7})"
    r"[0-9a-f:]{2,39}(?![\w:])"
)

#: A URL up to its query string or fragment; a relative one has a query if it looks like one.
_URL = re.compile(
    r"((?<![\w+.-])[a-z][\w+.-]*+://[^\s\"'<>)\]#?]*+)[?#][^\s\"'<>)\]]*+", re.IGNORECASE
)
_QUERY = re.compile(r"(?<=[\w/%.~-])\?(?=[\w%&=\[{])[^\s\"')\]>]*+")

#: Masked as a whole, in this order. Possessive quantifiers keep the time linear.
_VALUES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # An e-mail address.
        r"(?<![\w.+'-])[\w.+'-]++(?:@|%40)(?:[\w-]++\.)+[^\W\d_]{2,}(?![^\W_])",
        r"(?<![A-Za-z0-9])eyJ[\w-]{6,}+\.[\w-]++(?:\.[\w-]*+)?",  # a JWT
        r"(?<=\bBearer )[^\s\"']++",
        r"(?<=\bdata:)[^\s\"')]++",
        r"(?<![\w+/-])[\w+/-]{16,}+={1,2}",  # base64
        # The user of a home directory, a temporary file.
        r"(?<=/home/)[^/\s\"']++|(?<=/Users/)[^/\s\"']++|(?<=\\Users\\)[^\\\s\"']++",
        r"(?<=/tmp/)[^\s\"'):]++|(?<=/var/folders/)[^\s\"'):]++",
        r"(?<=/_next/static/)[\w-]{20,22}(?=/)",  # a build of Next.js
        # Values that PostgreSQL, MySQL and V8's JSON parser quote.
        r"(?<=\)=\()[^)\n]*+",
        r"(?<=Duplicate entry ')[^'\n]*+",
        r"(?<=, )(?:\.\.\.)?\"[^\n]{0,80}\"(?:\.\.\.)?(?= is not valid JSON)",
        r"(?<![0-9a-f])[0-9a-f]{8}([-_])(?:[0-9a-f]{4}\1){3}[0-9a-f]{12}(?![0-9a-f])",  # a UUID
        r"(?<![a-z0-9])(?=[a-z]*\d)[0-9a-hjkmnp-tv-z]{26}(?![a-z0-9])",  # a ULID
        # Ids of Stripe and others, whose prefixes are no words.
        (
            r"(?<![a-z0-9])(?:cus|evt|txn|tok|pi|pm|py|ch|si|il|cs|sk|pk|rk|whsec)_(?:live_|test_)?"
            r"(?=(?-i:[a-z]*[A-Z0-9]))[a-z0-9]{14,}(?![a-z0-9])"
        ),
        _ISO_TIME,
        _DATE,
        r"(?<![A-Za-z0-9])0x[0-9a-f]++",
        r"(?<![0-9a-f])(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}(?!:?[A-Za-z0-9])",  # an IPv6 address
        _IPV6,
    )
)

#: Names that end in a number. `order_1234` is none: it is one of many orders.
_NUMBERED_NAME = (
    r"(?<![A-Za-z0-9])(?:(?:utf|ucs|latin|iso|sha|md|aes|rsa|u?int|float|base|ipv|oauth)_\d{1,4}"
    r"(?:_\d{1,2})?|x86_64|i18n|l10n|a11y|k8s|utf8mb[34])(?![A-Za-z0-9])"
)
_NUMBER = re.compile(
    rf"(?P<name>{_NUMBERED_NAME})|(?:(?<!\w)[-+])?\d+(?:[.,:]\d+)*+(?:e[-+]?\d+\b)?",
    re.IGNORECASE,
)

#: A run of letters, digits, `_` and `-`, and what separates its parts.
_CHUNK = re.compile(r"[A-Za-z0-9_-]{4,}")
_PIECES = re.compile(r"([_-]+)")
_SEVERAL_MASKS = re.compile(r"#(?:[_-]+#)+|#[_-]+$")

_FILE_NAME = re.compile(r"[\w.$~@+\[\]-]+")
_BUNDLE_TYPE = re.compile(r"\.(?:[mc]?js|css|wasm)(?:\.map)?(?=\.*$)", re.IGNORECASE)
#: Rollup's hash, of the characters of base64url: what separates the name may be in it, too.
_ROLLUP_HASH = re.compile(r"(?:(?<=[^~._-][~._-])|^)[\w-]{8}$")
_LAST_PART = re.compile(r"(?:(?<=[~_-])|^)[A-Za-z0-9]+$")
_MINIFIED = re.compile(r"[.-](?:min|bundle|chunk|prod|production)\.", re.IGNORECASE)

_EVAL = re.compile(r" line \d+ > .*$")
_ORIGIN = re.compile(r"^(?:blob:)?[a-z][\w+.-]+:/+(?:(?<=[^/]//)[^/\s]*)?", re.IGNORECASE)
_DRIVE = re.compile(r"^/?[A-Za-z]:(?=/)")


def constant(text: str) -> str:
    """Return a text with what varies masked, and with single spaces."""
    text = _QUERY.sub("", _URL.sub(r"\1", text))
    text = _FILE_NAME.sub(lambda match: _without_hash(match[0]), text)
    for pattern in _VALUES:
        text = pattern.sub(_MASK, text)
    text = _CHUNK.sub(lambda match: _without_ids(match[0]), text)
    text = _NUMBER.sub(lambda match: match["name"] or _MASK, text)
    return " ".join(text.split())


def constant_file(file: str) -> str:
    """Return a file's path without origin, query, hash and versions, and with forward slashes.

    The origin is left out because one release is served from several hosts.
    """
    path = _ORIGIN.sub("", _EVAL.sub("", file.replace("\\", "/")))
    return constant(_DRIVE.sub("", path).replace("/./", "/")).lstrip("./")


def is_bundle(file: str) -> bool:
    """Return True if a file is named as a bundle is: minified, or with a hash."""
    name = file.split("?", maxsplit=1)[0].rpartition("/")[2]
    return _MINIFIED.search(name) is not None or _without_hash(name) != name


def _without_hash(name: str) -> str:
    """Return a file's name with the hashes masked that bundlers put into it."""
    kind = _BUNDLE_TYPE.search(name)
    if kind is None:
        return name
    parts = [_without_last_hash(part) for part in name[: kind.start()].split(".")]
    return ".".join(parts) + name[kind.start() :]


def _without_last_hash(part: str) -> str:
    for pattern in (_ROLLUP_HASH, _LAST_PART):
        found = pattern.search(part)
        if found is not None and is_bundle_hash(found[0]):
            return part[: found.start()] + _MASK
    return part


def _without_ids(chunk: str) -> str:
    """Return words joined by `_` and `-` with the ids among them masked."""
    start = is_joined_id(chunk)
    if start is not None:
        return chunk[:start] + _MASK
    pieces = _PIECES.split(chunk)  # parts, and the separators between them
    parts = pieces[::2]
    ids = [is_id(part, has_prefix=index > 0) for index, part in enumerate(parts)]
    if not any(ids):
        return chunk
    for index in range(1, len(parts)):  # an id with separators in it goes on until a word
        ids[index] |= ids[index - 1] and not is_word(parts[index])
    for index in reversed(range(len(parts) - 1)):
        ids[index] |= ids[index + 1] and not (is_word(parts[index]) or parts[index].islower())
    pieces[::2] = [_MASK if ids[index] else part for index, part in enumerate(parts)]
    return _SEVERAL_MASKS.sub(_MASK, "".join(pieces))
