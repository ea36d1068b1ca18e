"""Settings from the environment and a `.env` file: `HEADRACE_<GROUP>__<FIELD>`.

Unknown names and invalid values are errors.
"""

import ipaddress
import os
import re
from difflib import get_close_matches
from typing import Annotated, Literal

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schemas.kafka_settings import KafkaSettings
from schemas.kubernetes import is_service_variable
from schemas.observation_settings import LogSettings, MetricsSettings, TracingSettings
from schemas.postgres_url import parse_postgres_url
from schemas.registry_settings import SchemaRegistrySettings
from schemas.root_path import parse_root_path
from schemas.secret_files import is_readable, read_keys, read_secret_file
from schemas.sqlite_url import parse_sqlite_url

PREFIX = "HEADRACE_"
#: Prefix of the settings of the test suite.
TEST_PREFIX = "HEADRACE_TEST_"
#: The default of `--data-dir` of every command.
DATA_DIR_VARIABLE = f"{PREFIX}DATA_DIR"

_ENV_FILE = ".env"
_YEAR_SECONDS = 366 * 86_400

SITE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class SettingsError(ValueError):
    """A setting is invalid; the message names it and says what is valid."""


def _split_at_commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Group):
    """The database of the results."""

    url: str = Field(
        "sqlite:///.headrace/headrace.db",
        repr=False,  # contains a password
        description="sqlite:///file or postgresql://user:password@host:port/name, see databases.md",
    )
    url_file: str = Field("", description="a file with the URL")

    @model_validator(mode="before")
    @classmethod
    def _read_url(cls, values: object) -> object:
        return read_secret_file(values, f"{PREFIX}DATABASE__URL", "url")

    @field_validator("url")
    @classmethod
    def _is_supported(cls, url: str) -> str:
        if url.startswith("sqlite:"):
            parse_sqlite_url(url)
        elif url.startswith("postgres"):
            for name, file in parse_postgres_url(url).tls_files.items():
                if not is_readable(file):
                    raise ValueError(f"has the parameter {name}, whose file cannot be read")
        else:
            raise ValueError("must begin with sqlite:/// or postgresql://")
        return url

    @property
    def is_postgres(self) -> bool:
        """True for PostgreSQL, False for SQLite."""
        return not self.url.startswith("sqlite:")

    @property
    def redacted(self) -> str:
        """The URL without password and parameters, for messages."""
        return parse_postgres_url(self.url).redacted if self.is_postgres else self.url


