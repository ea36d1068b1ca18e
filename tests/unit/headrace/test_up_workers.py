"""How many workers `headrace up` runs, and with which commands."""

from itertools import pairwise
from pathlib import Path

import pytest

from headrace.errors import UsageError
from headrace.local.data_dir import DataDir
from headrace.up.roles import (
    ROLES,
    STOP_ORDER,
    RequestedCounts,
    WorkerCounts,
    command,
    worker_counts,
)
from schemas.kafka_settings import KafkaSettings
from schemas.settings import DatabaseSettings, Settings

_POSTGRES = DatabaseSettings(url="postgresql://u:p@db/headrace")


def _settings(partitions: int = 4, **groups: object) -> Settings:
    kafka = KafkaSettings(partitions=partitions)
    return Settings().model_copy(update={"kafka": kafka, **groups})


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (1, WorkerCounts(1, 1, 1)),
        (2, WorkerCounts(1, 1, 1)),
        (4, WorkerCounts(1, 2, 2)),
        (8, WorkerCounts(2, 4, 4)),
        (64, WorkerCounts(16, 4, 4)),
    ],
)
def test_by_default_there_are_as_many_workers_as_cores_and_partitions_can_use(
    cores: int, expected: WorkerCounts
) -> None:
    """On one or two cores there is one of each."""
    settings = _settings(database=_POSTGRES)
    assert worker_counts(settings, RequestedCounts(), cores) == expected


def test_sqlite_has_one_of_the_sinks_unless_more_are_requested() -> None:
    """It has one writer at a time."""
    assert worker_counts(_settings(), RequestedCounts(), 8).sinks == 1
    assert worker_counts(_settings(), RequestedCounts(sinks=2), 8).sinks == 2


def test_options_override_the_number_of_cores() -> None:
    """Each option counts on its own."""
    requested = RequestedCounts(web=3, streams=2, sinks=4)
    assert worker_counts(_settings(), requested, 1) == WorkerCounts(3, 2, 4)


@pytest.mark.parametrize("option", ["streams", "sinks"])
def test_more_workers_than_partitions_are_an_error(option: str) -> None:
    """The rest of them would be idle, and never ready."""
    with pytest.raises(UsageError, match=f"--{option} 5: .* 4 partitions, so use at most 4"):
        worker_counts(_settings(), RequestedCounts(**{option: 5}), 8)


def test_only_the_first_of_the_sinks_upgrades_the_database(tmp_path: Path) -> None:
    """Two migrations at the same time would fail."""
    counts, settings = WorkerCounts(sinks=2), _settings()
    first, second = (
        command(name, counts, settings, DataDir(tmp_path)) for name in counts.names("sinks")
    )
    assert {"--upgrade-database", "--owner-token"} <= set(first)
    assert second == ["sinks", "--status-file", str(tmp_path / "run" / "sinks-2.json")]


def test_each_web_process_watches_all_workers_and_names_its_peers(tmp_path: Path) -> None:
    """Any of them answers `/readyz` and `/metrics` for all."""
    counts = WorkerCounts(web=2, streams=2)
    arguments = command("web-2", counts, _settings(), DataDir(tmp_path))

    def values(option: str) -> list[str]:
        return [after for before, after in pairwise(arguments) if before == option]

    assert values("--name") == ["web-2"]
    assert values("--worker") == ["streams", "streams-2", "live", "sinks"]
    assert values("--peer") == ["web", "web-2"]


def test_every_role_is_stopped() -> None:
    """A role that is in no step would be left running."""
    assert {role for step in STOP_ORDER for role in step} == {*ROLES, "kafka"}


def test_workers_are_found_by_their_pid_files_in_order(tmp_path: Path) -> None:
    """`headrace status` shows them."""
    folder = DataDir(tmp_path)
    for name in ("streams", "streams-2", "streams-10"):
        folder.pid(name).parent.mkdir(exist_ok=True)
        folder.pid(name).write_text("1\n")
    assert folder.workers("streams") == ["streams", "streams-2", "streams-10"]
    assert folder.workers("sinks") == ["sinks"]


def test_the_files_of_workers_of_an_earlier_start_are_removed(tmp_path: Path) -> None:
    """There may be fewer workers now."""
    run = tmp_path / "run"
    run.mkdir()
    files = ("web.pid", "web.json", "web-2.pid", "web-2.json", "web-2.prom", "sinks-3.json")
    for name in (*files, "web.address", "kafka.pid", "up.lock"):
        (run / name).touch()
    DataDir(tmp_path).remove_run_files(ROLES)
    assert {file.name for file in run.iterdir()} == {"web.address", "kafka.pid", "up.lock"}
