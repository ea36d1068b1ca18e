"""The log: the rate limit for messages of libraries, and entries in JSON."""

import json
import logging

import pytest

from headrace.roles.logs import (
    BURST,
    MAX_MESSAGES,
    REFILL_SECONDS,
    RateLimitFilter,
    configure_logging,
)
from schemas.log_context import POSITION, TRACE
from schemas.observation_settings import LogSettings

UNREACHABLE = "Unable connect to node with id %s: %s"


class Log:
    """A log with the filter, and a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self._filter = RateLimitFilter(lambda: self.now)

    def say(self, message: str, *values: object, logger: str = "aiokafka") -> str | None:
        """Log an entry; return the written message, None if it is suppressed."""
        record = logging.LogRecord(logger, logging.ERROR, "client.py", 1, message, values, None)
        return record.getMessage() if self._filter.filter(record) else None


@pytest.fixture
def log() -> Log:
    """Return an empty log."""
    return Log()


def test_a_burst_of_a_message_passes(log: Log) -> None:
    """Its arguments may differ."""
    logged = [log.say(UNREACHABLE, number, "refused") for number in range(BURST + 2)]

    assert logged[BURST:] == [None, None]
    assert logged[0] == "Unable connect to node with id 0: refused"
    assert None not in logged[:BURST]


def test_after_a_burst_one_entry_in_ten_seconds_passes(log: Log) -> None:
    """With the number of suppressed ones. 10 minutes at 10/s: the burst and 60 more."""
    logged = []
    for tenth in range(6_000):
        log.now = tenth / 10
        logged.append(log.say(UNREACHABLE, 1, "refused"))

    passed = [text for text in logged if text]
    assert len(passed) in range(600 // int(REFILL_SECONDS), 600 // int(REFILL_SECONDS) + BURST)
    counted = [text for text in passed if "more like this" in text]
    assert counted[-1].startswith("Unable connect to node with id 1: refused (… ")
    assert sum(int(text.split("… ")[1].split()[0]) for text in counted) >= 6_000 - len(passed) - 100


def test_suppressed_entries_are_reported_once(log: Log) -> None:
    """The next entry that passes resets the count."""
    for _ in range(BURST + 57):
        log.say("again")
    log.now = REFILL_SECONDS
    assert log.say("again") == "again (… 57 more like this)"
    log.now *= 2
    assert log.say("again") == "again"


def test_the_bucket_refills(log: Log) -> None:
    """A later outage is logged like the first one."""
    for _ in range(BURST + 1):
        log.say("again")
    log.now = BURST * REFILL_SECONDS

    assert all(log.say("again") for _ in range(BURST))
    assert log.say("again") is None


def test_each_message_of_each_logger_has_a_bucket(log: Log) -> None:
    """A frequent message does not suppress others."""
    for _ in range(BURST + 1):
        log.say("one")

    assert log.say("two") == "two"
    assert log.say("one", logger="faust") == "one"


def test_messages_of_asyncio_are_compared_by_their_first_line(log: Log) -> None:
    """The other lines describe a task."""
    text = "Task exception was never retrieved\nfuture: <Task {}>"
    logged = [log.say(text.format(number), logger="asyncio") for number in range(BURST + 1)]

    assert logged[-1] is None


def test_a_percent_sign_in_a_message_without_arguments_is_kept(log: Log) -> None:
    """Also with an appended count."""
    for _ in range(BURST + 1):
        log.say("100 % of it")
    log.now = REFILL_SECONDS

    assert log.say("100 % of it") == "100 % of it (… 1 more like this)"


def test_our_own_messages_are_not_limited(log: Log) -> None:
    """Only those of libraries are."""
    logged = [log.say("again", logger="streams.engine.worker") for _ in range(100)]

    assert logged == ["again"] * 100


def test_the_number_of_buckets_is_bounded(log: Log) -> None:
    """A library may format its messages itself; the least recently used bucket is dropped."""
    for _ in range(BURST + 1):
        log.say("old")
    for number in range(MAX_MESSAGES):
        log.say(f"text {number}")

    assert log.say("old") == "old"


def test_configure_logging_installs_the_filter(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It applies to all loggers."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    configure_logging(LogSettings(), "streams")
    for _ in range(10):
        logging.getLogger("aiokafka.conn").error("again")
        logging.getLogger("headrace.up.run").error("ours")

    written = capsys.readouterr().err
    assert (written.count(": again"), written.count(": ours")) == (BURST, 10)


def log_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log in JSON, from WARNING on, until the end of the test."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    configure_logging(LogSettings(format="json", level="WARNING"), "sinks")


def entries(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """Return the logged entries."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_entries_have_the_role_and_what_is_being_processed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`extra` takes precedence; without a context there is none."""
    log_json(monkeypatch)
    log = logging.getLogger("sinks.agents")
    log.warning("before")
    position = POSITION.set({"topic": "sessions", "partition": 3, "offset": 70})
    trace = TRACE.set("4bf92f3577b34da6a3ce929d0e0e4736")
    log.error("%s failed", "it", extra={"offset": 75})
    POSITION.reset(position)
    TRACE.reset(trace)
    (before, failed) = entries(capsys)

    assert failed.pop("time")
    assert failed == {
        "level": "ERROR",
        "logger": "sinks.agents",
        "message": "it failed",
        "role": "sinks",
        "topic": "sessions",
        "partition": 3,
        "offset": 75,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    assert before.keys() == {"time", "level", "logger", "message", "role"}


def test_a_json_entry_is_one_line_also_with_an_exception_and_hostile_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the text contains."""
    log_json(monkeypatch)
    try:
        int("two\nlines")
    except ValueError:
        logging.getLogger("headrace").exception("a\n\x1b[31m%s", "b")
    (entry,) = entries(capsys)

    assert entry["message"] == "a\n\x1b[31mb"
    assert "ValueError: invalid literal" in str(entry["exception"])


def test_the_level_also_applies_to_libraries(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lower levels are not written."""
    log_json(monkeypatch)
    logging.getLogger("headrace").info("no")
    logging.getLogger("aiokafka").info("no")
    logging.getLogger("aiokafka").warning("yes")

    assert [entry["message"] for entry in entries(capsys)] == ["yes"]
