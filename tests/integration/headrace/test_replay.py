"""`headrace replay` to a real API with a real broker."""

import asyncio
import gzip
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import stamina
import uvicorn
from aiokafka import AIOKafkaConsumer, TopicPartition
from typer.testing import CliRunner, Result

from headrace.admin.topics import create_topics
from headrace.cli.main import app
from headrace.errors import UserError
from headrace.local.broker.ports import LOOPBACK, free_port
from producer_api.http.create_app import create_app
from schemas import codec
from schemas.kafka_settings import KafkaSettings
from schemas.records import RawEvent
from schemas.settings import ApiSettings, Settings
from schemas.topics import EVENTS_RAW
from tests.fixtures.waiting import eventually
from tests.integration.headrace.conftest import Start

_HEADRACE = str(Path(sys.executable).with_name("headrace"))
_NOW = datetime.now(UTC).isoformat()
_PARTITIONS = 4
_PLACES = [TopicPartition(EVENTS_RAW.name, partition) for partition in range(_PARTITIONS)]


class Api:
    """The address of the API, and the events written to Kafka since the test began."""

    def __init__(self, url: str, bootstrap: str) -> None:
        self.url = url
        self._bootstrap = bootstrap
        self._before = asyncio.run(self._ends())

    async def _ends(self) -> dict[TopicPartition, int]:
        async with AIOKafkaConsumer(bootstrap_servers=self._bootstrap) as consumer:
            ends: dict[TopicPartition, int] = await consumer.end_offsets(_PLACES)
        return ends

    def events(self, site_id: str) -> list[RawEvent]:
        """Return the site's new events, those of a session in order."""
        return asyncio.run(self._events(site_id))

    async def _events(self, site_id: str) -> list[RawEvent]:
        found = []
        async with AIOKafkaConsumer(bootstrap_servers=self._bootstrap) as consumer:
            ends = await consumer.end_offsets(_PLACES)
            consumer.assign(_PLACES)
            for place in _PLACES:
                consumer.seek(place, self._before[place])
                while await consumer.position(place) < ends[place]:
                    found.append(codec.decode((await consumer.getone(place)).value, RawEvent))
        return [event for event in found if event.site_id == site_id]


@pytest.fixture
def api(kafka: str) -> Iterator[Api]:
    """Serve the API on a free port, with the broker that all tests share."""
    broker = KafkaSettings(bootstrap_servers=kafka, partitions=_PARTITIONS)
    asyncio.run(create_topics(broker))
    port = free_port()
    with _serving(Settings(kafka=broker, api=ApiSettings(sites="open")), port):
        yield Api(f"http://{LOOPBACK}:{port}", kafka)


@contextmanager
def _serving(settings: Settings, port: int) -> Iterator[None]:
    config = uvicorn.Config(create_app(settings), host=LOOPBACK, port=port, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started, within_seconds=10, what="the API listens")
        yield
    finally:
        server.should_exit = True
        thread.join()


def _headrace(*arguments: str, standard_input: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["replay", *arguments], input=standard_input)


def _event(site_id: str, number: int) -> bytes:
    event = {"type": "pageview", "site_id": site_id, "session_id": "s1", "timestamp": _NOW}
    return json.dumps({**event, "path": f"/{number}"}).encode()


def _rows(result: Result) -> list[list[str]]:
    """Return the cells of the table, without its header and its last two rows."""
    lines = [line for line in result.stdout.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines[:-2]]


