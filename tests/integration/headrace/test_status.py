"""`headrace status` of a cluster without a data directory; see tests/e2e for a whole stack."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.admin.topics import create_topics
from headrace.cli.main import app
from schemas.kafka_settings import KafkaSettings
from schemas.stages import STAGES

_PARTITIONS = 4


@pytest.fixture
def cluster(kafka: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Start a broker with the topics and without roles, and configure the command for it."""
    asyncio.run(create_topics(KafkaSettings(bootstrap_servers=kafka, partitions=_PARTITIONS)))
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP_SERVERS", kafka)
    return kafka


@pytest.mark.usefixtures("cluster")
def test_missing_workers_are_problems_with_what_to_start(
    migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment configures the cluster and the database."""
    monkeypatch.setenv("HEADRACE_DATABASE__URL", migrated_postgres_url)

    result = CliRunner().invoke(app, ["status", "--json"])
    found = json.loads(result.stdout)

    assert result.exit_code == 1
    assert [(role["name"], role["workers"], role["process"]) for role in found["roles"]] == [
        (name, 0, None) for name in ("streams", "live", "sinks")
    ]
    assert {flow["topic"] for flow in found["flows"]} == {topic.name for topic in STAGES.values()}
    assert {count["table"]: count["rows"] for count in found["tables"]} == dict.fromkeys(
        ("events", "sessions", "page_durations", "alerts"), 0
    )
    started = [one["do"].partition(",")[0] for one in found["problems"] if "worker" in one["what"]]
    assert started == [f"start `headrace {name}`" for name in ("streams", "live", "sinks")]


def test_a_missing_kafka_and_database_are_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """Both are reported at once."""
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP_SERVERS", f"127.0.0.1:{unused_tcp_port}")

    result = CliRunner().invoke(app, ["status", "--data-dir", str(tmp_path)])

    assert result.exit_code == 1
    assert "No Kafka broker responds at" in result.stdout
    assert "headrace.db does not exist" in " ".join(result.stdout.split())
