"""Where the broker of a data directory is found."""

import os
from pathlib import Path

import pytest

from infra.broker.address import find_address
from infra.data_dir import DataDir
from infra.errors import UserError
from infra.process import write_pid

_NO_PROCESS = 2**22 + 1


@pytest.mark.parametrize("role", ["kafka", "web"])
def test_a_broker_is_found_while_it_runs_here_or_a_headrace_that_uses_it(
    tmp_path: Path, role: str
) -> None:
    """`headrace up --kafka` writes the address of another's broker, too."""
    DataDir(tmp_path).write_kafka_address("kafka.example:9092")
    with pytest.raises(UserError, match="No broker is ready"):
        find_address(tmp_path)
    write_pid(tmp_path / "run" / f"{role}.pid", _NO_PROCESS)
    with pytest.raises(UserError, match="No broker is ready"):
        find_address(tmp_path)

    write_pid(tmp_path / "run" / f"{role}.pid", os.getpid())
    assert find_address(tmp_path) == "kafka.example:9092"
