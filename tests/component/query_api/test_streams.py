import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest

from query_api import auth, sse, tokens
from query_api import queries as reads
from schemas.records import LatestEvent
from tests.component.query_api.conftest import Role, Watching
from tests.fixtures.waiting import eventually_async
from tests.unit.query_api.test_live import NOW_MS, partial

LIVE = "/api/sites/shop/live/stream"
ALERTS = "/api/sites/shop/alerts/stream"


async def _until_sent(watching: Watching, name: str, count: int) -> list[str]:
    return await eventually_async(
        lambda: found if len(found := watching.events(name)) >= count else [],
        within_seconds=10,
        what=f"{count} events came",
    )


async def test_live_counters_are_sent_at_once_and_after_changes(role: Role) -> None:
    """As `event: live`, after `retry`; unchanged counters are not sent again."""
    role.put(partial(sessions=1))
    watching = Watching(role.query, LIVE, await role.token("shop"))
    await _until_sent(watching, "live", 1)
    role.put(partial(sessions=1))
    role.put(partial(1, sessions=4))
    messages = await _until_sent(watching, "live", 2)
    watching.disconnect()
    await watching.task

    assert watching.sent.startswith(b"retry: 2000\n\nevent: live\ndata: {")
    assert watching.headers[b"content-type"] == b"text/event-stream"
    sessions = [json.loads(message.split("data: ")[1])["sessions_now"] for message in messages]
    assert sessions == [1, 5]


async def test_the_latest_events_are_sent_on_request(role: Role) -> None:
    """With latest=1 only; another value is rejected."""
    role.put(partial(latest=[LatestEvent(NOW_MS, "payment", "5 EUR")]))
    token = await role.token("shop")
    watching = [Watching(role.query, LIVE + query, token) for query in ("", "?latest=1")]
    sent = [(await _until_sent(one, "live", 1))[0] for one in watching]
    for one in watching:
        one.disconnect()
        await one.task
    async with role.client(token) as client:
        rejected = await client.get(LIVE, params={"latest": "10"})
        polled = (await client.get("/api/sites/shop/live", params={"latest": "1"})).json()

    (plain, full) = [json.loads(message.split("data: ")[1]) for message in sent]
    assert full == polled
    assert full.pop("latest") == [
        {"at": "2026-04-01T12:00:30.500Z", "type": "payment", "detail": "5 EUR"}
    ]
    assert full.pop("stalled_since") is None
    assert plain == full
    assert (rejected.status_code, rejected.json()["field"]) == (400, "latest")


async def test_alerts_are_sent_as_they_are_raised(role: Role) -> None:
    """With seq as the id, without earlier ones and those of other sites."""
    await role.alert(0)
    watching = Watching(role.query, ALERTS, await role.token("shop"))
    await eventually_async(lambda: watching.sent, within_seconds=15, what="it is open")
    await role.alert(1, "blog")
    await role.alert(2)
    (message,) = await _until_sent(watching, "alert", 1)
    watching.disconnect()
    await watching.task

    assert message.startswith("id: 3\nevent: alert\ndata: {")
    assert json.loads(message.split("data: ")[1])["title"] == "Payment 2"


async def test_alerts_resume_after_the_last_event_id(role: Role) -> None:
    """Without gaps and duplicates, while more are raised."""
    for offset in range(300):
        await role.alert(offset)
    watching = Watching(role.query, ALERTS, await role.token("shop"), last_event_id="40")
    await role.alert(300)
    messages = await _until_sent(watching, "alert", 261)
    watching.disconnect()
    await watching.task

    ids = [int(message.split("\n")[0].removeprefix("id: ")) for message in messages]
    assert ids == list(range(41, 302))


async def test_a_last_event_id_in_the_future_is_ignored(role: Role) -> None:
    """It is from another database; the client gets new alerts."""
    await role.alert(0)
    watching = Watching(role.query, ALERTS, await role.token("shop"), last_event_id="99999999")
    await eventually_async(lambda: watching.sent, within_seconds=15, what="it is open")
    await role.alert(1)
    (message,) = await _until_sent(watching, "alert", 1)
    watching.disconnect()
    await watching.task

    assert message.startswith("id: 2\n")


