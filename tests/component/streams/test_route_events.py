from collections.abc import AsyncIterator
from typing import Any

import pytest

from headrace.ops.adopt.seeds import Seed, seed_records
from schemas.event_types import EVENT_TYPES, TICK
from schemas.headers import (
    CLIENT_ID,
    EVENT_ID,
    EXCLUDED,
    REPLAY_FOR,
    REPLAY_OF,
    SOURCE,
    SOURCE_TEXT,
    TYPE,
    Source,
    find,
)
from schemas.positions import position
from schemas.stages import SINK_STAGES, STREAM_STAGES
from schemas.topics import EVENTS_ALERT, EVENTS_RAW, EVENTS_SESSION, REPLAYS
from streams.agents import route_events
from streams.engine.batch import Batch
from streams.engine.cluster import Epoch
from streams.engine.worker import Worker
from tests.component.streams.bench import Bench, InRecord, raw_record, reasons
from tests.unit.streams.samples import NOON_MS, event

CLIENTS = (CLIENT_ID, b"")
SITE_PARTITION = 7


class FakeTail:
    """Previously forwarded records, which the agent reads on each assignment."""

    def __init__(self, *fetches: list[InRecord], expired: bool = False) -> None:
        self.fetches = fetches
        self.expired = set(range(8)) if expired else set()

    async def catch_up(self, partition: int) -> AsyncIterator[list[Any]]:
        """Yield the fetches of the partition."""
        for fetched in self.fetches:
            yield [record for record in fetched if record.partition == partition]


async def a_router(
    *fetches: list[InRecord], partition: int = 0, after: Bench | None = None, epoch: int = 0
) -> Bench:
    """Return a router with a partition, which finds these last records in the output topic.

    It has the table of the one before it.
    """
    tail: Any = FakeTail(*fetches)

    def register(worker: Worker) -> None:
        route_events.register(worker, tail, lambda site: SITE_PARTITION + len(site), Epoch(epoch))

    bench = Bench(register)
    assert bench.source is EVENTS_RAW
    if after is not None:
        bench.recover(after, partition)
    await bench.assign(partition)
    return bench


@pytest.mark.parametrize("name", EVENT_TYPES)
async def test_each_type_is_routed_to_the_topics_of_the_registry(name: str) -> None:
    """With its key, bytes and headers, to the same partition; alerts by site."""
    router = await a_router(partition=3)
    record = raw_record(5, event("a", type=name), partition=3, timestamp=NOON_MS + 1)

    batch = await router.run_batch(record)

    assert {topic for topic, _ in batch.outputs} == {one.name for one in EVENT_TYPES[name].routes}
    for (topic, partition), (out,) in batch.outputs.items():
        is_alert = topic == EVENTS_ALERT.name
        assert partition == (SITE_PARTITION + len("shop") if is_alert else 3)
        assert out.key == (b"shop" if is_alert else b"shop:s-1")
        assert out.value == record.value
        assert tuple(out.headers) == (
            (SOURCE, Source(3, 5, NOON_MS + 1).pack()),
            *record.headers,
            (SOURCE_TEXT, f"3/5/{NOON_MS + 1}".encode()),
        )
    assert batch.dead_letters == []


async def test_a_source_in_an_accepted_event_is_not_believed() -> None:
    """Agents read the router's, which is the first one."""
    router = await a_router()
    record = raw_record(5, event("a"), (SOURCE, Source(0, 999, NOON_MS).pack()))

    batch = await router.run_batch(record)

    (out,) = batch.outputs[EVENTS_SESSION.name, 0]
    assert find(out.headers, SOURCE) == Source(0, 5, NOON_MS).pack()


async def test_ticks_are_forwarded_to_agents_that_need_time() -> None:
    """Without key and value, with their position, also repeatedly."""
    router = await a_router()
    tick = InRecord(1, None, None, ((TYPE, TICK.encode()),))

    batch = await router.run_batch(tick, tick._replace(offset=2))

    topics = {topic.name for event_type in EVENT_TYPES.values() for topic in event_type.routes}
    assert set(batch.outputs) == {(topic, 0) for topic in topics}
    for first, second in batch.outputs.values():
        assert (first.key, first.value) == (None, None)
        assert find(second.headers, SOURCE) == Source(0, 2, NOON_MS).pack()


