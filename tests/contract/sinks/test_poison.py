"""Rows that the database cannot store, on both engines."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from sinks.sql.batch import RejectedRecord, SourcedRow
from sinks.sql.tables import EventRow, SessionRow
from sinks.sql.writer import Writer
from tests.contract.sinks.samples import (
    TOPIC,
    contents,
    event_at,
    expect_no_rejection,
    uuid_of,
    visit_at,
)

_POISON: dict[str, tuple[type[Any], SourcedRow, str]] = {
    "a NUL character": (EventRow, event_at(5, title="a\0b"), "NUL character in title"),
    "a half surrogate pair": (EventRow, event_at(5, title="\ud800"), "surrogate"),
    "an integer over 64 bits": (EventRow, event_at(5, duration_ms=2**63), "int"),
    "a year that no engine knows": (EventRow, event_at(5, event_ts=2**62), "event_ts is not in"),
    "a missing value": (EventRow, event_at(5, type=None), "(?i)not.null"),
}


@pytest.mark.parametrize("what", _POISON)
async def test_a_poison_row_is_rejected_and_others_are_written(
    writer: Writer, database_url: str, what: str
) -> None:
    """After its record is dead-lettered."""
    model, poison, words = _POISON[what]
    rows = [event_at(offset) for offset in range(5)]
    rows += [poison, *(event_at(offset) for offset in range(6, 10))]
    dead: list[RejectedRecord] = []

    async def dead_letter(rejected: Sequence[RejectedRecord]) -> None:
        assert await writer.assign(TOPIC, 0) == 0, "the offset advanced before the dead letter"
        assert await contents(database_url, EventRow) == []
        dead.extend(rejected)

    await writer.write(TOPIC, 0, 10, {model: rows}, dead_letter)

    assert [record.offset for record in dead] == [5]
    assert re.search(words, dead[0].reason)
    assert await writer.assign(TOPIC, 0) == 10
    assert len(await contents(database_url, EventRow)) == 9


async def test_the_batch_is_not_written_if_a_dead_letter_cannot_be_sent(
    writer: Writer, database_url: str
) -> None:
    """Nothing is lost, because the batch is read again."""

    async def fail(rejected: Sequence[RejectedRecord]) -> None:
        raise ConnectionError("Kafka is away")

    rows = {EventRow: [event_at(0), event_at(1, title="\0")]}
    with pytest.raises(ConnectionError, match="Kafka is away"):
        await writer.write(TOPIC, 0, 2, rows, fail)

    assert await writer.assign(TOPIC, 0) == 0
    assert await contents(database_url, EventRow) == []


async def test_all_poison_rows_are_found(writer: Writer, database_url: str) -> None:
    """By validation, and by the database."""
    rows = [
        event_at(
            offset,
            title="\0" if offset % 5 == 0 else "ok",
            type=None if offset % 7 == 0 else "copy",
        )
        for offset in range(100)
    ]
    dead: list[RejectedRecord] = []

    async def dead_letter(rejected: Sequence[RejectedRecord]) -> None:
        dead.extend(rejected)

    await writer.write(TOPIC, 0, 100, {EventRow: rows}, dead_letter)

    bad = [offset for offset in range(100) if offset % 5 == 0 or offset % 7 == 0]
    assert sorted(record.offset for record in dead) == bad
    assert len(await contents(database_url, EventRow)) == 100 - len(bad)


async def test_a_record_is_rejected_with_all_its_rows(writer: Writer, database_url: str) -> None:
    """The older revision of a rejected row, from another record, is written."""
    rows = [visit_at(0, "a", 1), visit_at(1, "a", 2, state="\0"), visit_at(1, "b", 1)]
    dead: list[RejectedRecord] = []

    async def dead_letter(rejected: Sequence[RejectedRecord]) -> None:
        dead.extend(rejected)

    await writer.write(TOPIC, 0, 2, {SessionRow: rows}, dead_letter)

    assert [record.offset for record in dead] == [1]
    (row,) = await contents(database_url, SessionRow)
    assert (row["visit_id"], row["revision"]) == (uuid_of("a"), 1)


async def test_a_rejected_record_below_the_next_offset_is_not_rejected_again(
    writer: Writer,
) -> None:
    """It was dead-lettered before the offset advanced."""
    await writer.write(TOPIC, 0, 5, {}, expect_no_rejection)

    await writer.write(TOPIC, 0, 5, {EventRow: [event_at(4, title="\0")]}, expect_no_rejection)
