"""Audits on both engines: a correct database has no differences, and each error is found."""

import asyncio
import json
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from headrace.ops.audit.findings import Difference, Findings
from headrace.ops.audit.legacy_alerts import legacy_details, legacy_fingerprint
from headrace.ops.audit.run import audit, count_events
from schemas.settings import DatabaseSettings, Settings
from tests.contract.sinks.audited import Pipeline, clickstream
from tests.contract.sinks.samples import execute, query
from tests.unit.streams.samples import HOUR, HOUR_MS, NOON, NOON_MS, event, source, uuid_of


def settings(url: str) -> Settings:
    """Return the settings for a database."""
    return Settings(database=DatabaseSettings(url=url))


async def run_audit(url: str) -> dict[str, Findings]:
    """Audit the database once."""
    found = await audit(settings(url), 0, lambda _: None, lambda _: None)
    return {findings.table: findings for findings in found}


def differences(found: dict[str, Findings]) -> list[Difference]:
    """Return the differences of all tables."""
    return [one for findings in found.values() for one in findings.differences]


def to_sentences(found: dict[str, Findings]) -> list[str]:
    """Return the differences as sentences."""
    return [f"{one.table}: {one.row}: {one.problem}" for one in differences(found)]


async def test_computed_results_have_no_differences(database_url: str) -> None:
    """With late events, merged and expired visits, and several generations."""
    await Pipeline(database_url).process(clickstream(2_000, seed=1))

    found = await run_audit(database_url)

    assert to_sentences(found) == []
    counts = {
        table: (await query(database_url, f"SELECT count(*) FROM {table}"))[0][0]  # noqa: S608
        for table in ("sessions", "alerts")
    }
    assert {table: found[table].compared for table in counts} == counts
    assert found["page_durations"].compared > 0


#: Damages, each with the text that the audit must report.
DAMAGES = {
    "UPDATE sessions SET events = events + 1 WHERE session_id = 's-0'": "events is 2, not 1",
    "UPDATE sessions SET exit_path = '/x' WHERE session_id = 's-1'": "exit_path is /x, not /",
    "UPDATE sessions SET state = 'withdrawn' WHERE session_id = 's-2'": (
        "shop:s-2 visit {visit}: state is withdrawn, not open or closed"
    ),
    "DELETE FROM sessions WHERE session_id = 's-3'": "is missing",
    "UPDATE sessions SET session_id = 'other' WHERE session_id = 's-4'": "shop:other visit",
    "UPDATE page_durations SET total_ms = 4999 WHERE path = '/0'": "total_ms is 4999, not 5000",
    "UPDATE page_durations SET sketch = {bytes} WHERE path = '/1'": "/1: sketch is 2 bytes",
    "DELETE FROM page_durations WHERE path = '/2'": "shop 2026-04-01T12Z /2: is missing",
    "UPDATE page_durations SET path = '/y' WHERE path = '/3'": (
        "/y: exists, but no events produce it"
    ),
    "DELETE FROM alerts WHERE subject = 'p-0'": "shop payment of the event",
    "UPDATE alerts SET subject = 'p-9' WHERE subject = 'p-1'": "but no events produce it",
    "UPDATE alerts SET title = 'x' WHERE subject = 'p-2'": "title is x, not Payment of 5.00",
    "DELETE FROM alerts WHERE title = 'New error: E0'": "shop error.new",
    "UPDATE alerts SET title = 'y' WHERE title = 'New error: E1'": "title is y, not New error: E1",
    "UPDATE alerts SET event_id = {visit} WHERE title = 'New error: E2'": "is not in events",
    "UPDATE alerts SET title = 'z' WHERE rule = 'error.rate'": "not 10 errors in 5 minutes: E3",
}


