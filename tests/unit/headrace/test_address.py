"""The address of the broker that a data directory uses."""

import os
from pathlib import Path

import pytest

from headrace.errors import UserError
from headrace.local.broker.address import find_address
from headrace.local.data_dir import DataDir
from headrace.local.process import write_pid

_NO_PROCESS = 2**22 + 1


@pytest.mark.parametrize("role", ["kafka", "web"])
def test_a_broker_is_found_while_it_or_headrace_runs(tmp_path: Path, role: str) -> None:
    """`headrace up --kafka` also writes the address of its broker."""
    DataDir(tmp_path).write_kafka_address("kafka.example:9092")
    with pytest.raises(UserError, match="No broker is running"):
        find_address(tmp_path)
    write_pid(tmp_path / "run" / f"{role}.pid", _NO_PROCESS)
    with pytest.raises(UserError, match="No broker is running"):
        find_address(tmp_path)

    write_pid(tmp_path / "run" / f"{role}.pid", os.getpid())
    assert find_address(tmp_path) == "kafka.example:9092"
