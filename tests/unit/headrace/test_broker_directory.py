"""The broker's files in a data directory."""

import os
import sys
from pathlib import Path

import pytest

from headrace.errors import UserError
from headrace.local.broker.address import find_address
from headrace.local.broker.directory import BrokerDirectory


def _settings(data_dir: Path) -> dict[str, str]:
    lines = (data_dir / "kafka" / "server.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_settings_keep_the_broker_local_and_small(tmp_path: Path) -> None:
    """As measured for design.md."""
    folder = BrokerDirectory(tmp_path)
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


def test_a_directory_has_one_broker(tmp_path: Path) -> None:
    """The error names the process that holds the lock."""
    first, second = BrokerDirectory(tmp_path), BrokerDirectory(tmp_path)
    first.lock()
    with pytest.raises(UserError, match=f"Process {os.getpid()} already runs the broker of"):
        second.lock()
    first.release()

    second.lock()
    second.release()


def test_a_directory_that_cannot_be_created_is_a_user_error(tmp_path: Path) -> None:
    """For example below a file."""
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="The broker cannot use"):
        BrokerDirectory(tmp_path / "file").lock()


def test_the_last_lines_exclude_stack_frames(tmp_path: Path) -> None:
    """The other lines hold the error."""
    folder = BrokerDirectory(tmp_path)
    folder.log.parent.mkdir(parents=True)
    folder.log.write_text("early\n" * 5000 + "the reason\n" + "\tat kafka.Kafka\n" * 50)

    assert folder.last_lines()[-2:] == ["early", "the reason"]
    assert len(folder.last_lines()) == 12


def test_an_address_is_found_while_the_broker_runs(tmp_path: Path) -> None:
    """Files of a broker that was killed are ignored."""
    folder = BrokerDirectory(tmp_path)
    folder.lock()
    folder.write_pid(os.getpid())
    folder.write_address("127.0.0.1:29092")

    assert find_address(tmp_path) == "127.0.0.1:29092"
    folder.write_pid(2**22 + 1)  # more than Linux gives
    with pytest.raises(UserError, match="headrace up"):
        find_address(tmp_path)
    folder.release()
    with pytest.raises(UserError, match="No broker is running"):
        find_address(tmp_path)


# Writes the files of Kafka's format tool.
_TOOL = """
import sys
from pathlib import Path
(storage := Path("data.new")).mkdir()
ids = f"cluster.id={sys.argv[-1]}\\ndirectory.id=the-first-one"
(storage / "meta.properties").write_text(f"#\\n#today\\nnode.id=1\\n{ids}\\nversion=1\\n")
(storage / "checkpoint").write_bytes(b"the versions of its features")
"""


def _formatted(data_dir: Path, java: str, template: Path | None) -> dict[str, str]:
    """Format a storage; return its `meta.properties`."""
    folder = BrokerDirectory(data_dir)
    folder.lock()
    folder.write_settings(29092, 29093)
    folder.format([sys.executable, "-c", java], os.environ, template=template)
    folder.release()
    data = data_dir / "kafka" / "data"
    assert (data / "checkpoint").read_bytes() == b"the versions of its features"
    lines = (data / "meta.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_a_storage_is_formatted_once_and_then_copied(tmp_path: Path) -> None:
    """Copies have new ids, and need no Java."""
    first = _formatted(tmp_path / "a", _TOOL, tmp_path / "template")
    second = _formatted(tmp_path / "b", "raise SystemExit(1)", tmp_path / "template")

    assert (second["node.id"], second["version"]) == (first["node.id"], first["version"])
    assert second["cluster.id"] != first["cluster.id"]
    assert second["directory.id"] != first["directory.id"]
    assert len(second["cluster.id"]) == len(second["directory.id"]) == 22


def test_a_failed_format_reports_the_error_and_leaves_no_files(tmp_path: Path) -> None:
    """With the output of the tool."""
    with pytest.raises(UserError, match=r"could not format its storage(.|\n)*no room"):
        _formatted(tmp_path / "a", "raise SystemExit('no room')", tmp_path / "template")

    assert not (tmp_path / "template").exists()
    assert not (tmp_path / "a" / "kafka" / "data").exists()