async def test_each_wrong_row_is_reported(database_url: str) -> None:
    """A changed, deleted or invented row is reported with its key and the first wrong column."""
    made = [
        *(event(f"s{n}", session_id=f"s-{n}") for n in range(5)),
        *(event(f"d{n}", type="pageleave", duration_ms=5_000, path=f"/{n}") for n in range(4)),
        *(event(f"p{n}", type="payment", session_id=f"p-{n}", amount=Decimal(5)) for n in range(3)),
        *(event(f"e{n}", type="error", error_name=f"E{min(n, 3)}") for n in range(13)),
    ]
    made = [
        one if one.session_id != "s-1" or one.type == "pageview" else replace(one, session_id="s-9")
        for one in made
    ]
    await Pipeline(database_url).process([(one, source(n)) for n, one in enumerate(made)])
    assert to_sentences(await run_audit(database_url)) == []
    [(visit,)] = await query(database_url, "SELECT visit_id FROM sessions WHERE session_id = 's-2'")
    sqlite = database_url.startswith("sqlite")
    values = {"visit": f"'{visit}'", "bytes": "x'00ff'" if sqlite else r"'\x00ff'"}

    await execute(database_url, *(damage.format(**values) for damage in DAMAGES))

    sentences = to_sentences(await run_audit(database_url))
    for damage, expected in DAMAGES.items():
        wanted = expected.format(visit=visit)
        assert any(wanted in sentence for sentence in sentences), (damage, sentences)


async def test_events_of_bots_count_in_events_only(database_url: str) -> None:
    """Results that contain one differ, and so does an alert that names one."""
    bot: dict[str, Any] = {"excluded": "bot", "is_bot": True}
    made = [
        *(event(n, session_id=f"s-{n}") for n in range(2)),
        event("view", session_id="s-0", **bot),
        event("leave", type="pageleave", duration_ms=5, **bot),
        event("paid", type="payment", amount=Decimal(5), session_id="s-1", **bot),
        event("failed", type="error", error_name="E", **bot),
        event("alone", session_id="s-3", **bot),
    ]
    pipeline = Pipeline(database_url)
    await pipeline.process([(one, source(n)) for n, one in enumerate(made)])
    assert to_sentences(await run_audit(database_url)) == []
    counts = "SELECT (SELECT count(*) FROM events), (SELECT sum(events) FROM sessions)"
    assert await query(database_url, counts) == [(7, 2)]
    assert await count_events(settings(database_url)) == 2

    failed = event("error", type="error", error_name="E")
    await pipeline.process([(failed, source(9))])
    await execute(
        database_url,
        "UPDATE events SET excluded = 'bot' WHERE type = 'error'",
        "UPDATE sessions SET events = 2 WHERE session_id = 's-0'",
    )

    sentences = to_sentences(await run_audit(database_url))
    assert ["s-0" in one for one in sentences].count(True) == 1
    assert ["which is excluded (bot)" in one for one in sentences].count(True) == 1


async def test_visits_without_attributes_were_computed_by_an_earlier_version(
    database_url: str,
) -> None:
    """If they have some, the difference is a damage."""
    given: dict[str, Any] = {"source": "Google", "channel": "Organic Search", "country": "AT"}
    made = [event(n, session_id=f"s-{n}", **given) for n in range(2)]
    await Pipeline(database_url).process([(one, source(n)) for n, one in enumerate(made)])
    assert to_sentences(await run_audit(database_url)) == []

    await execute(
        database_url,
        "UPDATE sessions SET source = NULL WHERE session_id = 's-1'",
        "UPDATE sessions SET source = NULL, channel = NULL, country = NULL"
        " WHERE session_id = 's-0'",
    )

    earlier, damaged = (one.problem for one in differences(await run_audit(database_url)))
    assert earlier == "was computed by an earlier version: source is empty, not Google"
    assert damaged == "source is empty, not Google"