async def test_clients_share_the_queries_of_alerts(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty clients need at most two queries."""
    queries: list[str] = []
    alerts_after = reads.alerts_after

    def count(connection: Any, site_id: str, *rest: Any) -> Any:
        queries.append(site_id)
        return alerts_after(connection, site_id, *rest)

    monkeypatch.setattr(reads, "alerts_after", count)
    token = await role.token("shop")
    clients = [Watching(role.query, ALERTS, token) for _ in range(20)]
    await eventually_async(lambda: all(c.sent for c in clients), within_seconds=15, what="all open")
    await role.alert(0)
    for client in clients:
        await _until_sent(client, "alert", 1)
        client.disconnect()
    await asyncio.gather(*(client.task for client in clients))

    assert len(queries) <= 2


async def test_a_stream_ends_when_its_token_is_revoked(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within seconds."""
    monkeypatch.setattr(auth, "CACHE_SECONDS", 0.0)
    monkeypatch.setattr(sse, "TOKEN_CHECK_SECONDS", 0.0)
    watching = Watching(role.query, LIVE, await role.token("shop"))
    await _until_sent(watching, "live", 1)
    (token,) = await role.database.run(tokens.list_tokens)
    await role.database.run(lambda c: tokens.revoke(c, token.token_id))

    await asyncio.wait_for(watching.task, 10)


async def test_draining_ends_streams_and_rejects_requests(role: Role) -> None:
    """Clients reconnect to another process."""
    token = await role.token("shop")
    watching = Watching(role.query, LIVE, token)
    await _until_sent(watching, "live", 1)

    await asyncio.wait_for(role.query.drain(), 5)

    assert watching.task.done()
    async with role.client(token) as client:
        assert (await client.get("/api/sites/shop/live")).json()["code"] == "shutting_down"


async def test_streams_are_limited(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    """One over the limit is rejected with 503."""
    monkeypatch.setattr(sse, "MAX_STREAMS", 1)
    token = await role.token("shop")
    watching = Watching(role.query, LIVE, token)
    await _until_sent(watching, "live", 1)
    async with role.client(token) as client:
        answer = await client.get(LIVE)
    watching.disconnect()
    await watching.task

    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")


async def test_streams_of_one_token_are_limited(role: Role) -> None:
    """One over the limit is rejected with 429; other tokens and closed streams are not counted."""
    role.query.streams.max_per_token = 1
    (mine, other) = (await role.token("shop"), await role.token("shop"))
    watching = Watching(role.query, LIVE, mine)
    await _until_sent(watching, "live", 1)
    async with role.client(mine) as client:
        rejected = await client.get(LIVE)
        listed = await client.get("/api/sites/shop/live")
    second = Watching(role.query, LIVE, other)
    await _until_sent(second, "live", 1)
    watching.disconnect()
    await watching.task
    third = Watching(role.query, LIVE, mine)
    await _until_sent(third, "live", 1)
    for stream in (second, third):
        stream.disconnect()
        await stream.task

    assert (rejected.status_code, rejected.json()["code"]) == (429, "too_many_streams")
    assert rejected.headers["retry-after"]
    assert listed.status_code == 200


@pytest.mark.parametrize("name", ["lastEventId", "last-event-id", "last_event_id"])
@pytest.mark.parametrize(
    ("sent", "header", "first"),
    [
        ("2", None, 3),
        ("1", "2", 3),  # the header of a reconnecting browser is newer than the URL
        ("2", "", 3),
        ("9" * 19, None, None),
        ("²", None, None),
        ("x", None, None),
        ("", None, None),
    ],
)
async def test_alerts_resume_after_the_id_in_the_query(
    role: Role, name: str, sent: str, header: str | None, first: int | None
) -> None:
    """For EventSource polyfills, which cannot send the header; invalid ids are ignored."""
    for offset in range(2):
        await role.alert(offset)
    token = await role.token("shop")
    headers = {} if header is None else {"last_event_id": header}
    path = f"{ALERTS}?_=1764&{name}={quote(sent)}"
    watching = Watching(role.query, path, token, **headers)
    await eventually_async(lambda: watching.status, within_seconds=10, what="it is open")
    await role.alert(2)
    (message, *_) = await _until_sent(watching, "alert", 1)
    watching.disconnect()
    await watching.task

    assert watching.status == 200
    assert f"id: {first or 3}" in message


@pytest.mark.parametrize(
    "path", [LIVE, ALERTS, "/api/sites/shop/alerts", "//api/sites//shop/live/"]
)
async def test_cache_busting_parameters_are_ignored(role: Role, path: str) -> None:
    """With HEAD, too; unknown parameters are rejected."""
    async with role.client(await role.token("shop")) as client:
        url = f"http://headrace{path}"
        answers = [
            await client.head(url, params={name: "1764"})
            for name in ("_", "_t", "t", "ts", "r", "cb", "nocache")
        ]
        wrong = await client.get(url, params={"rul": "payment"})
        put = await client.put(url)

    assert {answer.status_code for answer in answers} == {200}
    assert (wrong.status_code, wrong.json()["field"]) == (400, "rul")
    assert (put.status_code, put.headers["allow"]) == (405, "GET, HEAD")


async def test_the_live_stream_ignores_the_last_event_id(role: Role) -> None:
    """It always starts with the current counters."""
    role.put(partial(sessions=1))
    path = f"{LIVE}?latest=1&_=1&lastEventId=5"
    watching = Watching(role.query, path, await role.token("shop"))
    await _until_sent(watching, "live", 1)
    watching.disconnect()
    await watching.task

    assert watching.status == 200


async def test_the_latency_of_new_alerts_is_measured_once(role: Role) -> None:
    """Not that of alerts from before the stream, nor again for a client that resumes."""
    await role.alert(0)
    token = await role.token("shop")
    watching = [Watching(role.query, ALERTS, token) for _ in range(2)]
    await eventually_async(
        lambda: all(one.sent for one in watching), within_seconds=15, what="they are open"
    )
    await role.alert(1)
    await role.alert(2)
    for one in watching:
        await _until_sent(one, "alert", 2)
    watching.append(Watching(role.query, ALERTS, token, last_event_id="0"))
    await _until_sent(watching[-1], "alert", 3)
    for one in watching:
        one.disconnect()
        await one.task
    async with role.client(await role.token()) as client:
        metrics = (await client.get("/metrics")).text

    assert "headrace_query_alert_latency_seconds_count 2.0" in metrics
