"""The database is held against the fold of its events, and those against the ledger."""

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

#: Values that are shown of those that are not as they were sent.
_SHOWN = 20
#: The rows are read at most so long after the log.
_READ_MS = 60_000


class Rules(NamedTuple):
    """How a stack was started; `all_closed`: every visit is closed by now, else none is.

    `clock_error_seconds` is by how much an API server's clock was wrong. Events of
    `import_sites` keep their timestamps. Where `is_log_time_right` is false, the broker's clock
    was wrong: of alerts only those are compared that do not depend on time.
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
    """Hold the database of a stack that is at rest against its log, and that against the ledger.

    Every row of `events`, `sessions`, `page_durations` and `alerts`, every column that the
    events determine (not: revisions, `seq`). `before` are the logs of the clusters that the
    database had before this one. Fails with the first rows that differ and their history.
    """
    log = read_log(stack.kafka, before)
    check_logs(stack, rules, Logs(log, log, log), ledger)
    return log


class Logs(NamedTuple):
    """What of a log the sinks have stored, and what sessions and alerts are made of."""

    stored: KafkaLog
    sessions: KafkaLog
    alerts: KafkaLog


def check_logs(stack: Stack, rules: Rules, logs: Logs, ledger: Ledger | None = None) -> None:
    """Do as `check_exact` does, with logs that were read before."""
    stored, counted = rows_of(stack, EventRow), reference.counted(logs.sessions.events)
    found = [
        *_events(logs.stored, stored),
        *_visits(counted, rows_of(stack, SessionRow), rules),
        *_durations(counted, rows_of(stack, PageDurationRow)),
        *_alerts(logs.alerts, rows_of(stack, AlertRow), rules),
    ]
    if ledger is not None:
        found = [*against_ledger(ledger, stored, logs.stored, rules), *found]
    assert not found, "\n" + "\n".join(found)


def against_ledger(
    ledger: Ledger, stored: Sequence[Row], log: KafkaLog, rules: Rules = _DEFAULT
) -> list[str]:
    """Compare what is stored with what clients were told."""
    ids = [str(row["event_id"]) for row in stored]
    dead = {letter.event_id for letter in log.dead_letters}
    sets = {
        "acknowledged events are neither stored nor dead letters": ledger.acknowledged
        - set(ids)
        - dead,
        "events are stored that were not sent": set(ids) - ledger.acknowledged - ledger.unknown,
        "refused events are stored": ledger.refused & set(ids),
        "events are stored twice": {one for one, count in Counter(ids).items() if count > 1},
    }
    found = [f"{len(bad)} {what}: {sorted(bad)[:10]}" for what, bad in sets.items() if bad]
    found += _as_sent(ledger, stored, log.records, rules)
    if ledger.misjudged:
        found.append(f"{len(ledger.misjudged)} were misjudged: {ledger.misjudged[:3]}")
    return found


def _as_sent(
    ledger: Ledger, stored: Iterable[Row], records: Iterable[RawRecord], rules: Rules
) -> list[str]:
    """Derive each row, and each record of `events-raw`, from the JSON that was sent."""
    found = []
    for row in stored:
        event_id = row["event_id"]
        if event_id not in ledger.bodies:
            continue
        body = ledger.bodies[event_id]
        imported = body["site_id"] in rules.import_sites
        expected = row_of(record_of(body, row["received_at"], imported=imported))
        told = [
            f"{name} is {row[name]!r}, not {value!r}"
            for name, value in expected.items()
            if _unordered(name, row[name]) != value
        ]
        if not ledger.was_under_way(event_id, row["received_at"], rules.clock_error_seconds):
            told.append(f"received_at is {row['received_at']}, when no request was under way")
        found += [f"the row of {event_id}: {one}" for one in told]
    for record in records:
        event_id = record.fields["event_id"]
        found += [f"the record of {event_id}: {one}" for one in _unlike(record, ledger, rules)]
    if not found:
        return []
    return [f"{len(found)} values are not as they were sent", *found[:_SHOWN]]


def _unlike(record: RawRecord, ledger: Ledger, rules: Rules) -> list[str]:
    """Return how a record differs from each body that its event was sent with: from the nearest."""
    bodies = ledger.sent.get(record.fields["event_id"], ())
    differences = (
        record_differences(record, body, imported=body["site_id"] in rules.import_sites)
        for body in bodies
    )
    return min(differences, key=len, default=[])


def _events(log: KafkaLog, stored: Iterable[Row]) -> list[str]:
    """Each event of the log once, where it first stood, with every column."""
    by_place = {
        (record.partition, record.epoch << 48 | record.offset): record for record in log.records
    }
    counted = [by_place[src.partition, src.offset] for _, src in reference.counted(log.events)]

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
        lambda row: [one for one in log.events if one[0].event_id == row["event_id"]],
    )


def _unordered(name: str, value: Any) -> Any:
    """Return a value; of what was cut, the order is not promised."""
    return sorted(value) if name == "truncated" and value else value


def _visits(log: Log, stored: Sequence[Row], rules: Rules) -> list[str]:
    partitions = {src.partition for _, src in log}
    expected = reference.visits(
        log,
        gap_us=rules.gap_seconds * 1_000_000,
        close_after_ms=0 if rules.all_closed else 1 << 60,
        now_ms=dict.fromkeys(partitions, 1 << 60 if rules.all_closed else 0),
    )
    living = [row for row in stored if row["state"] != "withdrawn"]
    named = {row["visit_id"] for row in expected.values()}
    found = differences(
        "sessions",
        {(row["visit_id"],): _without(row, "revision") for row in living},
        {(row["visit_id"],): row for row in expected.values()},
        lambda row: [one for one in log if one[0].session_id == row["session_id"]],
    )
    withdrawn = (row for row in stored if row["state"] == "withdrawn")
    return found + [
        f"sessions: {row} is withdrawn, and should not be"
        for row in withdrawn
        if row["close_reason"] != "merged" or row["visit_id"] in named
    ]


def _durations(log: Log, stored: Iterable[Row]) -> list[str]:
    """One row for each partition, hour and page; its generation is the first leave's offset."""
    expected: dict[Key, Row] = {}
    for partition in {src.partition for _, src in log}:
        part = [one for one in log if one[1].partition == partition]
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
            one for one in log if _is_leave(one[0], (row["site_id"], row["hour"], row["path"]))
        ],
    )