async def test_alerts_of_an_earlier_version_have_no_differences(database_url: str) -> None:
    """They have other fingerprints, other ids of rates and fewer details."""
    stack = "E\n    at f (/srv/node_modules/a.js:1:2)\n    at g (/srv/b.js:1:2)"
    made = [
        *(event(f"e{n}", type="error", error_name="E", error_stack=stack) for n in range(10)),
        event("p", type="payment", amount=Decimal(5), visitor_id="v"),
    ]
    await Pipeline(database_url).process([(one, source(n)) for n, one in enumerate(made)])
    rows = await query(database_url, "SELECT alert_id, rule, details FROM alerts")
    for alert_id, rule, details in rows:
        found = json.loads(details) if isinstance(details, str) else details
        old = legacy_details(found, rule)
        assert len(old) < len(found)
        subject = "" if rule == "payment" else f", subject = '{legacy_fingerprint(made[0])}'"
        await execute(
            database_url,
            f"UPDATE alerts SET details = '{json.dumps(old)}'{subject}"  # noqa: S608
            f" WHERE alert_id = '{alert_id}'",
        )
    await execute(
        database_url,
        f"UPDATE alerts SET alert_id = '{uuid_of('window')}' WHERE rule = 'error.rate'",  # noqa: S608
    )

    sentences = to_sentences(await run_audit(database_url))

    # The id of `error.new` is derived from the fingerprint, the only column changed here.
    assert [sentence for sentence in sentences if "alert_id is" not in sentence] == []
    assert len(sentences) <= 1


async def test_an_error_over_the_limit_is_reported_when_it_occurs_again(
    database_url: str,
) -> None:
    """An hour with a digest did not mark errors as seen; without a digest, it may have."""
    names = [f"E{chr(97 + n)}" for n in range(25)]
    hours = [*((name, 0) for name in names), *((name, 3) for name in names[20:23])]
    made = [
        (
            event(
                n,
                type="error",
                error_name=name,
                event_ts=NOON + hour * HOUR,
                received_at=NOON + hour * HOUR,
            ),
            source(n, NOON_MS + hour * HOUR_MS),
        )
        for n, (name, hour) in enumerate(hours)
    ]
    await Pipeline(database_url).process(made)
    assert to_sentences(await run_audit(database_url)) == []
    [(title,)] = await query(database_url, "SELECT title FROM alerts WHERE subject = 'more'")
    assert title == "5 more new errors in the last hour"
    # Each error occurs at most ten times, so all alerts are `error.new`.
    assert await query(database_url, "SELECT count(*) FROM alerts") == [(24,)]

    await execute(
        database_url,
        "DELETE FROM alerts WHERE title = 'New error: Eu'",
        "UPDATE alerts SET title = '6 more new errors in the last hour' WHERE subject = 'more'",
    )

    missing, wrong = sorted(
        to_sentences(await run_audit(database_url)), key=lambda text: "title" in text
    )
    assert missing.endswith("is missing")
    assert "title is 6 more new errors in the last hour, not 5 more new errors" in wrong


async def test_an_hour_with_too_many_paths_is_compared_as_a_whole(database_url: str) -> None:
    """Events do not determine which paths were aggregated as other paths."""
    leaves = [
        (event(n, type="pageleave", duration_ms=n, path=f"/{n}"), source(n)) for n in range(2_010)
    ]
    await Pipeline(database_url).process(leaves)
    assert (await run_audit(database_url))["page_durations"].compared == 1

    await execute(database_url, "DELETE FROM page_durations WHERE path = '/7'")

    [sentence] = to_sentences(await run_audit(database_url))
    assert sentence.endswith("(all paths): leaves is 2009, not 2010")


async def test_rows_that_arrive_during_the_audit_are_compared_again(database_url: str) -> None:
    """A late row is found by the next comparison, a wrong one still differs."""
    await Pipeline(database_url).process(
        [(event("a"), source(0)), (event("b", session_id="s-2"), source(1))]
    )
    await execute(
        database_url,
        "UPDATE sessions SET events = 0",
    )
    looks: list[int] = []

    async def during_the_audit() -> None:
        await execute(database_url, "UPDATE sessions SET events = 1 WHERE session_id = 's-1'")

    tasks = []

    def settling(differing: int) -> None:
        looks.append(differing)
        if len(looks) == 1:
            tasks.append(asyncio.ensure_future(during_the_audit()))

    found = await audit(settings(database_url), 8, lambda _: None, settling)

    assert looks[:2] == [2, 1]
    [sentence] = to_sentences({findings.table: findings for findings in found})
    assert "shop:s-2" in sentence
