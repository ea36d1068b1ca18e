"""The broker's files in a data directory."""

import os
from pathlib import Path

import pytest

from infra.broker.address import find_address
from infra.broker.folder import BrokerFolder
from infra.errors import UserError


def _settings(data_dir: Path) -> dict[str, str]:
    lines = (data_dir / "kafka" / "server.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_settings_keep_the_broker_on_this_machine_and_small(tmp_path: Path) -> None:
    """They are what design.md measured."""
    folder = BrokerFolder(tmp_path)
    folder.lock()
    folder.write_settings(29092, 29093)
    settings = _settings(tmp_path)
    folder.release()

    assert settings["listeners"] == "BROKER://127.0.0.1:29092,CONTROLLER://127.0.0.1:29093"
    assert settings["advertised.listeners"] == "BROKER://127.0.0.1:29092"
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["group.initial.rebalance.delay.ms"] == "0"
    assert settings["offsets.topic.num.partitions"] == "1"
    assert not any("$" in value for value in settings.values())


def test_one_directory_is_one_brokers(tmp_path: Path) -> None:
    """The message says which process has it, until that lets go."""
    first, second = BrokerFolder(tmp_path), BrokerFolder(tmp_path)
    first.lock()
    with pytest.raises(UserError, match=f"Process {os.getpid()} already runs the broker of"):
        second.lock()
    first.release()

    second.lock()
    second.release()


def test_a_directory_that_cannot_be_made_is_a_users_error(tmp_path: Path) -> None:
    """For example below a file."""
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot hold the broker's data"):
        BrokerFolder(tmp_path / "file").lock()


def test_the_last_lines_leave_out_javas_frames(tmp_path: Path) -> None:
    """What went wrong is in the other lines."""
    folder = BrokerFolder(tmp_path)
    folder.log.parent.mkdir(parents=True)
    folder.log.write_text("early\n" * 5000 + "the reason\n" + "\tat kafka.Kafka\n" * 50)

    assert folder.last_lines()[-2:] == ["early", "the reason"]
    assert len(folder.last_lines()) == 12


def test_an_address_is_found_while_the_broker_lives(tmp_path: Path) -> None:
    """It is gone when the broker is, also when nobody removed the files."""
    folder = BrokerFolder(tmp_path)
    folder.lock()
    folder.write_pid(os.getpid())
    folder.write_address("127.0.0.1:29092")

    assert find_address(tmp_path) == "127.0.0.1:29092"
    folder.write_pid(2**22 + 1)  # more than Linux gives
    with pytest.raises(UserError, match="headrace up"):
        find_address(tmp_path)
    folder.release()
    with pytest.raises(UserError, match="No broker is ready"):
        find_address(tmp_path)