def test_valid_events_arrive_once_in_order_and_invalid_ones_are_counted(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invalid event affects no other; 2,500 events are three requests."""
    site = f"site-{uuid4()}"
    lines = [_event(site, number) for number in range(2_500)]
    unknown = b'{"type":"nope","site_id":"x","session_id":"x"}'
    lines[7:7] = [b"{oops", unknown, b"", b"{}", b"[]", b"{}"]
    monkeypatch.chdir(tmp_path)
    Path("events.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines)))

    result = _headrace("events.jsonl.gz", "--to", api.url)

    assert result.exit_code == 1
    assert [event.path for event in api.events(site)] == [f"/{number}" for number in range(2_500)]
    rows = _rows(result)
    assert [row[:3] for row in rows[:2]] == [
        ["2,500", "accepted", ""],
        ["2", "refused: missing_fields", "events.jsonl.gz, line 11"],
    ]
    assert {row[1]: row[2].rpartition(" ")[2] for row in rows[2:] if row[1]} == {
        "refused: invalid_json": "8",
        "refused: unknown_type": "9",
        "refused: not_an_object": "12",
    }


def test_csv_from_standard_input_arrives_with_its_nested_fields(api: Api) -> None:
    """With the requested site."""
    site = f"site-{uuid4()}"
    table = (
        "type,site_id,session_id,screen.width,vitals.lcp,duration,properties\n"
        'web_vitals,other,s1,1920,1.25,,"{""plan"": ""pro""}"\n'
        "pageleave,other,s1,,,1500,\n"
    )

    result = _headrace("-", "--to", f"{api.url}/", "--site-id", site, standard_input=table.encode())

    assert result.exit_code == 0
    (vitals, leave) = api.events(site)
    assert vitals.screen is not None
    assert (vitals.screen.width, vitals.vitals) == (1920, {"lcp": 1.25})
    assert json.loads(vitals.properties or "") == {"plan": "pro"}
    assert (leave.duration_ms, leave.properties) == (1500, None)


def test_an_event_without_an_id_gets_the_same_one_each_time(api: Api, tmp_path: Path) -> None:
    """Existing ids are kept."""
    site = f"site-{uuid4()}"
    own = str(uuid4())
    path = tmp_path / "events.json"
    with_own_id = {**json.loads(_event(site, 1)), "event_id": own}
    path.write_text(json.dumps([with_own_id, json.loads(_event(site, 2))], indent=2))

    assert [_headrace(str(path), "--to", api.url).exit_code for _ in range(2)] == [0, 0]

    (first, second, *again) = api.events(site)
    assert [event.event_id for event in again] == [first.event_id, second.event_id]
    assert first.event_id == own
    assert second.event_id[14] == "5"


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-file",),
        (".",),
        ("-", "-"),
        ("-", "--to", "127.0.0.1:8080"),
        ("-", "--to", "http://:0"),
        ("-", "--rate", "0"),
        ("-", "--site-id", "no site"),
        (),
    ],
)
def test_invalid_options_exit_with_2(arguments: Sequence[str]) -> None:
    """Before anything is sent."""
    assert _headrace(*arguments).exit_code == 2


def test_without_a_server_it_ends_with_a_sentence_and_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default address is that of the settings."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(_event("x", 1))
    port = free_port()
    monkeypatch.setenv("HEADRACE_API__PORT", str(port))

    with stamina.set_testing(True, attempts=2):
        result = _headrace(str(path))

    assert isinstance(result.exception, UserError)
    assert str(result.exception).startswith(f"No server responds at http://127.0.0.1:{port}")
    assert result.stdout == ""


def test_ctrl_c_ends_with_the_table_though_standard_input_is_open(api: Api, start: Start) -> None:
    """It reports what was sent, and does not wait for input."""
    site = f"site-{uuid4()}"
    command = start(
        *("replay", "-", "--to", api.url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert command.stdin is not None
    # One more than a batch holds: the last one waits for more.
    command.stdin.write(b"\n".join([*(_event(site, number) for number in range(1_001)), b""]))
    command.stdin.flush()
    eventually(lambda: len(api.events(site)) == 1_000, within_seconds=20, what="the batch arrived")
    command.send_signal(signal.SIGINT)
    eventually(lambda: command.poll() is not None, within_seconds=10, what="the command ended")
    assert command.stdout is not None
    assert command.stderr is not None
    (table, said) = (command.stdout.read().decode(), command.stderr.read().decode())
    command.stdin.close()

    assert command.returncode == 1
    assert "│  1,000 │ accepted" in table
    assert said == "Stopped. Last event sent: standard input, line 1,000.\n"


def test_a_restart_of_the_api_loses_and_repeats_nothing(
    api: Api, kafka: str, tmp_path: Path, start: Start
) -> None:
    """Unanswered batches are retried with the same ids."""
    site = f"site-{uuid4()}"
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(_event(site, number) for number in range(1_500)))
    port = free_port()
    broker = KafkaSettings(bootstrap_servers=kafka, partitions=_PARTITIONS)
    settings = Settings(kafka=broker, api=ApiSettings(sites="open"))
    command = start(
        *("replay", str(path), "--to", f"http://{LOOPBACK}:{port}", "--rate", "1000"),
        stdout=subprocess.DEVNULL,
    )
    with _serving(settings, port):
        eventually(lambda: api.events(site), within_seconds=20, what="some events arrived")
    with _serving(settings, port):
        assert command.wait(60) == 0

    events = {event.event_id: event.path for event in api.events(site)}
    assert len(events) == 1_500
    assert set(events.values()) == {f"/{number}" for number in range(1_500)}
