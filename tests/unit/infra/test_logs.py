"""Libraries may say the same a few times, and then seldom; what is ours is all said."""

import logging

import pytest

from infra.logs import BURST, MAX_MESSAGES, SECONDS_FOR_ONE, Repeats, configure_logging

UNREACHABLE = "Unable connect to node with id %s: %s"


class Log:
    """A log behind the filter, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self._repeats = Repeats(lambda: self.now)

    def say(self, message: str, *values: object, logger: str = "aiokafka") -> str | None:
        """Return what is written of an entry; None when it is left out."""
        record = logging.LogRecord(logger, logging.ERROR, "client.py", 1, message, values, None)
        return record.getMessage() if self._repeats.filter(record) else None


@pytest.fixture
def log() -> Log:
    """Give a log in which nothing was said."""
    return Log()


def test_a_library_may_say_the_same_a_few_times_at_once(log: Log) -> None:
    """Whatever the values in it are."""
    said = [log.say(UNREACHABLE, number, "refused") for number in range(BURST + 2)]

    assert said[BURST:] == [None, None]
    assert said[0] == "Unable connect to node with id 0: refused"
    assert None not in said[:BURST]


def test_then_one_in_ten_seconds_tells_how_many_were_left_out(log: Log) -> None:
    """In ten minutes of ten a second: the burst, and sixty more."""
    said = []
    for tenth in range(6_000):
        log.now = tenth / 10
        said.append(log.say(UNREACHABLE, 1, "refused"))

    passed = [text for text in said if text]
    assert len(passed) in range(600 // int(SECONDS_FOR_ONE), 600 // int(SECONDS_FOR_ONE) + BURST)
    told = [text for text in passed if "more like this" in text]
    assert told[-1].startswith("Unable connect to node with id 1: refused (… ")
    assert sum(int(text.split("… ")[1].split()[0]) for text in told) >= 6_000 - len(passed) - 100


def test_what_was_left_out_is_told_once(log: Log) -> None:
    """The next one that passes starts at nothing."""
    for _ in range(BURST + 57):
        log.say("again")
    log.now = SECONDS_FOR_ONE
    assert log.say("again") == "again (… 57 more like this)"
    log.now *= 2
    assert log.say("again") == "again"


def test_after_a_quiet_time_it_begins_anew(log: Log) -> None:
    """Another outage may be told as the first was."""
    for _ in range(BURST + 1):
        log.say("again")
    log.now = BURST * SECONDS_FOR_ONE

    assert all(log.say("again") for _ in range(BURST))
    assert log.say("again") is None


def test_messages_and_loggers_do_not_share(log: Log) -> None:
    """What is new is not hidden behind what is old."""
    for _ in range(BURST + 1):
        log.say("one")

    assert log.say("two") == "two"
    assert log.say("one", logger="faust") == "one"


def test_asyncios_texts_are_told_apart_by_their_first_line(log: Log) -> None:
    """The others name a task, and each is another."""
    text = "Task exception was never retrieved\nfuture: <Task {}>"
    said = [log.say(text.format(number), logger="asyncio") for number in range(BURST + 1)]

    assert said[-1] is None


def test_a_percent_sign_in_a_text_without_values_is_left_alone(log: Log) -> None:
    """Also when something is added to it."""
    for _ in range(BURST + 1):
        log.say("100 % of it")
    log.now = SECONDS_FOR_ONE

    assert log.say("100 % of it") == "100 % of it (… 1 more like this)"


def test_what_is_ours_is_all_said(log: Log) -> None:
    """However often."""
    said = [log.say("again", logger="streams.engine.worker") for _ in range(100)]

    assert said == ["again"] * 100


def test_what_it_remembers_is_bounded(log: Log) -> None:
    """A library that puts values into its texts makes each a new one; the oldest is forgotten."""
    for _ in range(BURST + 1):
        log.say("old")
    for number in range(MAX_MESSAGES):
        log.say(f"text {number}")

    assert log.say("old") == "old"


def test_it_is_part_of_how_a_process_logs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every logger below the root."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    configure_logging()
    for _ in range(10):
        logging.getLogger("aiokafka.conn").error("again")
        logging.getLogger("infra.up").error("ours")

    written = capsys.readouterr().err
    assert (written.count(": again"), written.count(": ours")) == (BURST, 10)
