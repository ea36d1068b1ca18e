"""What a process logs, and how it looks."""

import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

#: Libraries, and the class of ours that Faust logs the life of.
_ONLY_WARNINGS = ("aiokafka", "alembic", "faust", "mode", "streams.engine.faust_app")
_OURS = ("infra", "kafka_clients", "producer_api", "schemas", "sinks", "streams")
_FORMAT = "%(asctime)s %(levelname)-8s %(name)s: %(message)s"

#: How often a library may say the same at once, and how long it takes to get one more.
BURST = 3
SECONDS_FOR_ONE = 10.0
#: More different messages than this are not told apart for long: the oldest is forgotten.
MAX_MESSAGES = 1_000


def configure_logging() -> None:
    """Log one line an entry, in UTC, to standard error; libraries only when they warn."""
    logging.Formatter.converter = time.gmtime
    # An entry that cannot be written, as on a full disk, is lost; its traceback would be, too.
    logging.raiseExceptions = False
    logging.basicConfig(level=logging.INFO, format=_FORMAT, stream=sys.stderr, force=True)
    for handler in logging.getLogger().handlers:  # those of a logger do not see its children's
        handler.addFilter(Repeats())
    for library in _ONLY_WARNINGS:
        logging.getLogger(library).setLevel(logging.WARNING)
    # Its first answer is always that the group is not known yet; it asks again.
    logging.getLogger("aiokafka.consumer.group_coordinator").setLevel(logging.CRITICAL)
    # It tells that something is tried again, but neither what nor why; who tries it does.
    logging.getLogger("stamina").setLevel(logging.ERROR)


@dataclass(slots=True)
class _Said:
    """How many more times a message may be logged, as of when, and how often it was left out."""

    at: float
    left: float = BURST
    omitted: int = 0


class Repeats(logging.Filter):
    """Bounds what libraries say again and again, as while Kafka is away; ours all passes.

    Of entries of one logger that differ only in their values, `BURST` pass at once and then one
    every `SECONDS_FOR_ONE`, which tells how many did not. After a quiet time it begins anew.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: OrderedDict[tuple[str, str], _Said] = OrderedDict()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether an entry passes; may add to its text how many did not."""
        if record.name.partition(".")[0] in _OURS:
            return True
        # Of several lines, as asyncio's, the first tells what it is, the others of which object.
        message = str(record.msg).partition("\n")[0]
        with self._lock:
            omitted = self._omitted((record.name, message))
        if omitted:
            record.msg = f"{record.msg} (… {omitted} more like this)"
        return omitted is not None

    def _omitted(self, key: tuple[str, str]) -> int | None:
        """Return how many were left out before this one; None when it must be, too."""
        now = self._clock()
        said = self._said.setdefault(key, _Said(now))
        self._said.move_to_end(key)
        if len(self._said) > MAX_MESSAGES:
            self._said.popitem(last=False)
        said.left = min(BURST, said.left + (now - said.at) / SECONDS_FOR_ONE)
        said.at = now
        if said.left < 1:
            said.omitted += 1
            return None
        said.left -= 1
        omitted, said.omitted = said.omitted, 0
        return omitted
