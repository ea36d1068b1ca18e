"""The audit, on both engines: a right database has no difference, and each damage is named."""

import asyncio
import random
from decimal import Decimal

import pytest

from infra.audit.difference import Findings
from infra.audit.run import audit
from schemas.headers import Source
from schemas.records import RawEvent, Utm
from schemas.settings import DatabaseSettings, Settings
from tests.contract.sinks.audited import flow
from tests.contract.sinks.samples import execute, query
from tests.unit.streams.samples import HOUR, MINUTE, NOON, event, source

_TYPES = ["pageview"] * 4 + ["pageleave"] * 3 + ["button_click", "error", "payment"]


def clickstream(count: int, seed: int) -> list[tuple[RawEvent, Source]]:
    """Return a log of four partitions: late events, imports of a month, names of all kinds."""
    choose = random.Random(seed)  # noqa: S311 - a test's choice
    log: list[tuple[RawEvent, Source]] = []
    for offset in range(count):
        at = NOON + offset * 100_000_000
        session = choose.randrange(40)
        kind = choose.choice(_TYPES)
        lateness = choose.choice([0, 0, 1, 10 * MINUTE, 40 * MINUTE, 30 * HOUR])
        made = event(
            f"{seed}-{offset}",
            type=kind,
            site_id=f"shop-{'aB-_.ab'[session % 7]}",
            session_id=f"sess ä{session}ΩZz"[: 6 + session % 5] + str(session),
            received_at=at,
            event_ts=at - lateness,
            path=choose.choice(["/a", "/b", "/ä?x", None]),
            url="https://shop.example/url",
            utm=choose.choice([None, Utm(source="s", campaign=f"c{offset}")]),
            visitor_id=choose.choice([None, "", f"v{offset}"]),
            duration_ms=choose.randrange(100_000) if kind == "pageleave" else None,
            error_name=choose.choice(["A", "B", "C"]) if kind == "error" else None,
            amount=Decimal(choose.choice(["12.50", "0.1", "99999999.99"])),
            currency="EUR",
        )
        log.append((made, source(offset, at // 1_000, session % 4)))
    return log


def settings(url: str) -> Settings:
    """Return the settings of a database."""
    return Settings(database=DatabaseSettings(url=url))


async def look(url: str) -> dict[str, Findings]:
    """Audit once."""
    found = await audit(settings(url), 0, lambda _: None, lambda _: None)
    return {findings.table: findings for findings in found}


def told(found: dict[str, Findings]) -> list[str]:
    """Return the differences as sentences."""
    return [
        f"{one.table}: {one.row}: {one.what}"
        for findings in found.values()
        for one in findings.differences
    ]


async def test_what_the_rules_made_has_no_difference(database_url: str) -> None:
    """Late events, merged visits, forgotten ones, several generations: nothing is found."""
    await flow(database_url, clickstream(2_000, seed=1))

    found = await look(database_url)

    assert told(found) == []
    counts = {
        table: (await query(database_url, f"SELECT count(*) FROM {table}"))[0][0]  # noqa: S608
        for table in ("sessions", "alerts")
    }
    assert {table: found[table].compared for table in counts} == counts
    assert found["page_durations"].compared > 0


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("UPDATE sessions SET events = events + 1 WHERE visit_id = {visit}", "events is 3, not 2"),
        ("UPDATE sessions SET exit_path = '/x' WHERE visit_id = {visit}", "exit_path is /x, not /"),
        ("UPDATE sessions SET state = 'withdrawn'", "state is withdrawn, not open or closed"),
        ("DELETE FROM sessions", "is missing"),
        (
            "UPDATE sessions SET session_id = 'other'",
            "shop:other visit",
        ),
        ("UPDATE page_durations SET total_ms = total_ms - 1", "total_ms is 4999, not 5000"),
        ("UPDATE page_durations SET sketch = {bytes}", "sketch is 2 bytes"),
        ("DELETE FROM page_durations", "2026-04-01T12Z /: is missing"),
        ("UPDATE page_durations SET path = '/y'", "/y: is there, though no events make it"),
        ("DELETE FROM alerts WHERE rule = 'payment'", "payment of the event"),
        ("DELETE FROM alerts WHERE rule = 'error.new'", "error.new"),
        ("UPDATE alerts SET subject = 's-9' WHERE rule = 'payment'", "though no events make it"),
        ("UPDATE alerts SET title = 'x' WHERE rule = 'error.new'", "title is x, not New error: E"),
        ("UPDATE alerts SET event_id = {visit} WHERE rule = 'error.new'", "is not in events"),
        (
            "UPDATE alerts SET title = 'x' WHERE rule = 'error.rate'",
            "not 10 errors in 5 minutes: E",
        ),
    ],
)
async def test_each_damage_is_named(database_url: str, damage: str, expected: str) -> None:
    """A row that was changed, deleted or made up: with its key and the first wrong column."""
    errors = [
        (event(n, type="error", session_id="s-2", error_name="E"), source(n)) for n in range(10, 20)
    ]
    await flow(
        database_url,
        [
            (event("a"), source(0)),
            (event("b", type="pageleave", duration_ms=5_000), source(1)),
            (event("c", type="payment", session_id="s-3", amount=Decimal(5)), source(2)),
            *errors,
        ],
    )
    assert told(await look(database_url)) == []
    visit = (await query(database_url, "SELECT visit_id FROM sessions WHERE session_id = 's-1'"))[
        0
    ][0]
    sqlite = database_url.startswith("sqlite")
    values = {"visit": f"'{visit}'", "bytes": "x'00ff'" if sqlite else r"'\x00ff'"}

    await execute(database_url, damage.format(**values))

    assert any(expected in sentence for sentence in told(await look(database_url)))


async def test_an_hour_with_too_many_paths_is_compared_as_a_whole(database_url: str) -> None:
    """Which of its paths were counted together is not told by events alone; their sum is."""
    leaves = [
        (event(n, type="pageleave", duration_ms=n, path=f"/{n}"), source(n)) for n in range(2_010)
    ]
    await flow(database_url, leaves)
    assert (await look(database_url))["page_durations"].compared == 1

    await execute(database_url, "DELETE FROM page_durations WHERE path = '/7'")

    [sentence] = told(await look(database_url))
    assert sentence.endswith("(all paths): leaves is 2009, not 2010")


async def test_what_comes_while_it_looks_settles(database_url: str) -> None:
    """A row that is late is found at the next look; one that is wrong is not."""
    await flow(database_url, [(event("a"), source(0)), (event("b", session_id="s-2"), source(1))])
    await execute(
        database_url,
        "UPDATE sessions SET events = 0",
    )
    looks: list[int] = []

    async def meanwhile() -> None:
        await execute(database_url, "UPDATE sessions SET events = 1 WHERE session_id = 's-1'")

    tasks = []

    def settling(differing: int) -> None:
        looks.append(differing)
        if len(looks) == 1:
            tasks.append(asyncio.ensure_future(meanwhile()))

    found = await audit(settings(database_url), 2.5, lambda _: None, settling)

    assert looks[:2] == [2, 1]
    [sentence] = told({findings.table: findings for findings in found})
    assert "shop:s-2" in sentence
