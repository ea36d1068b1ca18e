"""`headrace dlq` with a real broker, whose dead letter topics all tests share."""

import asyncio
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from prometheus_client import CollectorRegistry, generate_latest
from typer.testing import CliRunner, Result

from headrace.admin.topics import create_topics
from headrace.cli.main import app
from headrace.errors import UsageError, UserError
from headrace.ops.dead_letters.discard import author
from headrace.ops.status.dead_letters import counts as status_counts
from headrace.ops.status.model import DeadLetterCount
from headrace.roles.metrics import RoleMetrics
from headrace.roles.status import RoleStatus, StatusFile
from schemas import codec
from schemas.kafka_settings import KafkaSettings
from schemas.records import RawEvent
from streams.agents import count_discarded
from streams.engine.worker import Job, Worker
from tests.fixtures.waiting import eventually_async

_PARTITIONS = 4
_TOPIC = "events-alert-dlq"


@pytest.fixture
def bootstrap(kafka: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the address of a broker with the topics, and configure the command for it."""
    asyncio.run(create_topics(KafkaSettings(bootstrap_servers=kafka, partitions=_PARTITIONS)))
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP_SERVERS", kafka)
    return kafka


def _headrace(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["dlq", *arguments])


def _write_dead_letters(bootstrap: str, stage: str, letters: list[tuple[int, bytes]]) -> list[str]:
    """Write dead letters as an agent does, by source offset; return their ids."""

    async def send() -> list[str]:
        ids = []
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
            for at, (offset, value) in enumerate(letters):
                headers = {
                    "dlq-reason": "undecodable",
                    "dlq-detail": "[bold]bytes\x1b[2J",
                    "dlq-stage": stage,
                    "dlq-topic": "events-alert",
                    "dlq-partition": "2",
                    "dlq-offset": str(offset),
                    # Later than any that another test leaves.
                    "dlq-at": str(4_000_000_000_000 + at),
                }
                sent = await producer.send_and_wait(
                    _TOPIC,
                    value,
                    key=b"my-site",
                    partition=2,
                    headers=[(name, text.encode()) for name, text in headers.items()],
                )
                ids.append(f"{_TOPIC}/2/{sent.offset}")
        return ids

    return asyncio.run(send())


def _event(title: str) -> bytes:
    return codec.encode(
        RawEvent(
            event_id=str(uuid4()),
            type="error",
            site_id="my-site",
            session_id="s1",
            received_at=1,
            event_ts=2,
            time_source="server",
            title=title,
        )
    )


def _random_offset() -> int:
    return uuid4().int % 2**62


def test_the_newest_are_listed_first_and_duplicates_once(bootstrap: str) -> None:
    """A crash may repeat a dead letter; those of two stages are not duplicates."""
    stage = f"stage-{uuid4()}"
    (one, two) = (_random_offset(), _random_offset())
    ids = _write_dead_letters(bootstrap, stage, [(one, b"x"), (two, b"y"), (one, b"x")])
    (other_id,) = _write_dead_letters(bootstrap, f"other-{stage}", [(one, b"x")])

    listed = _headrace("list", "--topic", "events-alert")

    assert listed.exit_code == 0
    rows = [line for line in listed.stdout.splitlines() if stage in line]
    assert {row.split("│")[1].strip() for row in rows} == {*ids[:2], other_id}
    assert [row.split("│")[1].strip() for row in rows if "other-" not in row] == [ids[1], ids[0]]
    assert all("[bold]bytes\\x1b[2J" in row for row in rows)
    assert "undecodable" in listed.stdout.partition("dead letters")[2]


def test_the_limit_is_kept_and_all_are_counted(bootstrap: str) -> None:
    """The counts include dead letters that are not listed."""
    stage = f"stage-{uuid4()}"
    ids = _write_dead_letters(bootstrap, stage, [(_random_offset(), b"x") for _ in range(3)])

    listed = _headrace("list", "--topic", _TOPIC, "--limit", "1")

    assert ids[2] in listed.stdout
    assert ids[1] not in listed.stdout
    (total,) = [line for line in listed.stdout.splitlines() if "│ all" in line]
    assert int(total.split("│")[2].replace(",", "")) >= 3


def test_a_dead_letter_is_shown_with_its_value(bootstrap: str) -> None:
    """Decoded if possible."""
    title = f"title-{uuid4()}"
    (letter_id, broken_id) = _write_dead_letters(
        bootstrap, "raise_alerts", [(_random_offset(), _event(title)), (_random_offset(), b"\x07!")]
    )

    shown = _headrace("show", letter_id)
    broken = _headrace("show", broken_id)

    assert (shown.exit_code, broken.exit_code) == (0, 0)
    assert f'"title": "{title}"' in shown.stdout
    assert "events-alert/2/" in shown.stdout
    assert "What to do" in shown.stdout
    assert "not a RawEvent (2 bytes)" in broken.stdout
    assert "0000  07 21" in broken.stdout


def _raw_since(bootstrap: str, begin: int) -> list[Any]:
    """Return the records of the replays' partition of events-raw, from an offset on."""

    async def read() -> list[Any]:
        place = TopicPartition("events-raw", 2)
        async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            consumer.seek(place, begin)
            found: list[Any] = []
            while await consumer.position(place) < end:
                found += (await consumer.getmany(timeout_ms=200)).get(place, [])
            return found

    return asyncio.run(read())


def test_selected_dead_letters_are_replayed_but_not_by_a_dry_run(bootstrap: str) -> None:
    """Selected by id, or by topic, stage and reason; sent unchanged to their partition."""
    offset = _random_offset()
    (letter_id, _) = _write_dead_letters(
        bootstrap, "raise_alerts", [(offset, b"x"), (_random_offset(), b"y")]
    )
    before = len(_raw_since(bootstrap, 0))

    chosen = ("--topic", "events-alert", "--stage", "raise_alerts", "--reason", "undecodable")
    dry = _headrace("replay", *chosen, "--limit", "1", "--dry-run")
    assert dry.exit_code == 0
    assert "to be replayed" in dry.stdout
    assert len(_raw_since(bootstrap, 0)) == before

    done = _headrace("replay", letter_id)
    assert (done.exit_code, "│ replayed" in done.stdout) == (0, True)
    (record,) = _raw_since(bootstrap, before)
    assert (record.key, record.value) == (b"my-site", b"x")
    assert dict(record.headers) == {
        "replay-for": b"raise_alerts",
        "replay-of": f"events-alert/2/{offset}".encode(),
    }


def test_dead_letters_of_other_writers_are_not_replayed(bootstrap: str) -> None:
    """The table says so."""
    (letter_id,) = _write_dead_letters(bootstrap, f"stage-{uuid4()}", [(_random_offset(), b"x")])
    before = len(_raw_since(bootstrap, 0))

    result = _headrace("replay", letter_id)

    assert "not written by headrace: cannot be replayed" in result.stdout
    assert len(_raw_since(bootstrap, 0)) == before


def test_a_discarded_dead_letter_is_hidden_and_has_its_author(bootstrap: str) -> None:
    """It is discarded once; `--all` lists it."""
    stage = f"stage-{uuid4()}"
    (letter_id, other_id) = _write_dead_letters(
        bootstrap, stage, [(_random_offset(), b"x"), (_random_offset(), b"y")]
    )

    first = _headrace("discard", letter_id, letter_id, "--reason", " a test ")
    again = _headrace("discard", letter_id, "--reason", "another reason", "--yes")
    listed, every = _headrace("list"), _headrace("list", "--all")
    shown = _headrace("show", letter_id)

    assert (first.exit_code, again.exit_code) == (0, 0)
    assert first.stdout.endswith("1 dead letter discarded.\n")
    assert "1 dead letter was discarded before." in again.stdout
    assert again.stdout.endswith("0 dead letters discarded.\n")
    assert (letter_id in listed.stdout, other_id in listed.stdout) == (False, True)
    (row,) = [line for line in every.stdout.splitlines() if f" {letter_id} " in line]
    assert "discarded" in row
    assert f"by {author()}: a test" in shown.stdout


def test_a_discarded_dead_letter_is_not_replayed(bootstrap: str) -> None:
    """Neither by its id nor by a filter."""
    (letter_id,) = _write_dead_letters(bootstrap, "raise_alerts", [(_random_offset(), b"x")])
    _headrace("discard", letter_id, "--reason", "a test", "--yes")
    before = len(_raw_since(bootstrap, 0))

    result = _headrace("replay", letter_id)

    assert result.stdout.startswith("0 dead letters replayed.")
    assert "already discarded" in result.stdout
    assert len(_raw_since(bootstrap, 0)) == before


def test_a_selection_is_discarded_after_confirmation(bootstrap: str) -> None:
    """Without a yes, nothing is discarded; a limit selects the oldest."""
    _write_dead_letters(bootstrap, "store_alerts", [(_random_offset(), b"x") for _ in range(3)])
    chosen = ("discard", "--stage", "store_alerts", "--topic", _TOPIC, "--reason", "a test")

    asked = CliRunner().invoke(app, ["dlq", *chosen], input="n\n")
    nobody = CliRunner().invoke(app, ["dlq", *chosen], input="")
    limited = CliRunner().invoke(app, ["dlq", *chosen, "--limit", "1"], input="y\n")
    rest = _headrace(*chosen, "--letter-reason", "undecodable", "--yes")

    assert all("Nothing was discarded" in str(one.exception) for one in (asked, nobody))
    assert "3 dead letters of store_alerts: undecodable" in asked.stdout
    assert limited.stdout.endswith("1 dead letter discarded.\n")
    assert rest.stdout.endswith("2 dead letters discarded.\n")


def test_discarding_needs_a_selection_and_a_reason(bootstrap: str) -> None:
    """It ends with a sentence before anything is read."""
    for arguments, sentence in (
        (("--reason", "x"), "Nothing is selected"),
        (("--all", "--reason", "  "), "--reason is empty"),
        (("--all", "--reason", "x" * 501), "--reason has 501 characters: at most 500"),
    ):
        result = _headrace("discard", *arguments, "--yes")
        assert sentence in str(result.exception)
        assert isinstance(result.exception, UsageError)
    assert _headrace("discard", "--all", "--yes").exit_code == 2


def test_a_status_is_cleared_by_discarding(bootstrap: str) -> None:
    """Dead letters of the last hour are a problem until they are discarded."""

    def count() -> DeadLetterCount:
        kafka = KafkaSettings(bootstrap_servers=bootstrap, partitions=_PARTITIONS)
        (found,) = asyncio.run(status_counts(kafka, {_TOPIC: 9}))
        return found

    _write_dead_letters(
        bootstrap, "store_alerts", [(_random_offset(), b"x"), (_random_offset(), b"y")]
    )
    before = count()
    _headrace("discard", "--topic", "events-alert", "--reason", "a test", "--yes")
    after = count()

    assert before.open >= 2
    assert (after.open, after.last_hour) == (0, before.last_hour)
    assert after.kept == 9


class _Worker(Worker):
    """Keeps its background job, instead of running it with agents."""

    job: Job

    def background(self, job: Job) -> None:
        self.job = job


async def test_discards_are_counted_in_the_metrics(bootstrap: str, tmp_path: Path) -> None:
    """By the role `streams`, from the whole topic; replays do not count."""
    kafka = KafkaSettings(bootstrap_servers=bootstrap)
    worker = _Worker("test-discards", kafka)
    count_discarded.register(worker, kafka, _PARTITIONS)
    counting = asyncio.ensure_future(worker.job())

    async def discard_another() -> None:
        before = worker.discarded
        (letter_id,) = await asyncio.to_thread(
            _write_dead_letters, bootstrap, "store_alerts", [(_random_offset(), b"x")]
        )
        result = await asyncio.to_thread(
            _headrace, "discard", letter_id, "--reason", "a test", "--yes"
        )
        assert result.exit_code == 0
        await eventually_async(
            lambda: worker.discarded > before, within_seconds=30, what="one more is counted"
        )

    await discard_another()
    await discard_another()
    counting.cancel()
    status = RoleStatus(None, 0, 0, time.time(), worker.discarded)
    StatusFile(tmp_path / "streams.json").write(status)
    registry = CollectorRegistry()
    registry.register(RoleMetrics([tmp_path / "streams.json"]))
    line = f"headrace_dead_letters_discarded {float(worker.discarded)}"
    assert line in generate_latest(registry).decode()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("show", f"{_TOPIC}/2/{2**40}"), "There is no dead letter events-alert-dlq/2/"),
        (("show", f"{_TOPIC}/{_PARTITIONS}/0"), "There is no dead letter"),
        (("show", "nonsense"), "is not the id of a dead letter"),
        (("discard", "nonsense", "--reason", "x"), "is not the id of a dead letter"),
        (("discard", f"{_TOPIC}/2/{2**40}", "--reason", "x"), "There is no dead letter"),
        (("replay", "nonsense"), "is not the id of a dead letter"),
        (
            ("replay", "--topic", "no-such-topic"),
            "has no dead letter topic; existing ones: events-",
        ),
        (("list", "--topic", "no-such-topic"), "has no dead letter topic; existing ones: events-"),
    ],
)
def test_invalid_ids_and_topics_are_errors_with_a_sentence(
    bootstrap: str, arguments: tuple[str, ...], sentence: str
) -> None:
    """It says what would be valid."""
    result = _headrace(*arguments)

    assert isinstance(result.exception, UserError)
    assert sentence in str(result.exception)


def test_an_unreachable_broker_is_an_error_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """And nothing else is printed."""
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP_SERVERS", f"127.0.0.1:{unused_tcp_port}")

    result = _headrace("list")

    assert isinstance(result.exception, UserError)
    assert "No Kafka broker responds" in str(result.exception)
