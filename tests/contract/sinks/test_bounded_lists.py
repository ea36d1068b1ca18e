"""Lists read about as many rows as they return, however many a site has, on both engines."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from query_api import queries, tokens
from sinks.delivery import delivery_store, queue, subscription_store
from sinks.paging import Slice
from sinks.sql.engine import open_database
from tests.contract.sinks import crowded
from tests.contract.sinks.crowded import OWNER, ROWS, uuid_at
from tests.contract.sinks.samples import NOON_TIME
from tests.fixtures.migrated import create_migrated

#: The maximum cost of a list. A full scan costs at least `ROWS` on PostgreSQL, and more on SQLite.
BOUND = ROWS // 4

EARLY = NOON_TIME - timedelta(days=400)
LATE = NOON_TIME + timedelta(days=400)
MIDDLE = NOON_TIME + timedelta(seconds=ROWS // 4)
#: The time from which half of all sessions started.
CROWD = NOON_TIME + timedelta(seconds=ROWS // 2)

#: The sites of a token; thirty of them have 50 subscriptions each.
MANY_SITES = [f"site-{number:05}" for number in range(370, 1_370)]

Read = Callable[[Connection], Any]


def _slice(
    after: Any = None, since: datetime | None = None, until: datetime | None = None
) -> Slice:
    return Slice(20, after, since, until)


def _slices(*keys: Any) -> list[Slice]:
    """Return slices of a list by time: all kinds of ranges and cursors."""
    return [
        _slice(),
        _slice(since=LATE),
        _slice(until=EARLY),
        _slice(since=EARLY, until=NOON_TIME + timedelta(seconds=5)),
        _slice(since=MIDDLE, until=MIDDLE + timedelta(hours=1)),
        *(
            _slice(key, since, until)
            for key in keys
            for since in (None, EARLY, LATE)
            for until in (None, EARLY, MIDDLE, LATE)
        ),
    ]


def _reads() -> Iterator[tuple[str, Read]]:
    visits = ((MIDDLE, uuid_at(1)), (CROWD, uuid_at(ROWS)), (CROWD, uuid_at(ROWS // 2 + 9)))
    slices = _slices(*visits, (LATE, uuid_at(0)), (EARLY, uuid_at(0)))
    read: Read
    for slice_, state in product(slices, (None, "closed", "open", "withdrawn")):
        read = partial(queries.sessions, site_id="shop", part=slice_, state=state)
        yield f"sessions, {state}, {slice_}", read
    slices = _slices((MIDDLE, ROWS // 4), (LATE, ROWS), (EARLY, 1))
    for slice_, rule in product(slices, (None, "payment", "error.new", "error.rate")):
        read = partial(queries.alerts, site_id="shop", part=slice_, rule=rule)
        yield f"alerts, {rule}, {slice_}", read
    for seq in (0, 1, ROWS // 2, ROWS - 1, ROWS):
        read = partial(queries.alerts_after, site_id="shop", seq=seq, until=ROWS, limit=20)
        yield f"alerts after {seq}", read
    hours = [NOON_TIME + timedelta(hours=hour) for hour in (0, 20, 49)]
    for slice_ in _slices(*((hour, "/5") for hour in hours), (LATE, "/"), (EARLY, "/z")):
        yield f"pages, {slice_}", partial(queries.pages, site_id="shop", part=slice_)
    for after in ("", "shop", "site-00000", "site-1", "zz", "~"):
        yield f"sites after {after}", partial(queries.sites, limit=20, after=after)


def _reads_of_subscriptions() -> Iterator[tuple[str, Read]]:
    for part in _slices((MIDDLE, uuid_at(1)), (LATE, uuid_at(1)), (EARLY, uuid_at(1))):
        read: Read = partial(delivery_store.page, subscription_id=OWNER, slice_=part)
        yield f"deliveries, {part}", read
        for sites in (None, ["site-00000"], ["site-00399", "site-00001"], ["shop"], [], MANY_SITES):
            named = f"subscriptions of {len(sites or ())} sites, {part}"
            yield named, partial(subscription_store.page, sites=sites, slice_=part)
    yield "deliveries without a subscription", queue.has_orphans
    yield "tokens", partial(tokens.list_tokens, limit=20)


async def _costs(database_url: str) -> dict[str, int]:
    """Return the cost of each list."""

    def read_all(connection: Connection) -> dict[str, int]:
        cases = chain(_reads(), _reads_of_subscriptions())
        return {name: crowded.cost(connection, read) for name, read in cases}

    database = open_database(database_url, statement_seconds=None)
    try:
        return await database.run(read_all)
    finally:
        await database.close()


async def test_no_list_reads_many_more_rows_than_it_returns(database_url: str) -> None:
    """With any filter, for rare and absent values, and from any cursor; a scan is detected.

    On SQLite without statistics and with them.
    """
    await crowded.fill(database_url)
    scan = "SELECT count(*) FROM sessions WHERE exit_path = ''"
    counts = await _costs(database_url)

    database = open_database(database_url, statement_seconds=None)
    try:
        scanned = await database.run(
            lambda c: crowded.cost(c, lambda c: c.exec_driver_sql(scan).all())
        )
        await database.run(lambda c: c.exec_driver_sql("ANALYZE"))
    finally:
        await database.close()
    if database_url.startswith("sqlite"):
        with_statistics = await _costs(database_url)
        counts |= {f"{name}, with statistics": count for name, count in with_statistics.items()}

    assert scanned > BOUND
    assert {name: count for name, count in counts.items() if count > BOUND} == {}


#: Statistics with which an index without the column of a filter seems to be the better one.
_MISLEADING = {
    "ix_sessions_site_id_started_at": "100 1 1 1",
    "ix_sessions_site_id_state": f"{ROWS} {ROWS} {ROWS} {ROWS} 1",
    "ix_alerts_site_id_raised_at": "100 1 1 1",
    "ix_alerts_site_id_rule": f"{ROWS} {ROWS} {ROWS} {ROWS} 1",
}


def _mislead(connection: Connection) -> None:
    connection.exec_driver_sql("ANALYZE")
    for index, stat in _MISLEADING.items():
        change = "UPDATE sqlite_stat1 SET stat = ? WHERE idx = ?"
        assert connection.exec_driver_sql(change, (stat, index)).rowcount == 1
    if connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat4'").all():
        connection.exec_driver_sql("DELETE FROM sqlite_stat4")


@pytest.mark.parametrize(
    ("read", "key", "index"),
    [
        (partial(queries.sessions, state="withdrawn"), uuid_at(0), "ix_sessions_site_id_state"),
        (partial(queries.alerts, rule="error.rate"), ROWS, "ix_alerts_site_id_rule"),
    ],
)
async def test_filtered_lists_do_not_depend_on_the_statistics_of_sqlite(
    read: Callable[..., Any], key: Any, index: str, tmp_path: Path
) -> None:
    """Nor on its version: with STAT4 it prefers the other index also without statistics."""
    url = create_migrated(f"sqlite:///{tmp_path}/headrace.db")
    await crowded.fill(url)
    database = open_database(url)
    await database.run(_mislead)
    await database.close()  # a connection reads the statistics once
    part = _slice((LATE, key), since=EARLY)

    def plans(connection: Connection) -> list[str]:
        [(statement, parameters)] = crowded.statements_of(
            connection, partial(read, site_id="shop", part=part)
        )
        return [
            str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}", parameters).all())
            for one in (statement, statement.replace(f" INDEXED BY {index}", ""))
        ]

    database = open_database(url)
    plan, misled = await database.run(plans)
    await database.close()

    assert index in plan
    assert index not in misled


async def test_pages_of_a_site_are_each_listed_once(database_url: str) -> None:
    """Newest hour first, paths by name; hours are complete although they are read in parts."""
    await crowded.fill(database_url)

    def walk(connection: Connection, limit: int) -> list[tuple[str, str, int]]:
        found = []
        after: Any = None
        while True:
            slice_ = Slice(limit, after, None, NOON_TIME + timedelta(hours=3))
            page = queries.pages(connection, "shop", slice_)
            found += [(item["hour"], item["path"], item["leaves"]) for item in page.items]
            assert all(item["p50_ms"] for item in page.items)
            if page.next_cursor is None:
                return found
            last = page.items[-1]
            after = (datetime.fromisoformat(last["hour"]), last["path"])

    database = open_database(database_url)
    try:
        found = [await database.run(partial(walk, limit=limit)) for limit in (1, 7, 100)]
    finally:
        await database.close()

    paths = sorted(f"/{number}" for number in range(100))
    hours = [f"2026-04-01T{hour}:00:00.000000Z" for hour in (14, 13, 12)]
    expected = [(hour, path, crowded.PARTITIONS) for hour in hours for path in paths]
    assert found == [expected] * 3
