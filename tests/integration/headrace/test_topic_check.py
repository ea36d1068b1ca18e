"""`headrace topics create --minimal`, `check` and `cat` on a broker with small messages."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from typer.testing import CliRunner

from headrace.admin.topic_check import check_topics
from headrace.admin.topics import create_topics
from headrace.cli.main import app
from headrace.errors import UserError
from headrace.local.broker.local_kafka import LocalKafka
from kafka_clients.clients import make_producer
from schemas.codec import encode
from schemas.event_types import TICK
from schemas.headers import TYPE
from schemas.kafka_settings import KafkaSettings
from schemas.records import Replay
from schemas.topics import EVENTS_RAW, EVENTS_SESSION, REPLAYS, SALTS, TOPICS
from tests.fixtures.waiting import eventually_async

SMALL_BYTES = 20_000
REPLAY = Replay(stage="sessionize", origin="events-raw/0/1", src_offset=9, log_ms=0)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """Yield a broker with a small `message.max.bytes`, which creates no topics by itself."""
    with LocalKafka(tmp_path_factory.mktemp("kafka")) as running:
        kafka = KafkaSettings(
            bootstrap_servers=running.bootstrap, partitions=2, replication_factor=-1
        )
        asyncio.run(_alter(kafka, "1", {"message.max.bytes": str(SMALL_BYTES)}, _BROKER))
        yield kafka


@pytest.fixture
def created(broker: KafkaSettings) -> None:
    """Create the topics if they do not exist, and wait until they are described."""
    asyncio.run(create_topics(broker, minimal=True))
    asyncio.run(_until_sufficient(broker))


async def _until_sufficient(kafka: KafkaSettings) -> None:
    async def is_sufficient() -> bool:
        return not any(difference.required for difference in await check_topics(kafka))

    await eventually_async(is_sufficient, within_seconds=30, what="the topics are described")


@pytest.fixture
def run(broker: KafkaSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a function that runs `headrace topics`, and returns the exit code and the output."""
    monkeypatch.chdir(tmp_path)
    for name in ("bootstrap_servers", "partitions", "replication_factor"):
        monkeypatch.setenv(f"HEADRACE_KAFKA__{name.upper()}", str(getattr(broker, name)))

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["topics", *words])
        return done.exit_code, done.stdout

    return run


_TOPIC, _BROKER = ConfigResourceType.TOPIC, ConfigResourceType.BROKER


