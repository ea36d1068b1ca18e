"""`headrace up` remembers --kafka and --database, for every command with its data directory."""

from pathlib import Path

import pytest

from headrace.errors import UserError
from headrace.local import saved_options
from headrace.local.data_dir import database_settings, local_settings, save_partitions
from headrace.local.options import UpOptions, UpSettings, up_settings
from headrace.local.saved_options import SavedOptions

_KAFKA, _DATABASE = "kafka.example:9092", "postgresql://u:secret@db.example/headrace"
_NOTHING = UpOptions(None, None, None, None, None)


@pytest.fixture(autouse=True)
def _without_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # without the .env file of a developer
    for name in ("KAFKA__BOOTSTRAP_SERVERS", "KAFKA__PARTITIONS", "DATABASE__URL"):
        monkeypatch.delenv(f"HEADRACE_{name}", raising=False)


def _start(data_dir: Path, options: UpOptions = _NOTHING) -> UpSettings:
    """Return the settings of a start that succeeds."""
    found = up_settings(data_dir, options)
    saved_options.save(data_dir, found.saved)
    return found


def test_commands_find_the_kafka_and_the_database_of_up(tmp_path: Path) -> None:
    """All commands with `--data-dir` take their settings from there."""
    _start(tmp_path, UpOptions(None, None, _KAFKA, _DATABASE, 6))
    settings = local_settings(tmp_path)
    assert settings.kafka.bootstrap_servers == _KAFKA
    assert settings.kafka.partitions == 6
    assert settings.database.url == database_settings(tmp_path).url == _DATABASE


def test_only_the_owner_can_read_the_options(tmp_path: Path) -> None:
    """A database URL may contain a password."""
    _start(tmp_path, UpOptions(None, None, _KAFKA, _DATABASE, None))
    assert (tmp_path / "options.json").stat().st_mode & 0o777 == 0o600


def test_the_next_start_uses_the_options_and_says_so(tmp_path: Path) -> None:
    """A local broker would not have the data that the database belongs to."""
    _start(tmp_path, UpOptions(None, None, _KAFKA, _DATABASE, 6))
    found = _start(tmp_path)
    assert found.settings.kafka.bootstrap_servers == _KAFKA
    assert found.settings.kafka.partitions == 6
    assert found.settings.database.url == _DATABASE
    assert not found.starts_broker
    assert found.remembered == SavedOptions(_KAFKA, _DATABASE)


def test_an_option_replaces_the_remembered_one(tmp_path: Path) -> None:
    """The other one is still remembered."""
    _start(tmp_path, UpOptions(None, None, _KAFKA, _DATABASE, None))
    found = _start(tmp_path, UpOptions(None, None, "other.example:9092", None, None))
    assert found.settings.kafka.bootstrap_servers == "other.example:9092"
    assert found.remembered == SavedOptions(database=_DATABASE)
    assert local_settings(tmp_path).kafka.bootstrap_servers == "other.example:9092"


def test_the_environment_takes_precedence_and_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of partitions of one cluster does not apply to another one."""
    _start(tmp_path, UpOptions(None, None, _KAFKA, _DATABASE, 6))
    with monkeypatch.context() as context:
        context.setenv("HEADRACE_KAFKA__BOOTSTRAP_SERVERS", "env.example:9092")
        context.setenv("HEADRACE_KAFKA__PARTITIONS", "3")
        context.setenv("HEADRACE_DATABASE__URL", "postgresql://u@env.example/headrace")
        found = _start(tmp_path)
        assert found.settings.kafka.bootstrap_servers == "env.example:9092"
        assert found.settings.database.url == "postgresql://u@env.example/headrace"
        assert found.remembered == SavedOptions()
        assert local_settings(tmp_path).kafka.partitions == 3
    assert local_settings(tmp_path).kafka.bootstrap_servers == _KAFKA
    assert local_settings(tmp_path).kafka.partitions == 6


def test_a_relative_sqlite_file_is_found_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option is relative to the working directory of `headrace up`."""
    _start(tmp_path / "data", UpOptions(None, None, None, "sqlite:///results.db", None))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert database_settings(tmp_path / "data").url == f"sqlite:///{tmp_path}/results.db"


def test_without_options_the_broker_and_the_database_are_local(tmp_path: Path) -> None:
    """As before."""
    found = _start(tmp_path)
    assert found.starts_broker
    assert found.settings.database.url == f"sqlite:///{tmp_path}/headrace.db"
    assert found.remembered == SavedOptions()


def test_an_unreadable_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    """It is not replaced by the local broker and database silently."""
    (tmp_path / "options.json").write_text('{"kafka": 7}')
    with pytest.raises(UserError, match=r"options\.json cannot be read .*delete it"):
        local_settings(tmp_path)


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_in_place_of_the_data_directory_is_named(tmp_path: Path, name: str) -> None:
    """There are no saved options that could be deleted."""
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"data directory .*{name} cannot be used: .* is a file"):
        local_settings(tmp_path / name)


def test_the_partitions_of_restored_topics_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the next start would reject them; not those of another cluster."""
    save_partitions(tmp_path, 6)
    assert _start(tmp_path).settings.kafka.partitions == 6

    save_partitions(tmp_path / "none", 7)
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP_SERVERS", _KAFKA)
    save_partitions(tmp_path, 8)
    assert saved_options.load(tmp_path) == SavedOptions(partitions=6)
    assert not (tmp_path / "none").exists()