class ApiSettings(_Group):
    """The role `api`."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on")
    deadline_seconds: float = Field(
        9.0, gt=0, le=10, description="timeout for the confirmation of an event by Kafka; then 500"
    )
    max_waiting_bytes: int = Field(
        64 * 1024 * 1024, ge=1024 * 1024, description="limit of records waiting for Kafka; then 503"
    )
    max_in_flight_bytes: int = Field(
        128 * 1024 * 1024,
        ge=16 * 1024 * 1024,
        description="limit of all request bodies together that a process is receiving or "
        "processing; bodies of up to 16 KiB do not count; then 503",
    )
    max_connections: int = Field(
        10_000, ge=1, description="limit of open connections; then idle ones are closed, else 503"
    )
    max_connections_per_address: int = Field(
        0,
        ge=0,
        description="limit of open connections from an IPv4 address or an IPv6 /64; 0: 256 from a "
        "public address, unlimited from a private one, which may be a proxy",
    )
    geo_database: str = Field(
        "",
        description="a MaxMind database (.mmdb) for country and region; without it, countries are "
        "those to which the registries allocated addresses",
    )
    mask_emails: bool = Field(
        default=True,
        description="mask e-mail addresses in the query of url and referrer",
    )

    @field_validator("geo_database")
    @classmethod
    def _is_readable(cls, file: str) -> str:
        if file and not is_readable(file):
            raise ValueError("names a file that cannot be read")
        return file

    max_events_per_second_per_address: int = Field(
        0,
        ge=0,
        description="limit of accepted events per second from an IPv4 address or an IPv6 /64, and "
        "process; 0: 50 from a public address, unlimited from a private one; a burst may have ten "
        "times as many; then 429",
    )
    sites: Literal["open", "registered"] = Field(
        "registered",
        description="`registered`: accept events of sites of `headrace sites add` only; `open`: of "
        "any site_id, the default of `headrace up` on a loopback address",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="networks of reverse proxies, comma-separated CIDRs, whose X-Forwarded-For or "
        "Forwarded, X-Forwarded-Proto, -Host, -Prefix and country headers are used",
    )
    dialects: Annotated[tuple[str, ...], NoDecode] = Field(
        ("all",),
        description="the formats of other clients that are accepted, comma-separated, such as "
        "`plausible,umami`; `all` or `none`",
    )
    root_path: str = Field(
        "",
        description="path of a reverse proxy below which all roles are reached, such as /headrace; "
        "without it, the X-Forwarded-Prefix of a trusted proxy",
    )

    @field_validator("root_path")
    @classmethod
    def _is_root_path(cls, path: str) -> str:
        return parse_root_path(path)

    @field_validator("trusted_proxies", "dialects", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _split_at_commas(value)

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"{error}: write addresses as 10.0.0.0/8 or 192.0.2.1") from None
        return networks


class ImportSettings(_Group):
    """Imports of recorded events."""

    sites: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="sites, comma-separated, whose events may have timestamps of any age"
    )

    @field_validator("sites", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _split_at_commas(value)

    @field_validator("sites")
    @classmethod
    def _are_site_ids(cls, sites: tuple[str, ...]) -> tuple[str, ...]:
        for site in sites:
            if not SITE_ID.fullmatch(site):
                raise ValueError(
                    f"{site!r} is not a site_id: 1 to 64 characters from A-Z a-z 0-9 . _ -"
                )
        return sites


class SessionSettings(_Group):
    """Session windows."""

    gap_seconds: int = Field(
        1800, ge=1, le=_YEAR_SECONDS, description="inactivity gap that ends a visit"
    )
    lateness_seconds: int = Field(
        300,
        ge=0,
        le=_YEAR_SECONDS,
        description="grace period: how much longer a visit stays open for late events",
    )
    retention_seconds: int = Field(
        90_000,
        ge=0,
        le=_YEAR_SECONDS,
        description="how long a late event can still extend a closed visit",
    )


class StreamsSettings(_Group):
    """The role `streams`."""

    tick_seconds: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="interval of the punctuation that advances the stream time of idle partitions",
    )
    max_states: int = Field(
        250_000,
        ge=1,
        description="limit of the states of a table and partition; then those idle for longest are "
        "evicted",
    )
    max_state_bytes: int = Field(
        1_073_741_824,
        ge=1_048_576,
        description="limit of all states of a worker; then those idle for longest are evicted from "
        "partitions with more than an equal share",
    )


class QuerySettings(_Group):
    """The role `query`."""

    max_streams_per_token: int = Field(
        500, ge=1, description="limit of open server-sent event streams with one token; then 429"
    )
    max_streams_per_site: int = Field(
        1000, ge=1, description="limit of open streams of one site, with all tokens; then 429"
    )

    public_url: str = Field(
        "",
        description="address of the dashboard in alerts, such as https://stats.example.com; the "
        "default of `headrace up` is its own address",
    )
    statement_timeout_seconds: float = Field(
        5.0, ge=0.1, le=60, description="timeout of a database query; then 504"
    )

    @field_validator("public_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[^\s/?#]+(?:/[^\s?#]*)?", url):
            raise ValueError(
                "must be http:// or https://, a host and an optional path: https://stats.example.com"
            )
        return url.rstrip("/")


class WebhooksSettings(_Group):
    """Delivery of alerts to webhooks."""

    allow_private: bool = Field(
        default=False,
        description="for development: http, any port, addresses of this machine and network",
    )
    retention_seconds: int = Field(
        30 * 86_400,
        ge=60,
        le=_YEAR_SECONDS,
        description="how long finished deliveries are listed, from their creation",
    )
    max_per_minute: int = Field(
        100,
        ge=1,
        description="limit of deliveries per minute and subscription; more go into a digest",
    )
    max_per_hour: int = Field(
        1000,
        ge=1,
        description="limit of deliveries per hour and subscription; more go into a digest",
    )
    max_cooldown_subjects: int = Field(
        20,
        ge=1,
        description="limit of subjects that a subscription is notified about within one cooldown; "
        "alerts about more go into a digest",
    )
    digest_seconds: int = Field(
        60, ge=1, le=3600, description="how long a digest collects alerts before it is sent"
    )


class RetentionSettings(_Group):
    """Retention in SQL, purged hourly by the role `sinks`. 0 keeps rows forever."""

    events_days: int = Field(0, ge=0, le=36_500, description="how many days events are kept")
    sessions_days: int = Field(
        0, ge=0, le=36_500, description="how many days sessions and page durations are kept"
    )
    alerts_days: int = Field(
        0, ge=0, le=36_500, description="how many days alerts and their deliveries are kept"
    )


class SecretsSettings(_Group):
    """Encryption of secrets in the database."""

    key_file: str = Field(
        "",
        description="file of the keys that encrypt the secrets of subscriptions, the newest first; "
        "`headrace up` creates one in its data directory",
    )

    @field_validator("key_file")
    @classmethod
    def _has_keys(cls, path: str) -> str:
        read_keys(path)
        return path

    def keys(self) -> list[str]:
        """Return the keys, the newest first; [] without a file."""
        return read_keys(self.key_file)


class Settings(BaseSettings):
    """All settings. Immutable; loaded once at start."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=_ENV_FILE,
        extra="ignore",
        frozen=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    database: DatabaseSettings = DatabaseSettings()
    api: ApiSettings = ApiSettings()
    imports: ImportSettings = Field(ImportSettings(), validation_alias=f"{PREFIX}IMPORT")
    session: SessionSettings = SessionSettings()
    streams: StreamsSettings = StreamsSettings()
    query: QuerySettings = QuerySettings()
    webhooks: WebhooksSettings = WebhooksSettings()
    retention: RetentionSettings = RetentionSettings()
    secrets: SecretsSettings = SecretsSettings()
    schema_registry: SchemaRegistrySettings = SchemaRegistrySettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()