async def _alter(
    kafka: KafkaSettings, name: str, configs: dict[str, str], kind: Any = _TOPIC
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        for answer in await admin.alter_configs([ConfigResource(kind, name, configs)]):
            assert not any(code for code, *_ in answer.resources), answer
    finally:
        await admin.close()


async def test_more_replicas_than_brokers_are_refused_with_the_setting(
    broker: KafkaSettings,
) -> None:
    """And the default of the brokers is proposed."""
    kafka = broker.model_copy(update={"replication_factor": 3})
    with pytest.raises(UserError, match=r"HEADRACE_KAFKA__REPLICATION_FACTOR is 3: .* -1 for"):
        await create_topics(kafka)


def test_minimal_topics_are_sufficient(run: Any, broker: KafkaSettings) -> None:
    """What is left to the cluster is named with its consequence; large records are accepted."""
    (code, shown) = run("check")
    assert code == 1
    assert "✗ events-raw does not exist\n  run `headrace topics create`" in shown

    assert run("create", "--minimal")[0] == 0

    asyncio.run(_until_sufficient(broker))
    (code, shown) = run("check")
    assert code == 0
    assert "! sessions has min.compaction.lag.ms=0 instead of 86400000: a role that was" in shown
    assert "✓ All topics are as headrace needs them; " in shown

    async def send_large() -> None:
        async with make_producer(broker, max_request_size=1_000_000) as producer:
            await producer.send_and_wait(EVENTS_SESSION.name, bytes(10 * SMALL_BYTES), b"a:b")

    asyncio.run(send_large())


@pytest.mark.usefixtures("created")
def test_differences_that_results_depend_on_fail(run: Any, broker: KafkaSettings) -> None:
    """Each with the value that is needed and the command that sets it."""
    wrong = {
        EVENTS_RAW.name: EVENTS_RAW.configs() | {"message.timestamp.type": "CreateTime"},
        EVENTS_SESSION.name: EVENTS_SESSION.configs() | {"retention.ms": "1000"},
        SALTS.name: SALTS.configs() | {"retention.ms": "-1"},
    }

    async def spoil() -> None:
        for name, configs in wrong.items():
            await _alter(broker, name, configs)

        async def is_wrong() -> bool:
            found = await check_topics(broker)
            return {one.topic for one in found if one.required} == wrong.keys()

        await eventually_async(is_wrong, within_seconds=30, what="three topics are wrong")

    asyncio.run(spoil())
    (code, shown) = run("check")

    assert code == 1
    assert "has message.timestamp.type=CreateTime instead of LogAppendTime: timestamps" in shown
    assert "✗ events-session has retention.ms=1000 instead of 604800000: its records" in shown
    assert "✗ salts has retention.ms=-1 instead of 172800000: visitors could" in shown
    assert "--entity-name salts --add-config retention.ms=172800000" in shown
    more = broker.model_copy(update={"partitions": 3, "replication_factor": 2})
    sentences = {one.sentence for one in asyncio.run(check_topics(more)) if one.required}
    assert {"has 2 partitions, not 3", "has 1 replica of each partition, not 2"} <= sentences
    for name in wrong:
        topic = next(topic for topic in TOPICS if topic.name == name)
        asyncio.run(_alter(broker, name, topic.configs()))


@pytest.mark.usefixtures("created")
def test_cat_prints_decoded_records(run: Any, broker: KafkaSettings) -> None:
    """Tombstones, punctuation and records that cannot be decoded are marked."""

    async def send() -> None:
        async with make_producer(broker) as producer:
            batch = producer.create_batch()
            for key, value, headers in (
                (b"a\x1b", encode(REPLAY), [("note", b"\xff")]),
                (b"b", None, []),
                (b"c", b"\0\0\0\0\x63x", []),
            ):
                batch.append(key=key, value=value, timestamp=None, headers=headers)
            await (await producer.send_batch(batch, REPLAYS.name, partition=1))
            tick = producer.create_batch()
            tick.append(key=None, value=None, timestamp=None, headers=[(TYPE, TICK.encode())])
            await (await producer.send_batch(tick, EVENTS_RAW.name, partition=0))

    asyncio.run(send())
    (code, shown) = run("cat", "replays", "--json")

    assert code == 0
    records = [json.loads(line) for line in shown.splitlines()]
    assert [one["kind"] for one in records] == ["record", "tombstone", "record"]
    assert [one["key"] for one in records] == ["a\x1b", "b", "c"]
    assert records[0]["headers"] == [{"name": "note", "value": "ff"}]
    assert records[0]["value"]["stage"] == "sessionize"
    assert (records[2]["error"], records[2]["value_hex"]) == (
        "unknown schema id 99",
        "000000006378",
    )
    assert [(one["partition"], one["offset"]) for one in records] == [(1, n) for n in range(3)]

    (_, tick) = run("cat", "events-raw", "--json")
    assert json.loads(tick)["kind"] == "punctuation"
    assert json.loads(tick)["headers"][0] == {"name": "type", "value": "tick"}

    (_, text) = run("cat", "replays")
    assert "key    a\\x1b\n" in text
    assert "no value: tombstone" in text
    assert "not a Replay (6 bytes): unknown schema id 99" in text

    (_, some) = run("cat", "replays", "--json", "--partition", "1", "--from", "1", "--limit", "2")
    assert [json.loads(line)["offset"] for line in some.splitlines()] == [1, 2]
    (_, none) = run("cat", "replays", "--from", "end")
    assert none == ""
    (_, recent) = run("cat", "replays", "--json", "--from", "2020-01-01T00:00")
    assert len(recent.splitlines()) == 3
    (_, followed) = run("cat", "replays", "--json", "--follow", "--limit", "3")
    assert len(followed.splitlines()) == 3


@pytest.mark.usefixtures("created", "run")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("clicks",), "clicks is not a topic of headrace; its topics are events-raw, "),
        (("replays", "--from", "noon"), "--from noon is neither beginning, end, an offset, nor"),
        (("replays", "--from", "7"), "--from with an offset needs --partition"),
        (("replays", "--partition", "2"), "--partition 2: replays has 0 to 1"),
    ],
)
def test_cat_says_what_is_wrong(words: tuple[str, ...], message: str) -> None:
    """Before it reads anything."""
    done = CliRunner().invoke(app, ["topics", "cat", *words])

    assert getattr(done.exception, "exit_code", None) == 2
    assert message in str(done.exception)
