"""Compares the database with its events, and these with the ledger."""

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from schemas import sketch
from schemas.records import RawEvent
from sinks.sql.tables import AlertRow, EventRow, PageDurationRow, SessionRow
from tests import reference
from tests.e2e.stack import Stack
from tests.faults.decoded import RawRecord, record_differences
from tests.faults.derived import error_identity, record_of, row_of
from tests.faults.differences import Key, differences
from tests.faults.kafka_log import KafkaLog, read_log
from tests.faults.ledger import Ledger
from tests.faults.tables import rows_of
from tests.reference import Log, Row, page_of

#: The maximum number of differing values in a report.
_SHOWN = 20
#: The maximum time between reading the log and the rows.
_READ_MS = 60_000


class Rules(NamedTuple):
    """How a stack was started. With `all_closed`, every visit must be closed, else none.

    `clock_error_seconds` is the error of an API server's clock. Events of `import_sites` keep their
    timestamps. If `is_log_time_right` is false, the broker's clock was wrong, and alerts that
    depend on time are not compared.
    """

    gap_seconds: int = 1_800
    all_closed: bool = False
    clock_error_seconds: float = 0.0
    import_sites: frozenset[str] = frozenset()
    is_log_time_right: bool = True


_DEFAULT = Rules()


def check_exact(
    stack: Stack, rules: Rules, ledger: Ledger | None = None, before: Sequence[KafkaLog] = ()
) -> KafkaLog:
    """Compare the database of an idle stack with its log, and the log with the ledger.

    Compares every row of `events`, `sessions`, `page_durations` and `alerts`, and every column that
    is determined by the events (not revisions and `seq`). `before` are the logs of earlier clusters
    of the database. Fails with the first differing rows and their events.
    """
    log = read_log(stack.kafka, before)
    check_logs(stack, rules, Logs(log, log, log), ledger)
    return log


class Logs(NamedTuple):
    """The logs that `events`, sessions and alerts are derived from."""

    stored: KafkaLog
    sessions: KafkaLog
    alerts: KafkaLog


def check_logs(stack: Stack, rules: Rules, logs: Logs, ledger: Ledger | None = None) -> None:
    """Like `check_exact`, with logs that were read before."""
    stored, counted = rows_of(stack, EventRow), reference.included(logs.sessions.events)
    failures = [
        *_events(logs.stored, stored),
        *_visits(counted, rows_of(stack, SessionRow), rules),
        *_durations(counted, rows_of(stack, PageDurationRow)),
        *_alerts(logs.alerts, rows_of(stack, AlertRow), rules),
    ]
    if ledger is not None:
        failures = [*against_ledger(ledger, stored, logs.stored, rules), *failures]
    assert not failures, "\n" + "\n".join(failures)


def against_ledger(
    ledger: Ledger, stored: Sequence[Row], log: KafkaLog, rules: Rules = _DEFAULT
) -> list[str]:
    """Compare the stored events with the outcomes of requests."""
    ids = [str(row["event_id"]) for row in stored]
    dead = {letter.event_id for letter in log.dead_letters}
    sets = {
        "acknowledged events are neither stored nor dead letters": ledger.acknowledged
        - set(ids)
        - dead,
        "events are stored that were not sent": set(ids) - ledger.acknowledged - ledger.unknown,
        "rejected events are stored": ledger.rejected & set(ids),
        "events are stored twice": {
            event_id for event_id, count in Counter(ids).items() if count > 1
        },
    }
    failures = [f"{len(bad)} {what}: {sorted(bad)[:10]}" for what, bad in sets.items() if bad]
    failures += _as_sent(ledger, stored, log.records, rules)
    if ledger.misjudged:
        failures.append(f"{len(ledger.misjudged)} had the wrong outcome: {ledger.misjudged[:3]}")
    return failures


def _as_sent(
    ledger: Ledger, stored: Iterable[Row], records: Iterable[RawRecord], rules: Rules
) -> list[str]:
    """Compare each row, and each record of `events-raw`, with the JSON that was sent."""
    failures = []
    for row in stored:
        event_id = row["event_id"]
        if event_id not in ledger.bodies:
            continue
        body = ledger.bodies[event_id]
        imported = body["site_id"] in rules.import_sites
        expected = row_of(
            record_of(body, row["received_at"], imported=imported, header=row["user_agent"])
        )
        problems = [
            f"{name} is {row[name]!r}, not {value!r}"
            for name, value in expected.items()
            if _unordered(name, row[name]) != value
        ]
        if not ledger.was_in_flight(event_id, row["received_at"], rules.clock_error_seconds):
            problems.append(f"received_at is {row['received_at']}, when no request was in flight")
        failures += [f"the row of {event_id}: {problem}" for problem in problems]
    for record in records:
        event_id = record.fields["event_id"]
        failures += [
            f"the record of {event_id}: {problem}"
            for problem in _record_problems(record, ledger, rules)
        ]
    if not failures:
        return []
    return [f"{len(failures)} values are not as they were sent", *failures[:_SHOWN]]


def _record_problems(record: RawRecord, ledger: Ledger, rules: Rules) -> list[str]:
    """Return the differences between a record and the most similar body of its event."""
    bodies = ledger.sent.get(record.fields["event_id"], ())
    differences = (
        record_differences(record, body, imported=body["site_id"] in rules.import_sites)
        for body in bodies
    )
    return min(differences, key=len, default=[])


