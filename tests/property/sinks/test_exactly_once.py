"""Splitting, repeating and interrupting a stream does not change the tables."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import SQLModel

from sinks.sql.batch import SourcedRow
from sinks.sql.tables import AlertRow, EventRow, PageDurationRow, SessionRow
from tests.contract.sinks import samples
from tests.contract.sinks.samples import (
    TOPIC,
    alert_at,
    contents,
    duration_at,
    event_at,
    expect_no_rejection,
    visit_at,
)
from tests.fixtures.examples import at_most
from tests.fixtures.migrated import create_migrated

Record = tuple[str, int, int]
Tables = dict[str, list[dict[str, Any]]]

#: Records: type, key and revision.
_records = st.lists(
    st.tuples(
        st.sampled_from(["event", "visit", "duration", "alert"]),
        st.integers(0, 4),
        st.integers(1, 5),
    ),
    max_size=30,
)
#: Batches: the overlap with stored records, and the number of new ones.
_batches = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 9)), max_size=20)


@settings(deadline=None, max_examples=at_most(60))
@given(_records, _batches)
def test_any_batching_gives_the_tables_of_single_records(
    records: list[Record], batches: list[tuple[int, int]]
) -> None:
    """Batches overlap, and each is written twice."""
    one_by_one = [(offset, offset + 1) for offset in range(len(records))]
    cut: list[tuple[int, int]] = []
    reached = 0
    for back, count in [*batches, (0, len(records))]:
        start, reached = max(0, reached - back), min(len(records), reached + count)
        cut += [(start, reached), (start, reached)]

    assert asyncio.run(_written(records, cut)) == asyncio.run(_written(records, one_by_one))


async def _written(records: list[Record], batches: list[tuple[int, int]]) -> Tables:
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder)}/headrace.db"
        create_migrated(url)
        writer = await samples.open_for_test(url)
        await writer.assign(TOPIC, 0)
        for start, stop in batches:
            await writer.write(TOPIC, 0, stop, _rows(records, start, stop), expect_no_rejection)
        await writer.close()
        tables = {
            model.__name__: await contents(url, model)
            for model in (EventRow, SessionRow, PageDurationRow, AlertRow)
        }
    # `seq` may have gaps; only its order matters.
    tables["AlertRow"] = [
        {**row, "seq": place}
        for place, row in enumerate(sorted(tables["AlertRow"], key=lambda row: int(row["seq"])))
    ]
    return tables


def _rows(records: list[Record], start: int, stop: int) -> dict[type[SQLModel], list[SourcedRow]]:
    rows: dict[type[SQLModel], list[SourcedRow]] = {}
    for offset, (kind, key, revision) in enumerate(records[start:stop], start):
        if kind == "event":
            rows.setdefault(EventRow, []).append(event_at(offset, key))
        elif kind == "visit":
            rows.setdefault(SessionRow, []).append(visit_at(offset, key, revision))
        elif kind == "duration":
            rows.setdefault(PageDurationRow, []).append(duration_at(offset, f"/{key}", revision))
        else:
            rows.setdefault(AlertRow, []).append(alert_at(offset, key))
    return rows
