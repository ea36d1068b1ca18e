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
#: Numbers without a unit: things counted, and ports.
COUNTS = {
    "partitions",
    "replication_factor",
    "min_insync_replicas",
    "max_refused_in_a_row",
    "max_states",
    "port",
    "max_connections",
    "max_connections_per_address",
    "max_streams_per_token",
    "max_per_minute",
    "max_per_hour",
    "max_cooldown_subjects",
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
        ("HEADRACE_IMPORT__SITES", "good,not:good", "'not:good' is not a site_id"),
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


def test_settings_show_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither printed nor logged."""
    monkeypatch.setenv("HEADRACE_DATABASE__URL", "postgres://headrace:hunter2@db/headrace")

    settings = load_settings()

    assert "hunter2" not in f"{settings!r} {settings} {settings.database!s}"
    assert settings.database.redacted == "postgresql://headrace@db:5432/headrace"


def test_variables_of_kubernetes_stop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It derives them from the name of a service; a misspelt setting is an error all the same."""
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
    ("changes", "says"),
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
def test_settings_of_kafka_that_do_not_fit_together_are_named(
    changes: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing, and what would have no effect; without the password."""
    kafka_variables(monkeypatch, SASL | changes)

    with pytest.raises(SettingsError, match=f"^HEADRACE_KAFKA__{says}") as error:
        load_settings()

    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("group", "field", "secret"),
    [("kafka", "sasl_password", "s3cret word"), ("database", "url", "postgres://me:hunter2@db/x")],
)
def test_a_secret_may_be_in_a_file(
    group: str, field: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Docker and Kubernetes provide it; editors end it with a new line."""
    kafka_variables(monkeypatch, SASL | {"SASL_PASSWORD": "" if group == "kafka" else "other"})
    Path("secret").write_text(f"{secret}\n")
    monkeypatch.setenv(f"HEADRACE_{group}__{field}_FILE".upper(), "secret")

    found = load_settings()

    value = getattr(getattr(found, group), field)
    assert (value.get_secret_value() if isinstance(value, SecretStr) else value) == secret
    assert secret not in repr(found)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot be read: No such file"), (b" \n", "is empty"), (b"\xff", "UTF-8")],
)
def test_a_file_without_a_secret_is_named(
    content: bytes | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its setting."""
    if content is not None:
        Path("secret").write_bytes(content)
    kafka_variables(monkeypatch, SASL | {"SASL_PASSWORD": "", "SASL_PASSWORD_FILE": "secret"})

    with pytest.raises(
        SettingsError, match=f"^HEADRACE_KAFKA__SASL_PASSWORD_FILE names secret, .*{says}"
    ):
        load_settings()
