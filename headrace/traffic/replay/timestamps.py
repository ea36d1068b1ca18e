"""Convert timestamp formats of other programs to ISO 8601 (docs/imports.md)."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime

from producer_api.events.rejection import Rejected
from producer_api.events.times import microseconds

_FORM = re.compile(
    r"""(?P<year>\d{4})(?P<sep>[-/.])(?P<month>\d{1,2})(?P=sep)(?P<day>\d{1,2})
    (?:(?:T|\s+)(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?
        \s*(?P<half>[AP]M)?
        \s*(?:(?P<utc>Z|UTC|GMT|ETC/UTC)|
            (?:UTC|GMT)?(?P<sign>[+-])(?P<zone_hour>\d\d?)(?::?(?P<zone_minute>\d\d))?)?
    )?""",
    re.ASCII | re.VERBOSE | re.IGNORECASE,
)
_MAIL_FORM = re.compile(r"[A-Za-z]{3}, \d{1,2} [A-Za-z]{3} \d{4} \d\d:\d\d:\d\d .{1,6}")
_UNIX = re.compile(r"(\d{9,19})(?:\.(\d{0,9}))?", re.ASCII)
#: Maximum integer digits of a Unix time in seconds, ms or µs, and the unit in µs. From 1973 on,
#: the number of digits determines the unit.
_UNITS = ((11, 1_000_000), (14, 1_000), (17, 1))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOON = 12


def to_iso(text: str) -> tuple[str, int | None]:
    """Return a timestamp that the server accepts, and its microseconds since 1970.

    Timestamps that the server accepts are returned unchanged. Unknown formats are returned
    unchanged, with None.
    """
    if (micros := _micros(text)) is not None:
        return text, micros
    try:
        iso = _convert(text.strip())
    except (ValueError, OverflowError):
        return text, None
    micros = _micros(iso)
    return (text if micros is None else iso), micros


def _micros(text: str) -> int | None:
    try:
        return microseconds("timestamp", text)
    except Rejected:
        return None


def _convert(text: str) -> str:
    if unix := _UNIX.fullmatch(text):
        return _from_unix(unix[1], unix[2] or "")
    if _MAIL_FORM.fullmatch(text):
        return parsedate_to_datetime(text).isoformat()
    found = _FORM.fullmatch(text)
    if found is None:
        return text
    part = found.groupdict()
    day = f"{part['year']}-{int(part['month']):02}-{int(part['day']):02}"
    if part["hour"] is None:
        return day
    hour = int(part["hour"])
    if part["half"]:
        if not 1 <= hour <= _NOON:
            return text
        hour = hour % _NOON + _NOON * (part["half"].upper() == "PM")
    fraction = f".{part['fraction']}" if part["fraction"] else ""
    time = f"{hour:02}:{part['minute']}:{part['second'] or '00'}{fraction}"
    zone = "Z"
    if part["sign"]:
        zone = f"{part['sign']}{int(part['zone_hour']):02}:{part['zone_minute'] or '00'}"
    return f"{day}T{time}{zone}"


def _from_unix(whole: str, fraction: str) -> str:
    factor = next((unit for digits, unit in _UNITS if len(whole) <= digits), None)
    number = Decimal(f"{whole}.{fraction or 0}")
    micros = int(number / 1_000 if factor is None else number * factor)
    return (_EPOCH + timedelta(microseconds=micros)).isoformat()