def _events(log: KafkaLog, stored: Iterable[Row]) -> list[str]:
    """Compare every column of each event, with its first position in the log."""
    by_position = {
        (record.partition, record.epoch << 48 | record.offset): record for record in log.records
    }
    counted = [by_position[src.partition, src.offset] for _, src in reference.counted(log.events)]

    def key(row: Row) -> Key:
        return row["event_id"], row["site_id"], row["session_id"]

    return differences(
        "events",
        {
            key(row): {**row, "truncated": _unordered("truncated", row["truncated"])}
            for row in stored
        },
        {
            key(record.fields): {
                **row_of(record.fields),
                "kafka_partition": record.partition,
                "kafka_offset": record.offset,
                "kafka_epoch": record.epoch,
            }
            for record in counted
        },
        lambda row: [entry for entry in log.events if entry[0].event_id == row["event_id"]],
    )


def _unordered(name: str, value: Any) -> Any:
    """Return a value; `truncated` is sorted, because its order is not defined."""
    return sorted(value) if name == "truncated" and value else value


def _visits(log: Log, stored: Sequence[Row], rules: Rules) -> list[str]:
    partitions = {src.partition for _, src in log}
    expected = reference.visits(
        log,
        gap_us=rules.gap_seconds * 1_000_000,
        close_after_ms=0 if rules.all_closed else 1 << 60,
        now_ms=dict.fromkeys(partitions, 1 << 60 if rules.all_closed else 0),
    )
    current = [row for row in stored if row["state"] != "withdrawn"]
    named = {row["visit_id"] for row in expected.values()}
    failures = differences(
        "sessions",
        {(row["visit_id"],): _without(row, "revision") for row in current},
        {(row["visit_id"],): row for row in expected.values()},
        lambda row: [entry for entry in log if entry[0].session_id == row["session_id"]],
    )
    retracted = (row for row in stored if row["state"] == "withdrawn")
    return failures + [
        f"sessions: {row} is retracted, and should not be"
        for row in retracted
        if row["close_reason"] != "merged" or row["visit_id"] in named
    ]


def _durations(log: Log, stored: Iterable[Row]) -> list[str]:
    """Compare a row per partition, hour and page; its generation is the first leave's offset."""
    expected: dict[Key, Row] = {}
    for partition in {src.partition for _, src in log}:
        part = [entry for entry in log if entry[1].partition == partition]
        for page, row in reference.page_durations(part).items():
            first = min(src.offset for event, src in part if _is_leave(event, page))
            durations = row.pop("durations")
            del row["avg_ms"]
            row |= {"partition": partition, "generation": first}
            row |= {"path_hash": _path_hash(page[2]), "sketch": sketch.add(b"", durations)}
            expected[*page, partition, first] = row
    names = ("site_id", "hour", "path", "partition", "generation")
    return differences(
        "page_durations",
        {tuple(row[name] for name in names): _without(row, "revision") for row in stored},
        expected,
        lambda row: [
            entry
            for entry in log
            if _is_leave(entry[0], (row["site_id"], row["hour"], row["path"]))
        ],
    )


def _alerts(log: KafkaLog, stored: Sequence[Row], rules: Rules) -> list[str]:
    """Compare each alert; the order of `events-alert` determines new errors and rates."""
    counted = reference.included(log.events)
    wanted = {src for event, src in counted if event.type in {"payment", "error"}}
    order = [entry for entry in log.alerting if entry[1] in wanted]
    failures = [] if len(order) == len(wanted) else ["events-alert lacks payments or errors"]
    ignored = ["title", "details", "seq", "subscription_id"]
    if not rules.is_log_time_right:
        stored = [row for row in stored if row["rule"] == "payment"]
        ignored.append("raised_at")
        order = [entry for entry in order if entry[0].type == "payment"]
    # Punctuation continues after the last event: a digest that is due since may be missing.
    last_ms = max((src.log_ms for _, src in log.events), default=0)
    certain = reference.alerts(order, error_identity, until_ms=last_ms)
    possible = reference.alerts(order, error_identity, until_ms=log.last_ms + _READ_MS)
    raised = {row["alert_id"] for row in stored}
    expected = {name: row for name, row in possible.items() if name in certain or name in raised}
    failures += differences(
        "alerts",
        {(row["alert_id"],): _without(row, *ignored) for row in stored},
        {
            (alert_id,): row if rules.is_log_time_right else _without(row, "raised_at")
            for alert_id, row in expected.items()
        },
        lambda row: [
            entry
            for entry in order
            if entry[0].site_id == row["site_id"]
            and row["subject"] in {entry[0].session_id, error_identity(entry[0])}
        ],
    )
    numbers = [row["seq"] for row in stored]
    return (
        failures
        if len(set(numbers)) == len(numbers)
        else [*failures, "alerts: a seq is not unique"]
    )


def _is_leave(event: RawEvent, page: tuple[str, int, str]) -> bool:
    """Return True if an event counts for a page and hour."""
    return (
        event.type == "pageleave"
        and event.duration_ms is not None
        and (
            event.site_id,
            event.event_ts // reference.HOUR_US * reference.HOUR_US,
            page_of(event.path, event.url),
        )
        == page
    )


def _without(row: Row, *names: str) -> Row:
    return {name: value for name, value in row.items() if name not in names}


def _path_hash(path: str) -> int:
    """Return the first 64 bits of a path's BLAKE2b hash, signed; independent of the product."""
    digest = blake2b(path.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
