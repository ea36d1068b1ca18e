"""The database is held against the fold of its events, and those against the ledger."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from schemas import sketch
from schemas.paths import path_of
from schemas.records import RawEvent
from sinks.rows import path_hash
from sinks.sql.tables import AlertRow, EventRow, PageDurationRow, SessionRow
from streams.domain.fingerprints import fingerprint
from tests import reference
from tests.e2e.stack import Stack
from tests.faults.differences import Key, differences
from tests.faults.kafka_log import KafkaLog, read_log
from tests.faults.ledger import Ledger
from tests.faults.tables import event_rows, rows_of
from tests.reference import Log, Row


class Rules(NamedTuple):
    """The limits of visits that the stack was started with; None: none was closed yet."""

    gap_seconds: int = 1_800
    all_closed: bool = False


def check_exact(stack: Stack, rules: Rules, ledger: Ledger | None = None) -> KafkaLog:
    """Hold the database of a stack that is at rest against its log, and that against the ledger.

    Every row of `events`, `sessions`, `page_durations` and `alerts`, every column that the
    events determine (not: revisions, `seq`). Fails with the first rows that differ and their
    history.
    """
    log = read_log(stack.kafka)
    stored = rows_of(stack, EventRow)
    found = [
        *_events(log.events, stored),
        *_visits(reference.counted(log.events), rows_of(stack, SessionRow), rules),
        *_durations(reference.counted(log.events), rows_of(stack, PageDurationRow)),
        *_alerts(log, rows_of(stack, AlertRow)),
    ]
    if ledger is not None:
        found = [*against_ledger(ledger, stored, log), *found]
    assert not found, "\n" + "\n".join(found)
    return log


def against_ledger(ledger: Ledger, stored: Sequence[Row], log: KafkaLog) -> list[str]:
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
        "events are not stored as they were sent": {
            str(row["event_id"]) for row in stored if not _is_as_sent(row, ledger)
        },
    }
    found = [f"{len(bad)} {what}: {sorted(bad)[:10]}" for what, bad in sets.items() if bad]
    if ledger.misjudged:
        found.append(f"{len(ledger.misjudged)} were misjudged: {ledger.misjudged[:3]}")
    return found


def _is_as_sent(row: Row, ledger: Ledger) -> bool:
    body = ledger.bodies.get(str(row["event_id"]), {})
    given = ("site_id", "session_id", "type", "visitor_id", "user_id", "error_name", "currency")
    return (
        all(body.get(name) == row[name] for name in given)
        and body.get("duration") == (row["duration_ms"])
    )


def _events(log: Log, stored: Iterable[Row]) -> list[str]:
    """Each event of the log once, where it first stood, with every column."""

    def key(row: Row) -> Key:
        return row["event_id"], row["site_id"], row["session_id"]

    return differences(
        "events",
        {key(row): row for row in stored},
        {key(row): row for row in event_rows(reference.counted(log))},
        lambda row: [one for one in log if one[0].event_id.lower() == row["event_id"]],
    )


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
            row |= {"path_hash": path_hash(page[2]), "sketch": sketch.add(b"", durations)}
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


def _alerts(log: KafkaLog, stored: Sequence[Row]) -> list[str]:
    """Each alert once; the order of `events-alert` says what was new, or one too many."""
    counted = reference.counted(log.events)
    wanted = {src for event, src in counted if event.type in {"payment", "error"}}
    order = [one for one in log.alerting if one[1] in wanted]
    found = [] if len(order) == len(wanted) else ["events-alert lacks payments or errors"]
    untold = ("title", "details", "seq", "subscription_id")
    found += differences(
        "alerts",
        {(row["alert_id"],): _without(row, *untold) for row in stored},
        {(alert_id,): row for alert_id, row in reference.alerts(order).items()},
        lambda row: [
            one
            for one in order
            if one[0].site_id == row["site_id"]
            and row["subject"] in {one[0].session_id, fingerprint(one[0])}
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
            path_of(event.path, event.url),
        )
        == page
    )


def _without(row: Row, *names: str) -> Row:
    return {name: value for name, value in row.items() if name not in names}