def _alerts(log: KafkaLog, stored: Sequence[Row], rules: Rules) -> list[str]:
    """Each alert once; the order of `events-alert` says what was new, or one too many."""
    counted = reference.counted(log.events)
    wanted = {src for event, src in counted if event.type in {"payment", "error"}}
    order = [one for one in log.alerting if one[1] in wanted]
    found = [] if len(order) == len(wanted) else ["events-alert lacks payments or errors"]
    untold = ["title", "details", "seq", "subscription_id"]
    if not rules.is_log_time_right:
        stored = [row for row in stored if row["rule"] == "payment"]
        untold.append("raised_at")
        order = [one for one in order if one[0].type == "payment"]
    # Ticks go on after the last event: a digest that is due since then may be there, or not yet.
    last_ms = max((src.log_ms for _, src in log.events), default=0)
    sure = reference.alerts(order, error_identity, until_ms=last_ms)
    possible = reference.alerts(order, error_identity, until_ms=log.last_ms + _READ_MS)
    raised = {row["alert_id"] for row in stored}
    expected = {name: row for name, row in possible.items() if name in sure or name in raised}
    found += differences(
        "alerts",
        {(row["alert_id"],): _without(row, *untold) for row in stored},
        {
            (alert_id,): row if rules.is_log_time_right else _without(row, "raised_at")
            for alert_id, row in expected.items()
        },
        lambda row: [
            one
            for one in order
            if one[0].site_id == row["site_id"]
            and row["subject"] in {one[0].session_id, error_identity(one[0])}
        ],
    )
    numbers = [row["seq"] for row in stored]
    return found if len(set(numbers)) == len(numbers) else [*found, "alerts: a seq is there twice"]


def _is_leave(event: RawEvent, page: tuple[str, int, str]) -> bool:
    """Tell whether an event counts in the time on a page in an hour."""
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
    """Return the first 64 bits of a path's BLAKE2b hash, signed: persistent, so written again."""
    digest = blake2b(path.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
