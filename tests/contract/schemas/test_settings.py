import os
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from schemas.settings import GROUPS, Settings, SettingsError, load_settings

FIELDS = [
    pytest.param(name, field, id=f"{group}__{name}".upper())
    for group, model in GROUPS.items()
    for name, field in model.model_fields.items()
]
#: Numbers without a unit: counts and ports.
COUNTS = {
    "partitions",
    "replication_factor",
    "min_insync_replicas",
    "max_refused_in_a_row",
    "max_states",
    "port",
    "sample_ratio",
    "max_connections",
    "max_connections_per_address",
    "max_events_per_second_per_address",
    "max_streams_per_token",
    "max_streams_per_site",
    "max_per_minute",
    "max_per_hour",
    "max_cooldown_subjects",
}


#: A value of every setting that is a list.
_LIST = "10.0.0.0,10.1.0.0"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the variables of the environment, and any `.env`."""
    for name in [name for name in os.environ if name.upper().startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_a_setting_has_a_description_and_a_unit(name: str, field: FieldInfo) -> None:
    """The reference is generated from the descriptions."""
    assert field.description
    if field.annotation in {int, float}:
        assert name in COUNTS or name.endswith(("_days", "_seconds", "_ms", "_bytes"))


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_can_be_set(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables set the fields of its model."""
    models = {type(getattr(Settings(), name)): name for name in Settings.model_fields}
    model: type[BaseModel] = GROUPS[group]
    for name, field in model.model_fields.items():
        value = field.default
        text = _LIST if isinstance(value, tuple) else str(value)
        monkeypatch.setenv(f"HEADRACE_{group}__{name.upper()}", text)

    found = getattr(load_settings(), models[model])
    for name, field in model.model_fields.items():
        is_list = isinstance(field.default, tuple)
        assert getattr(found, name) == (tuple(_LIST.split(",")) if is_list else field.default)


def test_settings_come_from_the_environment_before_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Variables have precedence over `.env`."""
    Path(".env").write_text("HEADRACE_API__PORT=1\nHEADRACE_API__HOST=::\nOTHER=2\n")
    monkeypatch.setenv("HEADRACE_API__PORT", "3")
    monkeypatch.setenv("HEADRACE_TEST_KAFKA", "ignored: a setting of the test suite")

    settings = load_settings()

    assert (settings.api.port, settings.api.host) == (3, "::")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("HEADRACE_API__PORT", "http", "integer"),
        ("HEADRACE_API__PORT", "65536", "65535"),
        ("HEADRACE_KAFKA__PARTITIONS", "0", "1"),
        ("HEADRACE_SESSION__GAP_SECONDS", "-1", "1"),
        ("HEADRACE_STREAMS__TICK_SECONDS", "0", "0"),
        ("HEADRACE_IMPORT__SITES", "good,not:good", "'not:good' is not a site_id"),
        ("HEADRACE_DATABASE__URL", "mysql://root@db", "must begin with sqlite"),
    ],
)
def test_an_invalid_value_is_reported(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the variable, and what is valid."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=f"^{name} cannot be .*{message}"):
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
def test_an_unknown_setting_is_reported(
    name: str, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the settings that exist, because a misspelt one would have no effect."""
    monkeypatch.setenv(name, "60")

    with pytest.raises(
        SettingsError, match=f"^{name} is not a setting; valid settings are .*{known}"
    ):
        load_settings()


def test_settings_show_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """In `repr`, `str` and log lines."""
    monkeypatch.setenv("HEADRACE_DATABASE__URL", "postgres://headrace:hunter2@db/headrace")

    settings = load_settings()

    assert "hunter2" not in f"{settings!r} {settings} {settings.database!s}"
    assert settings.database.redacted == "postgresql://headrace@db:5432/headrace"


