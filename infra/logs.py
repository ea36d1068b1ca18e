"""What a process logs, and how it looks."""

import logging
import sys
import time

#: Libraries, and the classes of ours that Faust logs the life of.
_ONLY_WARNINGS = (
    "aiokafka",
    "alembic",
    "faust",
    "mode",
    "streams.engine.consumer",
    "streams.engine.table",
)
_FORMAT = "%(asctime)s %(levelname)-8s %(name)s: %(message)s"


def configure_logging() -> None:
    """Log one line an entry, in UTC, to standard error; libraries only when they warn."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(level=logging.INFO, format=_FORMAT, stream=sys.stderr, force=True)
    for library in _ONLY_WARNINGS:
        logging.getLogger(library).setLevel(logging.WARNING)
    # Its first answer is always that the group is not known yet; it asks again.
    logging.getLogger("aiokafka.consumer.group_coordinator").setLevel(logging.CRITICAL)