#: The groups by their names in environment variables.
GROUPS: dict[str, type[BaseModel]] = {
    str(field.validation_alias or name).removeprefix(PREFIX).upper(): type(field.default)
    for name, field in Settings.model_fields.items()
}


def load_settings() -> Settings:
    """Load the settings. Raise `SettingsError` for the first invalid or unknown one.

    The error has no cause, because pydantic's error would show a password.
    """
    for name, value in {**_env_file(), **os.environ}.items():
        _check_name(name.upper(), value or "")
    # pydantic raises PermissionError in a working directory that this user cannot search.
    file = _ENV_FILE if os.access(_ENV_FILE, os.F_OK) else None
    try:
        return Settings(_env_file=file)
    except ValidationError as error:
        first = error.errors()[0]
        parts = [str(part).removeprefix(PREFIX) for part in first["loc"]]
        name = PREFIX + "__".join(parts).upper()
        raise SettingsError(_sentence(name, first["input"], str(first["msg"]))) from None


def _env_file() -> dict[str, str | None]:
    try:
        return dotenv_values(_ENV_FILE)
    except UnicodeDecodeError as error:
        raise SettingsError(f"{_ENV_FILE} is not UTF-8 text: {error}") from None
    except OSError as error:
        raise SettingsError(f"{_ENV_FILE} cannot be read: {error.strerror}") from None


def _sentence(name: str, value: object, message: str) -> str:
    reason = message.removeprefix("Value error, ")
    if reason.startswith(PREFIX):  # about several settings, which it names
        return reason
    # A database URL contains a password, and may have been assigned to the wrong setting.
    groups = (f"{PREFIX}DATABASE", f"{PREFIX}KAFKA__SASL", f"{PREFIX}SCHEMA_REGISTRY__PASSWORD")
    is_secret = name.startswith(groups) or "@" in str(value)
    return f"{name} cannot be {'used' if is_secret else repr(value)}: {reason}"


def _check_name(name: str, value: str) -> None:
    if not name.startswith(PREFIX) or name.startswith(TEST_PREFIX) or name == DATA_DIR_VARIABLE:
        return
    group, _, field = name.removeprefix(PREFIX).partition("__")
    model = GROUPS.get(group)
    if (model and field.lower() in model.model_fields) or is_service_variable(name, value):
        return
    names = [f"{PREFIX}{g}__{f.upper()}" for g, of in GROUPS.items() for f in of.model_fields]
    if model:
        valid = ", ".join(f"{PREFIX}{group}__{field.upper()}" for field in model.model_fields)
    else:
        valid = ", ".join((*(f"{PREFIX}{group}__..." for group in GROUPS), DATA_DIR_VARIABLE))
    matches = get_close_matches(name, [*names, DATA_DIR_VARIABLE], n=1, cutoff=0.75)
    hint = f"; did you mean {matches[0]}?" if matches else ""
    raise SettingsError(f"{name} is not a setting; valid settings are {valid}{hint}")
