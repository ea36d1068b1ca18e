"""`headrace adopt-cluster` with new topics: their number of partitions, and blocked ids."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, insert

from schemas.topics import EVENTS_RAW
from sinks.app import APP_ID
from sinks.sql.tables import BlockedIdRow, ConsumerOffsetRow, table_of
from sinks.sql.types import now_utc
from tests.fixtures.migrated import create_migrated

Headrace = Callable[..., subprocess.CompletedProcess[str]]
#: The number of partitions of the previous cluster; not the default.
BEFORE = 3


@pytest.fixture
def headrace(kafka: str, tmp_path: Path) -> Headrace:
    """Return a function that runs a command, whose topics have a prefix and do not exist yet.

    The database is that of another cluster, with three partitions and a blocked id.
    """
    url = create_migrated(f"sqlite:///{tmp_path}/headrace.db")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            insert(table_of(ConsumerOffsetRow)),
            [
                {
                    "app": APP_ID,
                    "topic": EVENTS_RAW.base_name,
                    "partition": number,
                    "next_offset": 0,
                    "cluster_id": "old",
                    "kafka_epoch": 0,
                    "updated_at": now_utc(),
                }
                for number in range(BEFORE)
            ],
        )
        blocked = {"site_id": "shop", "hash": "c0ffee", "created_at": now_utc()}
        connection.execute(insert(table_of(BlockedIdRow)).values(blocked))
    engine.dispose()
    environment = {
        **{name: value for name, value in os.environ.items() if "PARTITIONS" not in name},
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "HEADRACE_KAFKA__TOPIC_PREFIX": f"adopt-{uuid4().hex[:8]}-",
        "HEADRACE_DATABASE__URL": url,
    }

    def run(*command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "headrace", *command],
            env={**environment, **settings},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    return run


def partitions_of(headrace: Headrace) -> str:
    """Return the number of partitions of `events-raw`."""
    described = headrace("topics", "describe").stdout
    [line] = [line for line in described.splitlines() if "events-raw " in line]
    return next(cell.strip() for cell in line.split("│")[2:] if cell.strip().isdigit())


def test_new_topics_get_the_previous_partitions_and_the_blocked_ids(headrace: Headrace) -> None:
    """Whatever number is configured; an erased person stays blocked."""
    adopted = headrace("adopt-cluster")

    assert adopted.returncode == 0, adopted.stderr
    assert "HEADRACE_KAFKA__PARTITIONS=3" in adopted.stdout
    assert partitions_of(headrace) == "3"
    assert "c0ffee" in headrace("blocks", "list", "--site", "shop").stdout


def test_topics_that_exist_keep_their_partitions(headrace: Headrace) -> None:
    """The configured number is that of new topics only."""
    created = headrace("topics", "create", HEADRACE_KAFKA__PARTITIONS="3")
    assert created.returncode == 0, created.stderr

    adopted = headrace("adopt-cluster", HEADRACE_KAFKA__PARTITIONS="5")

    assert adopted.returncode == 0, adopted.stderr
    assert partitions_of(headrace) == "3"


def test_another_number_of_partitions_is_rejected(headrace: Headrace) -> None:
    """Sessions would be split; nothing is changed."""
    created = headrace("topics", "create", HEADRACE_KAFKA__PARTITIONS="5")
    assert created.returncode == 0, created.stderr

    adopted = headrace("adopt-cluster", HEADRACE_KAFKA__PARTITIONS="3")

    assert adopted.returncode == 1
    assert "have 5 partitions, those of the previous one had 3" in adopted.stderr
