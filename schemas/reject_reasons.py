"""Why something is refused: a closed list, each with its sentence.

An event leaves by three doors: accepted, refused with one of these, or dead-lettered with
one of `DeadLetterReason`. Each reason is counted under its code.
"""

from enum import Enum, StrEnum


class RejectReason(Enum):
    """A refusal over HTTP: code, status and the sentence, whose {names} are filled in."""

    def __init__(self, code: str, status: int, sentence: str) -> None:
        self.code = code
        self.status = status
        self.sentence = sentence

    # The sentence of the event API that we follow, to the letter.
    MISSING_FIELDS = (
        "missing_fields",
        400,
        "Missing required fields: site_id, type, session_id",
    )
    INVALID_JSON = ("invalid_json", 400, "The body is not valid JSON: {detail}")
    INVALID_UTF8 = ("invalid_utf8", 400, "The body is not valid UTF-8: {detail}")
    LONE_SURROGATE = (
        "lone_surrogate",
        400,
        "A text holds half of a surrogate pair (\\ud800 to \\udfff), which no encoding can store",
    )
    NOT_AN_OBJECT = ("not_an_object", 400, "An event is a JSON object, not {kind}")
    NOT_A_BATCH = (
        "not_a_batch",
        400,
        'A batch is a JSON array of events, {{"events": [...]}} or NDJSON, not {kind}',
    )
    EMPTY_BATCH = ("empty_batch", 400, "The batch holds no events")
    UNKNOWN_TYPE = ("unknown_type", 400, "Unknown type {value}; known types: {known}")
    WRONG_KIND = ("wrong_kind", 400, "{field} must be {expected}, not {kind}")
    BAD_EVENT_ID = ("bad_event_id", 400, "event_id must be a UUID, as 8-4-4-4-12 hex digits")
    BAD_SITE_ID = (
        "bad_site_id",
        400,
        "site_id must be 1 to 64 characters out of A-Z a-z 0-9 . _ -",
    )
    BAD_ID = (
        "bad_id",
        400,
        "{field} must be at most 128 characters, none of them a control character",
    )
    BAD_TIMESTAMP = (
        "bad_timestamp",
        400,
        "{field} must be an ISO 8601 date and time, such as 2026-01-31T12:00:00Z",
    )
    BAD_DURATION = (
        "bad_duration",
        400,
        "duration must be a number of milliseconds, finite and not negative",
    )
    BAD_CURRENCY = ("bad_currency", 400, "currency must be three letters, as in ISO 4217: EUR")
    NUMBER_OUT_OF_RANGE = (
        "number_out_of_range",
        400,
        "{field} must be a finite number between -2^63 and 2^63",
    )
    PROPERTIES_TOO_LARGE = (
        "properties_too_large",
        400,
        "properties must be at most 8 KiB as JSON; they are {size} bytes",
    )
    PROPERTIES_TOO_DEEP = (
        "properties_too_deep",
        400,
        "properties must be nested at most 8 levels deep",
    )
    BAD_GZIP = ("bad_gzip", 400, "The body says Content-Encoding: gzip but cannot be unpacked")
    NOT_FOUND = ("not_found", 404, "There is nothing at {path}; events go to POST /api/event")
    METHOD_NOT_ALLOWED = ("method_not_allowed", 405, "{path} takes {allowed}, not {method}")
    BAD_REQUEST = ("bad_request", 400, "This is not an HTTP request that can be read")
    REQUEST_TOO_SLOW = (
        "request_too_slow",
        408,
        "The request was not whole after {seconds:g} seconds; send it again",
    )
    HEADERS_TOO_LARGE = ("headers_too_large", 431, "The headers are over {limit} bytes")
    BODY_TOO_LARGE = ("body_too_large", 413, "The body is over {limit} bytes, unpacked or not")
    TOO_MANY_EVENTS = ("too_many_events", 413, "A batch holds at most 1,000 events, not {count}")
    EVENT_TOO_LARGE = ("event_too_large", 413, "One event is at most {limit} bytes")
    UNSUPPORTED_ENCODING = (
        "unsupported_encoding",
        415,
        "Content-Encoding {value} is not known; send gzip or none",
    )
    NOT_ACCEPTED = (
        "not_accepted",
        500,
        "Kafka did not confirm the event in time; send it again with the same event_id",
    )
    INTERNAL_ERROR = (
        "internal_error",
        500,
        "The server failed at this, and its log says where; send it again with the same event_id",
    )
    NOT_READY = ("not_ready", 503, "{why}")
    OVERLOADED = ("overloaded", 503, "The server is full; try again in a moment")
    SHUTTING_DOWN = ("shutting_down", 503, "The server is shutting down; try again in a moment")


class DeadLetterReason(StrEnum):
    """Why a record in Kafka could not be processed: the value of the `dlq-reason` header."""

    #: Not the Confluent wire format, an unknown schema id, or bytes that are not its Avro.
    UNDECODABLE = "undecodable"
    #: A header that every record of the topic carries is missing or malformed.
    BAD_HEADERS = "bad_headers"
    #: The record's key does not belong to what is in it, or is missing.
    BAD_KEY = "bad_key"
    #: An event type that the registry does not hold.
    UNKNOWN_TYPE = "unknown_type"
    #: A rule raised an error on this record alone.
    RULE_FAILED = "rule_failed"
    #: The database refused this row, whatever was tried.
    ROW_REFUSED = "row_refused"
