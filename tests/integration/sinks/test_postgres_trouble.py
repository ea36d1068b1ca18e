"""A PostgreSQL server that is unavailable, or terminates connections."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from sinks.sql.batch import RejectedRecord
from sinks.sql.errors import DatabaseUnavailable
from sinks.sql.tables import EventRow
from sinks.sql.writer import open_writer
from tests.contract.sinks import samples
from tests.contract.sinks.samples import TOPIC, event_at, expect_no_rejection
from tests.fixtures.waiting import eventually_async
from tests.integration.sinks.ledger import check_exact, write_all
from tests.integration.sinks.proxy import Proxy, proxied

pytestmark = pytest.mark.fault

_END_ALL = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
def url(migrated_postgres_url: str) -> str:
    """Return the URL of a migrated database."""
    return migrated_postgres_url


@pytest.fixture
async def line(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Yield a proxy to the database, and the URL through it."""
    async with proxied(url) as line:
        yield line


async def test_terminated_connections_lose_and_repeat_nothing(url: str) -> None:
    """As when the server restarts; ten times."""
    writer = await samples.open_for_test(url)
    writing = asyncio.create_task(write_all(writer, 0, 1500, seed=1))
    for offset in range(0, 500, 50):
        await _wait_until_at(url, offset)
        await samples.query(url, _END_ALL)
    assert not writing.done()
    await writing
    await writer.close()

    await check_exact(url, [0], 1500)


async def test_the_writer_waits_for_an_unavailable_server(
    url: str, line: tuple[Proxy, str]
) -> None:
    """Connections are closed, then rejected, then the server is back."""
    proxy, through = line
    writer = await samples.open_for_test(through)
    writing = asyncio.create_task(write_all(writer, 0, 1000, seed=1))
    await _wait_until_at(url, 100)
    await proxy.down()
    await eventually_async(
        lambda: writer.problem, within_seconds=20, what="the problem is reported"
    )
    assert "The database does not answer" in str(writer.problem)
    assert not writing.done()
    await proxy.up()
    await writing
    await writer.close()

    await check_exact(url, [0], 1000)


async def test_a_stop_ends_the_wait_for_a_server(line: tuple[Proxy, str]) -> None:
    """Even if it was never available."""
    proxy, through = line
    await proxy.down()
    stopping = asyncio.Event()
    opening = asyncio.create_task(
        open_writer(through, app="test", cluster_id="cluster", should_stop=stopping.is_set)
    )
    asyncio.get_running_loop().call_later(0.3, stopping.set)
    with pytest.raises(DatabaseUnavailable, match="stopped while waiting"):
        await opening
    await proxy.up()


async def test_a_missing_database_is_not_retried(url: str) -> None:
    """PostgreSQL's error is raised."""
    with pytest.raises(Exception, match="does not exist"):
        await samples.open_for_test(url.rsplit("/", 1)[0] + "/no_such_database")


_REFUSED_BY_POSTGRES: dict[str, tuple[dict[str, Any], str]] = {
    "text that is not JSON": ({"properties": "{nope"}, "json"),
    "an id that is no UUID": ({"event_id": "nope"}, "(?i)uuid"),
    "an amount over 25 digits": ({"amount": Decimal(10**30)}, "overflow"),
    "a key over an index entry": ({"session_id": "".join(map(str, range(9999)))}, "index row"),
}


@pytest.mark.parametrize("what", _REFUSED_BY_POSTGRES)
async def test_rows_that_only_postgresql_rejects_are_found(url: str, what: str) -> None:
    """By bisection; the other rows are written."""
    fields, words = _REFUSED_BY_POSTGRES[what]
    writer = await samples.open_for_test(url)
    await writer.assign(TOPIC, 0)

    dead: list[RejectedRecord] = []

    async def bury(refused: Sequence[RejectedRecord]) -> None:
        dead.extend(refused)

    rows = [event_at(0), event_at(1, **fields), event_at(2)]
    await writer.write(TOPIC, 0, 3, {EventRow: rows}, bury)
    await writer.close()

    assert [record.offset for record in dead] == [1]
    assert re.search(words, dead[0].reason)
    assert len(await samples.contents(url, EventRow)) == 2


async def test_a_batch_of_poison_rows_advances_the_offset(url: str) -> None:
    """After they are dead-lettered."""
    writer = await samples.open_for_test(url)
    await writer.assign(TOPIC, 0)
    rows = {EventRow: [event_at(offset, title="\0") for offset in range(3)]}

    dead: list[RejectedRecord] = []

    async def bury(refused: Sequence[RejectedRecord]) -> None:
        dead.extend(refused)

    await writer.write(TOPIC, 0, 3, rows, bury)
    await writer.write(TOPIC, 0, 3, rows, expect_no_rejection)

    assert (len(dead), await writer.assign(TOPIC, 0)) == (3, 3)
    await writer.close()


async def _wait_until_at(url: str, offset: int) -> None:
    async def reached() -> bool:
        stored = await samples.query(url, "SELECT next_offset FROM consumer_offsets")
        return bool(stored) and stored[0][0] > offset

    condition: Callable[[], bool | Awaitable[bool]] = reached
    assert await eventually_async(condition, within_seconds=20, what=f"it is beyond {offset}")