def routed_at(offset: int, name: str, log_ms: int = NOON_MS) -> InRecord:
    """Return the record in events-session of an event with a client's id."""
    return raw_record(offset, event(name), CLIENTS, (SOURCE, Source(0, offset, log_ms).pack()))


@pytest.mark.parametrize(
    ("passed_on", "is_asked"),
    [([], True), ([("b", 0)], True), ([("b", -86_400_000), ("c", 0)], False)],
)
async def test_ids_that_expired_in_events_session_are_restored_from_events_raw(
    passed_on: list[tuple[str, int]], is_asked: bool
) -> None:
    """Up to one day. Records not routed yet pass, once."""
    before = [routed_at(2 + n, name, NOON_MS + ms) for n, (name, ms) in enumerate(passed_on)]
    raw = [raw_record(1, event("a"), CLIENTS), raw_record(7, event("d"), CLIENTS)]
    tails: list[Any] = [FakeTail(before, expired=True), FakeTail(raw)]
    router = Bench(lambda worker: route_events.register(worker, tails[0], len, raw_tail=tails[1]))
    await router.assign()

    batch = await router.run_batch(
        *(raw_record(7 + n, event(name), CLIENTS) for n, name in enumerate("dad"))
    )

    passed = [find(out.headers, SOURCE) for out in batch.outputs["events-session", 0]]
    offsets = [7] if is_asked else [7, 8]
    assert passed == [Source(0, offset, NOON_MS).pack() for offset in offsets]


async def test_duplicates_are_dropped() -> None:
    """Of clients and of the server. The same id in another session is not a duplicate."""
    router = await a_router()
    records = [
        raw_record(1, event("a"), CLIENTS),
        raw_record(2, event("a"), CLIENTS),
        raw_record(3, event("a", session_id="s-2"), CLIENTS),
        raw_record(4, event("b")),
        raw_record(5, event("b")),
    ]

    batch = await router.run_batch(*records)

    passed = [find(out.headers, SOURCE) for out in batch.outputs["events-session", 0]]
    assert passed == [Source(0, offset, NOON_MS).pack() for offset in (1, 3, 4)]
    assert batch.dead_letters == []


async def test_forwarded_ids_are_restored() -> None:
    """From the last forwarded records; a replayed record passes with the same position."""
    before = await a_router()
    first = raw_record(4, event("a"), CLIENTS)
    tick = InRecord(5, None, None, ((TYPE, TICK.encode()),))
    outs = (await before.run_batch(first, tick)).outputs["events-session", 0]
    tail = [InRecord(n, out.key, out.value, tuple(out.headers)) for n, out in enumerate(outs)]

    after = await a_router(tail)
    batch = await after.run_batch(first, raw_record(9, event("a"), CLIENTS))

    assert [find(out.headers, SOURCE) for out in batch.outputs["events-session", 0]] == [
        Source(0, 4, NOON_MS).pack()
    ]


@pytest.mark.parametrize("packed", [b"", b"\x00", b"x" * 21])
async def test_records_of_other_producers_are_not_restored(packed: bytes) -> None:
    """The router starts after them, and they make no event a duplicate."""
    first = raw_record(4, event("a"), CLIENTS)
    strange = InRecord(0, first.key, first.value, (*first.headers, (SOURCE, packed)))

    router = await a_router([strange])
    batch = await router.run_batch(first)

    assert len(batch.outputs["events-session", 0]) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"headers": ()}, "bad_headers"),
        ({"headers": ((TYPE, b"pageview"),)}, "bad_headers"),
        ({"headers": ((TYPE, b"pageview"), (EVENT_ID, b"short"))}, "bad_headers"),
        ({"headers": ((TYPE, b"\xff" * 500), (EVENT_ID, b"i" * 16))}, "unknown_type"),
        ({"key": None}, "bad_key"),
        ({"key": b"shop"}, "bad_key"),
        ({"key": b":s-1"}, "bad_key"),
    ],
)
async def test_poison_is_dead_lettered_with_the_reason(
    changes: dict[str, Any], reason: str
) -> None:
    """With its original bytes. Its neighbours pass."""
    router = await a_router()
    poison = raw_record(2, event("bad"))._replace(**changes)

    batch = await router.run_batch(raw_record(1, event("a")), poison, raw_record(3, event("b")))

    assert reasons(batch) == [reason]
    assert batch.dead_letter_offsets == {2}
    assert batch.dead_letters[0][:2] == (poison.key, poison.value)
    assert tuple(batch.dead_letters[0].headers[: len(poison.headers)]) == poison.headers
    assert len(batch.outputs["events-session", 0]) == 2


