"""The reasons for rejecting requests and dead-lettering records.

Each event is accepted, rejected with a `RejectReason`, or dead-lettered with a `DeadLetterReason`.
Metrics count them by reason.
"""

from enum import Enum, StrEnum


class RejectReason(Enum):
    """An HTTP error: its status, and its message with {placeholders}."""

    def __init__(self, status: int, sentence: str) -> None:
        self.code = self.name.lower()
        self.status = status
        self.sentence = sentence

    # The exact text of the Revlytics API.
    MISSING_FIELDS = (400, "Missing required fields: site_id, type, session_id")
    INVALID_JSON = (400, "The body is not valid JSON: {detail}")
    INVALID_UTF8 = (400, "The body is not valid UTF-8: {detail}")
    LONE_SURROGATE = (
        400,
        "A string contains an unpaired surrogate (\\ud800 to \\udfff), which UTF-8 cannot encode",
    )
    NOT_AN_OBJECT = (400, "An event must be a JSON object, not {kind}")
    NOT_A_BATCH = (
        400,
        'A batch must be a JSON array of events, {{"events": [...]}} or NDJSON, not {kind}',
    )
    EMPTY_BATCH = (400, "The batch has no events")
    UNKNOWN_TYPE = (400, "Unknown type {value}; known types: {known}")
    WRONG_KIND = (400, "{field} must be {expected}, not {kind}")
    BAD_EVENT_ID = (400, "event_id must be a UUID, as 8-4-4-4-12 hex digits")
    BAD_SITE_ID = (400, "site_id must be 1 to 64 characters from A-Z a-z 0-9 . _ -")
    BAD_ID = (400, "{field} must be at most 128 characters, none of them a control character")
    BAD_IP = (400, "ip must be an IPv4 or IPv6 address")
    BAD_TIMESTAMP = (400, "{field} must be an ISO 8601 date and time, such as 2026-01-31T12:00:00Z")
    WOULD_BE_CLAMPED = (
        409,
        "timestamp is over 24 hours old or over 5 minutes ahead, and no import window is open",
    )
    BAD_DURATION = (400, "duration must be a number of milliseconds, finite and not negative")
    BAD_CURRENCY = (400, "currency must be three letters, as in ISO 4217: EUR")
    NUMBER_OUT_OF_RANGE = (400, "{field} must be a finite number between -2^63 and 2^63")
    PROPERTIES_TOO_LARGE = (400, "properties must be at most 8 KiB as JSON; they are {size} bytes")
    PROPERTIES_TOO_DEEP = (400, "properties must be nested at most 8 levels deep")
    BAD_GZIP = (400, "The body cannot be decompressed as its Content-Encoding says")
    BAD_KEY = (401, "The bearer token of Authorization is not a key of the site {site_id}")
    UNKNOWN_SITE = (
        403,
        "The site {site_id} is not registered; `headrace sites add {site_id}` registers it",
    )
    ORIGIN_NOT_ALLOWED = (403, "The site {site_id} does not accept events from this origin")
    KEY_REQUIRED = (
        403,
        "{site_id} accepts {type} events only with a site key: Authorization: Bearer hrk_...",
    )
    ERASED = (403, "The {field} of this event was erased from the site, and is not accepted again")
    RATE_LIMITED = (429, "Too many events per second; try again in {retry_after} s")
    DIALECT_DISABLED = (
        403,
        "Requests of {title} clients are disabled: add {name} to HEADRACE_API__DIALECTS ({now})",
    )
    NO_DIALECT = (400, "No known client sends such a request to {path}; see docs/dialects.md")
    NOT_FOUND = (404, "{path} does not exist; send events to POST /api/event")
    METHOD_NOT_ALLOWED = (405, "{path} does not support {method}; allowed: {allowed}")
    BAD_REQUEST = (400, "This is not a valid HTTP request")
    REQUEST_TOO_SLOW = (408, "The request was incomplete after {seconds:g} seconds; send it again")
    HEADERS_TOO_LARGE = (431, "The headers are over {limit} bytes")
    BODY_TOO_LARGE = (413, "The body is over {limit} bytes, before or after decompression")
    TOO_MANY_EVENTS = (413, "A batch has at most 1,000 events, not {count}")
    EVENT_TOO_LARGE = (413, "One event is at most {limit} bytes")
    UNSUPPORTED_ENCODING = (415, "Content-Encoding {value} is not supported; send gzip or none")
    NOT_ACCEPTED = (
        500,
        "Kafka did not confirm the event in time; send it again with the same event_id",
    )
    KAFKA_LOGIN_FAILED = (
        500,
        "Kafka rejects the server's login; send the event again with the same event_id",
    )
    KAFKA_ACCESS_DENIED = (
        500,
        "Kafka does not allow the server to write; send the event again with the same event_id",
    )
    KAFKA_RECORD_TOO_LARGE = (
        500,
        "Kafka rejects the event as too large; send it again with the same event_id",
    )
    INTERNAL_ERROR = (
        500,
        "Internal server error, see the server's log; send it again with the same event_id",
    )
    NOT_READY = (503, "{why}")
    OVERLOADED = (503, "The server is overloaded; try again in a moment")
    SHUTTING_DOWN = (503, "The server is shutting down; try again in a moment")


#: The event is valid but was not written to Kafka, so the client should retry.
NOT_IN_KAFKA = frozenset(
    {
        RejectReason.NOT_ACCEPTED,
        RejectReason.KAFKA_LOGIN_FAILED,
        RejectReason.KAFKA_ACCESS_DENIED,
        RejectReason.KAFKA_RECORD_TOO_LARGE,
    }
)


#: The client may not send the event, or not now.
ACCESS_REASONS = (
    RejectReason.BAD_KEY,
    RejectReason.UNKNOWN_SITE,
    RejectReason.ORIGIN_NOT_ALLOWED,
    RejectReason.KEY_REQUIRED,
    RejectReason.ERASED,
    RejectReason.RATE_LIMITED,
)


class DeadLetterReason(StrEnum):
    """Why a record could not be processed: the value of the `dlq-reason` header."""

    #: Not the Confluent wire format, an unknown schema id, or malformed Avro.
    UNDECODABLE = "undecodable"
    #: A required header is missing or malformed.
    BAD_HEADERS = "bad_headers"
    #: The key is missing, or does not match the value.
    BAD_KEY = "bad_key"
    #: The event type is not in `EVENT_TYPES`.
    UNKNOWN_TYPE = "unknown_type"
    #: The agent raised an exception for this record.
    RULE_FAILED = "rule_failed"
    #: The database rejected the row.
    ROW_REFUSED = "row_refused"
