"""The guarantees of the batch writer, on both engines."""

from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import make_url

from sinks.sql.errors import (
    ClusterMismatch,
    InsufficientPrivilege,
    LogTruncated,
    NotAssigned,
    SchemaMissing,
)
from sinks.sql.offsets import check_log_end
from sinks.sql.tables import AlertRow, ConsumerOffsetRow, EventRow, PageDurationRow, SessionRow
from sinks.sql.writer import Writer
from tests.contract.sinks import samples
from tests.contract.sinks.samples import (
    NOON_TIME,
    TOPIC,
    alert_at,
    contents,
    duration_at,
    event_at,
    expect_no_rejection,
    uuid_of,
    visit_at,
)


async def test_an_event_is_stored_exactly(writer: Writer, database_url: str) -> None:
    """Times to the microsecond, exact amounts, parsed JSON, canonical ids."""
    await writer.write(TOPIC, 0, 8, {EventRow: [event_at(7)]}, expect_no_rejection)

    assert await writer.assign(TOPIC, 0) == 8
    (row,) = await contents(database_url, EventRow)
    sent = {
        "event_id": uuid_of(7),
        "event_ts": NOON_TIME,
        "path": "/buy",
        "screen": {"width": 1920, "height": 1080},
        "duration_ms": 2**40,
        "properties": {"plan": "pro", "tags": ["ä", "\0"]},
        "vitals": {"lcp": 2500.5},
        "amount": Decimal("12.5"),
        "truncated": ["url"],
        "title": None,
        "utm": None,
        "kafka_offset": 7,
    }
    assert {name: row[name] for name in sent} == sent
    assert row["received_at"].microsecond == 1


async def test_a_repeated_batch_changes_nothing(writer: Writer, database_url: str) -> None:
    """As after a crash before the Kafka commit."""
    rows = {EventRow: [event_at(0), event_at(1)]}
    await writer.write(TOPIC, 0, 2, rows, expect_no_rejection)
    before = await contents(database_url, EventRow)

    await writer.write(TOPIC, 0, 2, rows, expect_no_rejection)

    assert await writer.assign(TOPIC, 0) == 2
    assert await contents(database_url, EventRow) == before


async def test_a_stale_batch_never_lowers_the_offset(writer: Writer, database_url: str) -> None:
    """A zombie writer writes records that the new owner has stored."""
    await writer.write(TOPIC, 0, 10, {EventRow: [event_at(9)]}, expect_no_rejection)

    await writer.write(TOPIC, 0, 4, {EventRow: [event_at(3, "stale")]}, expect_no_rejection)

    assert [row["event_id"] for row in await contents(database_url, EventRow)] == [uuid_of(9)]
    assert await writer.assign(TOPIC, 0) == 10


async def test_the_first_of_duplicate_ids_is_kept(writer: Writer, database_url: str) -> None:
    """Within a batch and across batches."""
    twice = [event_at(0, "same", title="first"), event_at(1, "same", title="second")]
    await writer.write(TOPIC, 0, 2, {EventRow: twice}, expect_no_rejection)
    third = [event_at(2, "same", title="third")]
    await writer.write(TOPIC, 0, 3, {EventRow: third}, expect_no_rejection)

    (row,) = await contents(database_url, EventRow)
    assert row["title"] == "first"


async def test_the_highest_revision_of_a_visit_is_kept(writer: Writer, database_url: str) -> None:
    """In any order."""
    rows = [visit_at(0, "v", 2), visit_at(1, "v", 3, state="closed"), visit_at(2, "v", 1)]
    await writer.write(TOPIC, 0, 3, {SessionRow: rows}, expect_no_rejection)
    await writer.write(TOPIC, 0, 4, {SessionRow: [visit_at(3, "v", 2)]}, expect_no_rejection)

    (row,) = await contents(database_url, SessionRow)
    assert (row["revision"], row["state"], row["duration_ms"]) == (3, "closed", 90_000)
    assert (row["bounced"], row["entry_path"], row["exit_path"]) == (True, "/in", None)


async def test_the_view_sums_partitions_and_generations(writer: Writer, database_url: str) -> None:
    """Per page and hour."""
    rows = [
        duration_at(0, "/a", 2),
        duration_at(1, "/a", 1, partition=1, min_ms=50),
        duration_at(2, "/a", 1, generation=7, max_ms=900),
        duration_at(3, "/b", 1),
    ]
    await writer.write(TOPIC, 0, 4, {PageDurationRow: rows}, expect_no_rejection)

    hourly = await samples.query(
        database_url,
        "SELECT site_id, path, leaves, total_ms, avg_ms, min_ms, max_ms "
        "FROM page_durations_hourly ORDER BY path",
    )
    assert hourly == [
        ("shop", "/a", 4, 400, 100.0, 50, 900),
        ("shop", "/b", 1, 100, 100.0, 100, 100),
    ]
    assert [row["sketch"] for row in await contents(database_url, PageDurationRow)] == [
        b"\x00\xff"
    ] * 4