async def test_nothing_is_decoded() -> None:
    """The router forwards bytes; the readers validate them."""
    router = await a_router()
    garbage = raw_record(1, event("a"))._replace(value=b"\x00garbage")

    batch = await router.run_batch(garbage)

    assert [out.value for out in batch.outputs["events-session", 0]] == [b"\x00garbage"]


def excluded_record(offset: int, name: str, *more: tuple[str, bytes]) -> InRecord:
    """Return an event of a bot with an id of the client."""
    return raw_record(offset, event(name, excluded="bot"), CLIENTS, (EXCLUDED, b"bot"), *more)


def ids_and_types(batch: Batch) -> list[tuple[bytes | None, bytes | None]]:
    """Return the id and type headers of the records, all sent to events-session."""
    assert set(batch.outputs) <= {("events-session", 0)}
    outs = batch.outputs["events-session", 0]
    return [(find(out.headers, EVENT_ID), find(out.headers, TYPE)) for out in outs]


def id_of(name: str) -> bytes:
    """Return the id of an event in the form of its header."""
    return bytes.fromhex(event(name).event_id.replace("-", ""))


async def test_an_event_of_a_bot_is_routed_as_a_tick_with_its_id() -> None:
    """Duplicates with other contents are dropped. In SQL, the first one counts as well."""
    router = await a_router()
    records = [
        excluded_record(1, "a"),
        raw_record(2, event("a"), CLIENTS),
        raw_record(3, event("b"), CLIENTS),
        excluded_record(4, "b"),
    ]

    batch = await router.run_batch(*records)

    assert batch.dead_letters == []
    assert ids_and_types(batch) == [(id_of("a"), TICK.encode()), (id_of("b"), b"pageview")]
    tick, _ = batch.outputs["events-session", 0]
    assert (tick.value, find(tick.headers, EXCLUDED)) == (None, None)
    assert find(tick.headers, SOURCE) == Source(0, 1, NOON_MS).pack()


async def test_an_event_of_a_bot_is_remembered_after_a_restart() -> None:
    """A duplicate that is not from a bot is dropped."""
    before = await a_router()
    [tick] = (await before.run_batch(excluded_record(1, "a"))).outputs["events-session", 0]

    after = await a_router([InRecord(0, tick.key, tick.value, tuple(tick.headers))])
    batch = await after.run_batch(raw_record(9, event("a"), CLIENTS))

    assert batch.outputs == {}


@pytest.mark.parametrize("stage", STREAM_STAGES)
async def test_a_replayed_dead_letter_of_a_bot_is_not_counted(stage: str) -> None:
    """An earlier version may have routed the event, and its stage may have rejected it."""
    router = await a_router()
    replay = ((REPLAY_FOR, stage.encode()), (REPLAY_OF, b"events-raw/0/1"))

    batch = await router.run_batch(excluded_record(9, "a", *replay))

    assert batch.dead_letters == []
    ticks = [(id_of("a"), TICK.encode())]
    assert ids_and_types(batch) == (ticks if stage == "route_events" else [])


def a_replay(offset: int, stage: str, origin: str = "events-raw/0/1", **given: Any) -> InRecord:
    """Return the record that `headrace dlq replay` sends for a dead letter of a stage."""
    headers = ((REPLAY_FOR, stage.encode()), (REPLAY_OF, origin.encode()))
    return raw_record(offset, event("a"), *headers)._replace(**given)


