"""The indexes on JSON columns that docs/databases.md suggests for PostgreSQL."""

import re

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from sinks.sql.migrate import check
from sinks.sql.tables import EventRow
from tests.contract.sinks.samples import event_at, expect_no_rejection, open_for_test
from tests.fixtures.markdown import ROOT, blocks


def _statements() -> list[str]:
    """Return the statements of the document."""
    [block] = [one for one in blocks(ROOT / "docs" / "databases.md") if one.language == "sql"]
    return [line.rstrip(";") for line in block.text.splitlines()]


async def test_queries_by_a_property_use_the_documented_indexes(migrated_postgres_url: str) -> None:
    """And find the event; `headrace db check` reports nothing but these indexes."""
    writer = await open_for_test(migrated_postgres_url)
    await writer.assign("raw", 0)
    rows = [event_at(n, properties=f'{{"plan": "{"pro" if n == 7 else n}"}}') for n in range(50)]
    await writer.write("raw", 0, len(rows), {EventRow: rows}, expect_no_rejection)
    await writer.close()
    engine = create_async_engine(
        make_url(migrated_postgres_url).set(drivername="postgresql+asyncpg"),
        isolation_level="AUTOCOMMIT",
    )
    names = []
    async with engine.connect() as connection:
        for kind in ("seqscan", "indexscan"):  # leaves bitmap scans, of few rows as well
            await connection.execute(text(f"SET enable_{kind} = off"))
        for statement in _statements():
            if statement.startswith("CREATE INDEX"):
                names += re.findall(r"ix_\w+", statement)
                await connection.exec_driver_sql(statement)
                await connection.exec_driver_sql("ANALYZE events")
                continue
            assert (await connection.exec_driver_sql(statement)).scalar_one() == 1
            plan = await connection.exec_driver_sql(f"EXPLAIN {statement}")
            steps = str(plan.all())
            assert any(name in steps for name in names), steps
    await engine.dispose()

    differences = check(migrated_postgres_url)
    assert len(differences) == len(names) == 2
    for difference in differences:
        assert any(f"not in the models: index {name} of events" in difference for name in names)