def test_service_variables_of_kubernetes_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt setting is still an error."""
    monkeypatch.setenv("HEADRACE_PORT", "tcp://10.0.0.1:8080")
    monkeypatch.setenv("HEADRACE_API_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("HEADRACE_KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1")
    monkeypatch.setenv("HEADRACE_DATA_DIR", "")
    assert load_settings() == Settings()

    monkeypatch.setenv("HEADRACE_API__PROT", "8080")
    with pytest.raises(SettingsError, match="did you mean HEADRACE_API__PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEADRACE_DATABASE__URL", "mysql://headrace:hunter2@db/headrace"),
        ("HEADRACE_DATABASE", '{"url": "mysql://headrace:hunter2@db/headrace"}'),
        ("HEADRACE_DATABASE__PASSWORD", "hunter2"),
        ("HEADRACE_DATABASE__URL", "postgres://headrace:hunter2#x@db/headrace"),
        ("HEADRACE_DATABASE__URL", "postgres://headrace:x@hunter2:y@db/headrace"),
        ("HEADRACE_DATABASE__URL", "postgres://headrace:x?hunter2=y@db/headrace"),
        ("HEADRACE_KAFKA__BOOTSTRAP_SERVERS", "headrace:hunter2@kafka:9092"),
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


SASL = {
    "SECURITY_PROTOCOL": "SASL_SSL",
    "SASL_MECHANISM": "SCRAM-SHA-512",
    "SASL_USERNAME": "headrace",
    "SASL_PASSWORD": "hunter2",
}


def kafka_variables(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    """Set variables of the group KAFKA."""
    for name, value in values.items():
        monkeypatch.setenv(f"HEADRACE_KAFKA__{name}", value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SASL_MECHANISM": ""}, "SASL_MECHANISM is missing: .*SECURITY_PROTOCOL is SASL_SSL"),
        ({"SASL_MECHANISM": "GSSAPI"}, "SASL_MECHANISM cannot be .*: .*'SCRAM-SHA-256'"),
        ({"SASL_USERNAME": ""}, "SASL_USERNAME is missing: SCRAM-SHA-512 needs it"),
        ({"SASL_PASSWORD": ""}, "SASL_PASSWORD, or its _FILE, is missing"),
        ({"SASL_PASSWORD_FILE": "/etc/hostname"}, "SASL_PASSWORD and .*_FILE are both set"),
        ({"SECURITY_PROTOCOL": "SSL"}, "SASL_MECHANISM needs .*SECURITY_PROTOCOL SASL_SSL"),
        ({"SECURITY_PROTOCOL": "TLS"}, "SECURITY_PROTOCOL cannot be 'TLS': .*'SASL_SSL'"),
        ({"SSL_CA_FILE": "/no/ca.pem"}, "SSL_CA_FILE cannot be '/no/ca.pem': it is not a"),
        ({"SSL_KEY_FILE": "/etc/hostname"}, "SSL_CERT_FILE is missing: .*SSL_KEY_FILE is set"),
        (
            {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SSL_CA_FILE": "/etc/hostname"},
            "SSL_CA_FILE needs .*SECURITY_PROTOCOL SSL or SASL_SSL",
        ),
        ({"TOPIC_PREFIX": "our topics/"}, "TOPIC_PREFIX cannot be 'our topics/': .*A-Z"),
        ({"COMPRESSION": "brotli"}, "COMPRESSION cannot be 'brotli': .*'zstd'"),
    ],
)
def test_inconsistent_kafka_settings_are_reported(
    changes: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing ones, and those without effect; without the password."""
    kafka_variables(monkeypatch, SASL | changes)

    with pytest.raises(SettingsError, match=f"^HEADRACE_KAFKA__{message}") as error:
        load_settings()

    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("group", "field", "secret"),
    [("kafka", "sasl_password", "s3cret word"), ("database", "url", "postgres://me:hunter2@db/x")],
)
def test_a_secret_may_be_in_a_file(
    group: str, field: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Docker and Kubernetes mount it; trailing newlines are removed."""
    kafka_variables(monkeypatch, SASL | {"SASL_PASSWORD": "" if group == "kafka" else "other"})
    Path("secret").write_text(f"{secret}\n")
    monkeypatch.setenv(f"HEADRACE_{group}__{field}_FILE".upper(), "secret")

    found = load_settings()

    value = getattr(getattr(found, group), field)
    assert (value.get_secret_value() if isinstance(value, SecretStr) else value) == secret
    assert secret not in repr(found)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: No such file"), (b" \n", "is empty"), (b"\xff", "UTF-8")],
)
def test_an_unusable_secret_file_is_reported(
    content: bytes | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its setting."""
    if content is not None:
        Path("secret").write_bytes(content)
    kafka_variables(monkeypatch, SASL | {"SASL_PASSWORD": "", "SASL_PASSWORD_FILE": "secret"})

    with pytest.raises(
        SettingsError, match=f"^HEADRACE_KAFKA__SASL_PASSWORD_FILE names secret, .*{message}"
    ):
        load_settings()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "the file cannot be read: No such file or directory"),
        (b"", "the file must have a key on each line"),
        (b"# only a comment\n", "the file must have a key on each line"),
        (b"c2hvcnQ=\n", "32 random bytes in URL-safe Base64"),
        (b"\xff", "the file is not ASCII text"),
    ],
)
def test_a_key_file_is_checked(
    monkeypatch: pytest.MonkeyPatch, content: bytes | None, expected: str
) -> None:
    """The error names the setting, and no key."""
    if content is not None:
        Path("keys").write_bytes(content)
    monkeypatch.setenv("HEADRACE_SECRETS__KEY_FILE", "keys")

    with pytest.raises(SettingsError, match="HEADRACE_SECRETS__KEY_FILE") as error:
        load_settings()

    assert expected in str(error.value)


def test_keys_are_read_from_their_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """One per line, without comments and blank lines."""
    keys = ["A" * 43 + "=", "-_" * 21 + "A="]
    Path("keys").write_text(f"# new\n{keys[0]}\n\n{keys[1]}\n")
    monkeypatch.setenv("HEADRACE_SECRETS__KEY_FILE", "keys")

    assert load_settings().secrets.keys() == keys