@pytest.mark.parametrize("stage", [name for name in STREAM_STAGES if name != "route_events"])
async def test_a_replay_is_sent_to_its_stage_only_despite_its_id(stage: str) -> None:
    """With a position of its own, higher than those in the states of the stage."""
    router = await a_router()
    replay = a_replay(9, stage, key=b"shop")

    batch = await router.run_batch(raw_record(1, event("a")), replay)

    sent = batch.outputs[STREAM_STAGES[stage].name, 0][-1]
    assert (sent.key, sent.value) == (b"shop", replay.value)
    assert tuple(sent.headers) == (*replay.headers, *Source(0, 9, NOON_MS).headers())
    assert sum(len(outs) for outs in batch.outputs.values()) == 2


async def test_a_replay_for_the_router_is_routed_like_an_event() -> None:
    """Unless the client has sent it again."""
    router = await a_router()
    batch = await router.run_batch(a_replay(9, "route_events"))

    (out,) = batch.outputs["events-session", 0]
    assert find(out.headers, REPLAY_FOR) is None
    assert find(out.headers, SOURCE) == Source(0, 9, NOON_MS).pack()
    assert not (await router.run_batch(a_replay(10, "route_events", "events-raw/0/2"))).outputs


async def test_a_dead_letter_that_is_replayed_twice_is_forwarded_once() -> None:
    """Also by another worker. After a crash a replay has the same position as before."""
    before = await a_router()
    first = await before.run_batch(a_replay(9, "sessionize"), a_replay(10, "sessionize"))
    after = await a_router(after=before)
    again = await after.run_batch(a_replay(9, "sessionize"), a_replay(11, "sessionize"))

    assert len(first.outputs["events-session", 0]) == 1
    assert again.outputs == first.outputs


@pytest.mark.parametrize("stage", SINK_STAGES)
async def test_a_replay_for_a_sink_is_remembered_and_not_forwarded(stage: str) -> None:
    """Sinks read events-raw, and recognize existing rows."""
    router = await a_router()
    batch = await router.run_batch(a_replay(9, stage))

    assert (batch.outputs, batch.dead_letters) == ({}, [])
    assert [key for key, _ in router.written(REPLAYS)] == [f"{stage}:events-raw/0/1".encode()]


async def test_a_replay_for_an_unknown_stage_is_dead_lettered() -> None:
    """A newer version may have the stage."""
    router = await a_router()
    batch = await router.run_batch(a_replay(9, "nobody"), a_replay(10, "sessionize", ""))

    assert reasons(batch) == ["bad_headers", "bad_headers"]


async def test_an_event_of_the_previous_cluster_is_dropped() -> None:
    """Its id was seeded by a tick. Offsets start again, but all positions are higher."""
    known, fresh = event("a"), event("b")
    key = (known.event_id, "shop", "s-1")
    [(_, seed)] = seed_records([Seed(key, 0, 9_000, NOON_MS)], lambda _: 0)
    bench = await a_router([InRecord(0, seed.key, seed.value, tuple(seed.headers))], epoch=1)

    batch = await bench.run_batch(raw_record(0, known, CLIENTS), raw_record(1, fresh, CLIENTS))

    [passed] = batch.outputs[EVENTS_SESSION.name, 0]
    assert Source.unpack(find(passed.headers, SOURCE) or b"") == (0, position(1, 1), NOON_MS)


async def test_records_before_the_start_of_an_epoch_are_skipped() -> None:
    """They were routed before the topics got more partitions, with the positions of that epoch."""
    tail: Any = FakeTail()
    epoch = Epoch(2, {0: 7})
    bench = Bench(lambda worker: route_events.register(worker, tail, len, epoch))
    await bench.assign(0)

    batch = await bench.run_batch(*(raw_record(at, event(f"e{at}")) for at in (5, 6, 7, 8)))

    passed = batch.outputs[EVENTS_SESSION.name, 0]
    positions = [Source.unpack(find(one.headers, SOURCE) or b"").offset for one in passed]
    assert positions == [position(2, 7), position(2, 8)]