async def test_alerts_get_seq_in_order(writer: Writer, database_url: str) -> None:
    """A repeated alert keeps its `seq`."""
    await writer.write(
        TOPIC, 0, 2, {AlertRow: [alert_at(0, "b"), alert_at(1, "a")]}, expect_no_rejection
    )
    more = [alert_at(2, "a"), alert_at(3, "c")]
    await writer.write(TOPIC, 0, 4, {AlertRow: more}, expect_no_rejection)

    rows = sorted(await contents(database_url, AlertRow), key=lambda row: row["seq"])
    assert [row["title"] for row in rows] == ["Payment b", "Payment a", "Payment c"]
    assert rows[0]["details"] == {"amount": 1}


async def test_the_seq_of_a_deleted_alert_is_not_reused(writer: Writer, database_url: str) -> None:
    """A reader that resumes after it would miss an alert."""
    await writer.write(TOPIC, 0, 1, {AlertRow: [alert_at(0, "a")]}, expect_no_rejection)
    await samples.execute(database_url, "DELETE FROM alerts")
    await writer.write(TOPIC, 0, 2, {AlertRow: [alert_at(1, "b")]}, expect_no_rejection)

    assert [row["seq"] for row in await contents(database_url, AlertRow)] == [2]


async def test_a_batch_without_rows_advances_the_offset(writer: Writer) -> None:
    """For example a batch of punctuation records."""
    await writer.write(TOPIC, 0, 5, {}, expect_no_rejection)

    assert await writer.assign(TOPIC, 0) == 5


async def test_assigning_again_returns_the_stored_offset(writer: Writer) -> None:
    """A new partition starts at 0."""
    await writer.write(TOPIC, 0, 5, {}, expect_no_rejection)

    assert await writer.assign(TOPIC, 0) == 5
    assert await writer.assign(TOPIC, 1) == 0


async def test_a_partition_that_was_not_assigned_is_not_written(
    writer: Writer, database_url: str
) -> None:
    """Without a row to lock, concurrent writers would not be fenced."""
    with pytest.raises(NotAssigned, match=r"events-raw\[3\] has no row"):
        await writer.write(TOPIC, 3, 1, {EventRow: [event_at(0)]}, expect_no_rejection)

    assert await contents(database_url, EventRow) == []


async def test_another_cluster_is_rejected(writer: Writer, database_url: str) -> None:
    """Its offsets refer to other events."""
    other = await samples.open_for_test(database_url, cluster_id="another")
    with pytest.raises(ClusterMismatch, match="of the Kafka cluster cluster, and this is"):
        await other.assign(TOPIC, 0)
    with pytest.raises(ClusterMismatch, match="Use a new database"):
        await other.write(TOPIC, 0, 1, {}, expect_no_rejection)
    await other.close()

    (row,) = await contents(database_url, ConsumerOffsetRow)
    assert (row["next_offset"], row["cluster_id"]) == (0, "cluster")


async def test_a_database_of_topics_with_another_prefix_is_rejected(writer: Writer) -> None:
    """Their offsets start at 0, so all events would be dropped as stored."""
    await writer.assign(TOPIC, 0)
    await writer.check_cluster()

    await writer.assign(f"staging-{TOPIC}", 0)
    with pytest.raises(ClusterMismatch, match=r"staging-events-raw: .*TOPIC_PREFIX"):
        await writer.check_cluster()


def test_a_database_beyond_the_end_of_the_log_is_an_error() -> None:
    """The topic was recreated."""
    check_log_end(TOPIC, 0, next_offset=5, log_end=5)
    with pytest.raises(LogTruncated, match="up to offset 6, but the topic ends at 5"):
        check_log_end(TOPIC, 0, next_offset=6, log_end=5)


async def test_a_database_that_is_not_migrated_is_rejected(empty_url: str) -> None:
    """With the command that migrates it."""
    with pytest.raises(SchemaMissing, match="headrace db upgrade"):
        await samples.open_for_test(empty_url)


async def test_a_missing_privilege_is_reported_with_the_grant(
    migrated_postgres_url: str,
) -> None:
    """Row types are temporary types of the session."""
    name = f"poor_{uuid4().hex}"
    await samples.execute(
        migrated_postgres_url,
        f"REVOKE TEMPORARY ON DATABASE {make_url(migrated_postgres_url).database} FROM PUBLIC",
        f"CREATE ROLE {name} LOGIN PASSWORD 'poor'",
    )
    poor = make_url(migrated_postgres_url).set(username=name, password="poor")  # noqa: S106 - of the test
    try:
        with pytest.raises(InsufficientPrivilege, match="GRANT TEMPORARY ON DATABASE"):
            await samples.open_for_test(poor.render_as_string(hide_password=False))
    finally:
        await samples.execute(migrated_postgres_url, f"DROP ROLE {name}")
