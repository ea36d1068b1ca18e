import os
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from schemas.settings import GROUPS, Settings, SettingsError, load_settings

FIELDS = [
    pytest.param(name, field, id=f"{group}__{name}".upper())
    for group, model in GROUPS.items()
    for name, field in model.model_fields.items()
]
#: Numbers without a unit: things counted, and ports.
COUNTS = {
    "partitions",
    "replication_factor",
    "min_insync_replicas",
    "max_refused_in_a_row",
    "max_states",
    "port",
    "max_connections",
}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away what the machine sets, and any `.env`."""
    for name in [name for name in os.environ if name.upper().startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_a_setting_says_what_it_is_and_in_what_unit(name: str, field: FieldInfo) -> None:
    """The reference is made of the descriptions; a number without a unit is a guess."""
    assert field.description
    if field.annotation in {int, float}:
        assert name in COUNTS or name.endswith(("_seconds", "_ms", "_bytes"))


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_can_be_set(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables reach the fields that its model has."""
    models = {type(getattr(Settings(), name)): name for name in Settings.model_fields}
    model: type[BaseModel] = GROUPS[group]
    for name, field in model.model_fields.items():
        value = field.default
        text = "a,b" if isinstance(value, tuple) else str(value)
        monkeypatch.setenv(f"HEADRACE_{group}__{name.upper()}", text)

    found = getattr(load_settings(), models[model])
    for name, field in model.model_fields.items():
        is_list = isinstance(field.default, tuple)
        assert getattr(found, name) == (("a", "b") if is_list else field.default)


def test_settings_come_from_the_environment_before_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`.env` is for what a machine always wants."""
    Path(".env").write_text("HEADRACE_API__PORT=1\nHEADRACE_API__HOST=::\nOTHER=2\n")
    monkeypatch.setenv("HEADRACE_API__PORT", "3")
    monkeypatch.setenv("HEADRACE_TEST_KAFKA", "the test suite's own, not ours to judge")

    settings = load_settings()

    assert (settings.api.port, settings.api.host) == (3, "::")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("HEADRACE_API__PORT", "http", "integer"),
        ("HEADRACE_API__PORT", "65536", "65535"),
        ("HEADRACE_KAFKA__PARTITIONS", "0", "1"),
        ("HEADRACE_SESSION__GAP_SECONDS", "-1", "1"),
        ("HEADRACE_STREAMS__TICK_SECONDS", "0", "0"),
        ("HEADRACE_IMPORT__SITES", "good,not:good", "'not:good' is no site_id"),
        ("HEADRACE_DATABASE__URL", "mysql://root@db", "must begin with sqlite"),
    ],
)
def test_a_wrong_value_is_named(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the variable, and what would be right."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=f"^{name} cannot be .*{says}"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("HEADRACE_SESSION__GAP", "HEADRACE_SESSION__GAP_SECONDS"),
        ("HEADRACE_SESSIONS__GAP_SECONDS", "HEADRACE_SESSION__"),
        ("HEADRACE_DATABASE", "HEADRACE_DATABASE__URL"),
        ("HEADRACE_PORT", "HEADRACE_API__"),
    ],
)
def test_a_name_that_is_no_setting_is_named(
    name: str, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt one would else be silently without effect; the sentence lists the known."""
    monkeypatch.setenv(name, "60")

    with pytest.raises(SettingsError, match=f"^{name} is not a setting; there are .*{known}"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEADRACE_DATABASE__URL", "postgres://headrace:hunter2@db/headrace"),
        ("HEADRACE_DATABASE", '{"url": "mysql://headrace:hunter2@db/headrace"}'),
        ("HEADRACE_DATABASE__PASSWORD", "hunter2"),
    ],
)
def test_the_database_password_is_in_no_error(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors go to logs and terminals."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as caught:
        load_settings()

    assert "hunter2" not in str(caught.value)
