# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, auto_pickle=False
"""The fast path of `fast.py` in C: converts the JSON of an event to its record, and hashes keys.

`Reader` validates and converts the types that `fast.py` declares. It does not reject or truncate:
`parse.py` handles every event that would not be stored unchanged, and all events if no C compiler
was available.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint8_t

import msgspec

from producer_api.events.derive.steps cimport Derivation

from producer_api.events import fields
from producer_api.events.draft import EXCLUDED_HEADERS, TYPE_HEADERS, EncodedEvent
from producer_api.events.event_ids import stored_id
from producer_api.events.numbers import round_half_up
from producer_api.events.times import MAX_AGE_US, MAX_LEAD_US, clamp_reason, resolve_event_time
from schemas.headers import CLIENT_ID, EVENT_ID, EVENT_ID_TEXT

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(str, Py_ssize_t*) except NULL

cdef enum:
    UUID_CHARACTERS = 36
    #: `YYYY-MM-DDTHH:MM:SS`, before the fraction and the zone.
    SECOND_CHARACTERS = 19
    MAX_SITE_ID_CHARACTERS = 64

_CLIENT_ID_HEADER = (CLIENT_ID, b"")
_to_json = msgspec.json.Encoder().encode

cdef Py_ssize_t MAX_JSON_BYTES = fields.MAX_JSON_BYTES
cdef Py_ssize_t MAX_PROPERTIES_DEPTH = fields.MAX_PROPERTIES_DEPTH
cdef Py_ssize_t MAX_STACK_BYTES = fields.MAX_STACK_BYTES
cdef int64_t MAX_AGE = MAX_AGE_US
cdef int64_t MAX_LEAD = MAX_LEAD_US


cdef class Reader:
    """Converts events: `decode` returns the declared event, `encode` its record (see `fast.py`).

    `no_screen` and `no_utm` are the values of empty JSON objects.
    """

    cdef object decode, encode, no_screen, no_utm

    def __init__(self, decode, encode, no_screen, no_utm):
        self.decode, self.encode, self.no_screen, self.no_utm = decode, encode, no_screen, no_utm

    def read(self, bytes raw not None, context, client, str extra=None):
        """Return the encoded event; None if `parse.py` must handle it. Raise `Rejected`.

        `extra` is the record's, and has no NUL.
        """
        # Most events have no backslash, and searching one character costs a tenth.
        if b"\\" in raw and b"\\u0000" in raw:
            return None
        try:
            return self.convert(self.decode(raw), context, client, extra)
        except (ValueError, RecursionError):  # msgspec's errors and UnicodeError are ValueErrors
            return None

    cdef object convert(self, event, context, client, str extra):
        cdef str event_id, client_id = event.event_id
        cdef str site_id = event.site_id, session_id = event.session_id, name = event.type
        cdef bytes id_bytes
        cdef Derivation derived
        check_site_id(site_id)
        check_id(session_id)
        check_id(event.visitor_id)
        check_id(event.user_id)
        self.check_objects(event)
        event_id = context.new_id() if client_id is None else client_id.lower()
        id_bytes = uuid_bytes(event_id)
        received_at = context.now()
        timestamp, sent_at = microseconds(event.timestamp), microseconds(event.sent_at)
        if timestamp is not None and sent_at is None and is_recent(timestamp, received_at):
            event_ts, source = timestamp, "client"  # import windows change nothing
        else:
            (event_ts, source) = resolve_event_time(
                received_at, timestamp, sent_at, site_id in context.import_sites
            )
        duration = event.duration
        if duration is not None and type(duration) is not int:
            duration = round_half_up("duration", duration)
        properties = compact(event.properties)
        # Once per event, and therefore after everything that `parse.py` may have to handle.
        grant = context.authorize(site_id, name, event.url, client)
        if client_id is not None and grant.namespaces_ids:
            event_id = stored_id(event_id, site_id, grant)
            id_bytes = uuid_bytes(event_id)
        context.check_ids(site_id, event.visitor_id, event.user_id)
        derived = context.derive(event, client, grant)
        value = self.encode(
            event,
            event_id,
            received_at,
            event_ts,
            source,
            duration,
            properties,
            extra,
            derived.browser,
            derived.browser_version,
            derived.os,
            derived.device,
            derived.is_bot,
            derived.country,
            derived.region,
            derived.source,
            derived.channel,
            derived.trust,
            derived.excluded,
        )
        headers = [
            (EVENT_ID, id_bytes),
            (EVENT_ID_TEXT, event_id.encode()),
            TYPE_HEADERS[name],
        ]
        if client_id is not None:
            headers.append(_CLIENT_ID_HEADER)
        if derived.excluded is not None:
            headers.append(EXCLUDED_HEADERS[derived.excluded])
        return EncodedEvent(
            event_id,
            name,
            f"{site_id}:{session_id}".encode(),
            value,
            headers,
            None if source == "client" else clamp_reason(received_at, event_ts, source),
        )

    cdef int check_objects(self, event) except -1:
        """Raise ValueError for empty objects, stored as null, and for a stack that is truncated."""
        cdef Py_ssize_t size
        screen, utm, stack = event.screen, event.utm, event.error_stack
        if screen is not None and screen == self.no_screen:
            raise ValueError("screen")
        if utm is not None and utm == self.no_utm:
            raise ValueError("utm")
        if stack is not None:
            PyUnicode_AsUTF8AndSize(stack, &size)
            if size > MAX_STACK_BYTES:
                raise ValueError("error_stack")
        return 0


cdef object compact(properties):
    """Return properties as compact JSON."""
    cdef bytes text
    cdef const char* chars
    cdef Py_ssize_t i, brackets = 0
    if properties is None:
        return None
    text = _to_json(properties)
    chars = PyBytes_AS_STRING(text)
    for i in range(PyBytes_GET_SIZE(text)):
        brackets += chars[i] == c"{" or chars[i] == c"["
    # An upper bound of the depth, because brackets in strings count as well.
    if PyBytes_GET_SIZE(text) > MAX_JSON_BYTES or brackets > MAX_PROPERTIES_DEPTH:
        raise ValueError("properties")
    return text.decode()


cdef int check_site_id(str site_id) except -1:
    """Raise ValueError if `schemas.settings.SITE_ID` does not match."""
    cdef Py_ssize_t size, i
    cdef const uint8_t* text = <const uint8_t*>PyUnicode_AsUTF8AndSize(site_id, &size)
    cdef uint8_t byte
    if not 0 < size <= MAX_SITE_ID_CHARACTERS:
        raise ValueError("site_id")
    for i in range(size):
        byte = text[i]
        if not (
            c"a" <= byte | 0x20 <= c"z" or c"0" <= byte <= c"9"
            or byte == c"-" or byte == c"." or byte == c"_"
        ):
            raise ValueError("site_id")
    return 0


cdef int check_id(str name) except -1:
    """Raise ValueError for control characters: U+0000 to U+001F and U+007F to U+009F."""
    cdef Py_ssize_t size, i
    cdef const uint8_t* text
    if name is None:
        return 0
    text = <const uint8_t*>PyUnicode_AsUTF8AndSize(name, &size)
    for i in range(size):
        # U+0080 to U+00BF are C2 80 to C2 BF in UTF-8.
        if text[i] < 0x20 or text[i] == 0x7F or (text[i] == 0xC2 and text[i + 1] < 0xA0):
            raise ValueError("a control character")
    return 0


cdef bytes uuid_bytes(str text):
    """Return the 16 bytes of a UUID in its 8-4-4-4-12 form."""
    cdef Py_ssize_t size, i
    cdef const uint8_t* at = <const uint8_t*>PyUnicode_AsUTF8AndSize(text, &size)
    cdef uint8_t parsed[16]
    cdef int digit, count = 0
    if size != UUID_CHARACTERS:
        raise ValueError("event_id")
    for i in range(UUID_CHARACTERS):
        if i == 8 or i == 13 or i == 18 or i == 23:
            if at[i] != c"-":
                raise ValueError("event_id")
            continue
        if c"0" <= at[i] <= c"9":
            digit = at[i] - c"0"
        elif c"a" <= at[i] | 0x20 <= c"f":
            digit = (at[i] | 0x20) - c"a" + 10
        else:
            raise ValueError("event_id")
        parsed[count >> 1] = digit << 4 if count & 1 == 0 else parsed[count >> 1] | digit
        count += 1
    return PyBytes_FromStringAndSize(<char*>parsed, 16)


cdef object microseconds(str text):
    """Return the microseconds since the epoch of an RFC 3339 date and time.

    Digits after the sixth decimal are dropped. Return None for None.
    """
    cdef Py_ssize_t size, i = SECOND_CHARACTERS
    cdef const uint8_t* at
    cdef int64_t seconds, fraction = 0, unit = 1_000_000, offset
    if text is None:
        return None
    at = <const uint8_t*>PyUnicode_AsUTF8AndSize(text, &size)
    if size <= SECOND_CHARACTERS or not (
        at[4] == at[7] == c"-" and at[10] == c"T" and at[13] == at[16] == c":"
    ):
        raise ValueError("not RFC 3339")
    seconds = 86400 * days_since_1970(
        100 * two_digits(at, 0, 99) + two_digits(at + 2, 0, 99),
        two_digits(at + 5, 1, 12),
        two_digits(at + 8, 1, 31),
    )
    seconds += 3600 * two_digits(at + 11, 0, 23) + 60 * two_digits(at + 14, 0, 59)
    seconds += two_digits(at + 17, 0, 59)
    if at[i] == c".":
        i += 1
        while c"0" <= at[i] <= c"9":  # the string ends in a NUL
            unit //= 10
            fraction += unit * (at[i] - c"0")
            i += 1
        if not SECOND_CHARACTERS + 2 <= i <= SECOND_CHARACTERS + 10:
            raise ValueError("unsupported length of the fraction")
    if at[i] == c"Z" and size == i + 1:
        offset = 0
    elif size == i + 6 and (at[i] == c"+" or at[i] == c"-") and at[i + 3] == c":":
        offset = 3600 * two_digits(at + i + 1, 0, 23) + 60 * two_digits(at + i + 4, 0, 59)
        offset = offset if at[i] == c"+" else -offset
    else:
        raise ValueError("unsupported UTC offset")
    return (seconds - offset) * 1_000_000 + fraction


cdef bint is_recent(int64_t timestamp, int64_t received) noexcept:
    """Return True if a timestamp is not clamped (`resolve_event_time`)."""
    return received - MAX_AGE <= timestamp <= received + MAX_LEAD


cdef int two_digits(const uint8_t* at, int minimum, int maximum) except -1:
    """Return the number that two digits encode; raise ValueError if it is out of range."""
    cdef int value = 10 * (at[0] - c"0") + at[1] - c"0"
    if not (c"0" <= at[0] <= c"9" and c"0" <= at[1] <= c"9" and minimum <= value <= maximum):
        raise ValueError("out of range")
    return value


cdef int64_t days_since_1970(int year, int month, int day) except? -1:
    """Return the day number. The years are 2 to 9998, so that no UTC offset leaves the range."""
    cdef bint is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    cdef int length = 28 + is_leap if month == 2 else 30 if month in (4, 6, 9, 11) else 31
    if day > length or not 1 < year < 9999:
        raise ValueError("no such day")
    # Years start in March, so that the leap day is the last.
    if month < 3:
        year -= 1
        month += 12
    return (
        365 * year + year // 4 - year // 100 + year // 400
        + (153 * (month - 3) + 2) // 5 + day - 1 - 719_468
    )


def murmur2(bytes key not None):
    """Return the hash by which Kafka clients choose partitions (`aiokafka.partitioner`)."""
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(key)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(key), aligned = size & ~3, i
    cdef uint32_t m = 0x5BD1E995
    cdef uint32_t k, h = 0x9747B28C ^ <uint32_t>size
    for i in range(0, aligned, 4):
        k = data[i] | data[i + 1] << 8 | data[i + 2] << 16 | <uint32_t>data[i + 3] << 24
        k *= m
        k = (k ^ k >> 24) * m
        h = h * m ^ k
    if size > aligned:
        for i in range(aligned, size):
            h ^= <uint32_t>data[i] << 8 * (i - aligned)
        h *= m
    h = (h ^ h >> 13) * m
    return h ^ h >> 15
