"""The log configuration of a process, with rate limits for messages of libraries."""

import json
import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.log_context import POSITION, TRACE
from schemas.observation_settings import LogSettings

_log = logging.getLogger(__name__)

#: Libraries, and the module of our Faust app, under whose name Faust logs its lifecycle.
_ONLY_WARNINGS = ("aiokafka", "alembic", "faust", "mode", "streams.engine.faust_app", "uvicorn")
_OURS = ("headrace", "kafka_clients", "producer_api", "query_api", "schemas", "sinks", "streams")
#: The context that a log call may give by `extra`.
_EXTRA = ("topic", "partition", "offset", "trace_id")
_FORMAT = "%(asctime)s %(levelname)-8s %(name)s: %(message)s"

#: A token bucket for each message: how many pass at once, and the time to refill one.
BURST = 3
REFILL_SECONDS = 10.0
#: The number of messages with a bucket; the least recently used one is dropped.
MAX_MESSAGES = 1_000


class JsonFormatter(logging.Formatter):
    """Formats an entry as a JSON object in one line, with its context where it is known.

    `time` is in ISO 8601 (UTC). `topic`, `partition` and `offset` are those of the record in
    question, or of the first record of the batch that is being processed.
    """

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry."""
        at = datetime.fromtimestamp(record.created, UTC)
        entry: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "role": self._role,
            **POSITION.get(),
        }
        if trace_id := TRACE.get():
            entry["trace_id"] = trace_id
        entry |= {key: getattr(record, key) for key in _EXTRA if getattr(record, key, "") != ""}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def configure_logging(settings: LogSettings, role: str) -> None:
    """Log to standard error, in UTC; libraries only from WARNING on."""
    logging.Formatter.converter = time.gmtime
    # Do not print tracebacks about entries that cannot be written, as on a full disk.
    logging.raiseExceptions = False
    level = logging.getLevelNamesMapping()[settings.level]
    logging.basicConfig(level=level, format=_FORMAT, stream=sys.stderr, force=True)
    for handler in logging.getLogger().handlers:  # a logger's filter ignores its child loggers
        handler.addFilter(RateLimitFilter())
        if settings.format == "json":
            handler.setFormatter(JsonFormatter(role))
    if settings.format == "json":
        logging.captureWarnings(capture=True)
    for library in _ONLY_WARNINGS:
        logging.getLogger(library).setLevel(max(logging.WARNING, level))
    # The first lookup of the coordinator always fails, and is retried.
    logging.getLogger("aiokafka.consumer.group_coordinator").setLevel(logging.CRITICAL)
    # The sender of a batch logs why Kafka did not acknowledge it.
    logging.getLogger("aiokafka.producer.sender").setLevel(logging.ERROR)
    # stamina logs neither what is retried nor why; the callers do.
    logging.getLogger("stamina").setLevel(logging.ERROR)


def log_failure(message: str, error: Exception | None = None) -> bool:
    """Log why this process ends, and return True, if its log is in JSON.

    Without this, its last lines would be the only ones that are no entries.
    """
    if not any(isinstance(one.formatter, JsonFormatter) for one in logging.getLogger().handlers):
        return False
    _log.critical(message, exc_info=error)
    return True


@dataclass(slots=True)
class _Bucket:
    """The token bucket of a message, and how many of its entries were suppressed."""

    updated_at: float
    tokens: float = BURST
    suppressed: int = 0


class RateLimitFilter(logging.Filter):
    """Limits repeated log entries of libraries, as during an outage of Kafka. Ours always pass.

    Entries of one logger with the same message, whatever their arguments, share a token bucket:
    `BURST` pass at once, then one every `REFILL_SECONDS`, with the number of suppressed ones.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if an entry passes; append the number of suppressed ones to its message."""
        if record.name.partition(".")[0] in _OURS:
            return True
        # The other lines of asyncio's messages describe objects, and always differ.
        message = str(record.msg).partition("\n")[0]
        with self._lock:
            suppressed = self._take((record.name, message))
        if suppressed:
            record.msg = f"{record.msg} (… {suppressed} more like this)"
        return suppressed is not None

    def _take(self, key: tuple[str, str]) -> int | None:
        """Take a token; return how many entries were suppressed before, None if this one is."""
        now = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(now))
        self._buckets.move_to_end(key)
        if len(self._buckets) > MAX_MESSAGES:
            self._buckets.popitem(last=False)
        elapsed = now - bucket.updated_at
        bucket.tokens = min(BURST, bucket.tokens + elapsed / REFILL_SECONDS)
        bucket.updated_at = now
        if bucket.tokens < 1:
            bucket.suppressed += 1
            return None
        bucket.tokens -= 1
        suppressed, bucket.suppressed = bucket.suppressed, 0
        return suppressed
