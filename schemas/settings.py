"""Settings, from the environment and a `.env` file: `HEADRACE_<GROUP>__<FIELD>`.

Each group is a section here; a name that no section knows is an error, as a wrong value is.
"""

import os
import re
from typing import Annotated

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "HEADRACE_"
#: Settings of the test suite, not of the program.
TEST_PREFIX = "HEADRACE_TEST_"

_ENV_FILE = ".env"
_YEAR_SECONDS = 366 * 86_400

SITE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class SettingsError(ValueError):
    """A setting is wrong; the message names it and says what would be right."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Group):
    """Where Kafka is, and what topics are created with."""

    bootstrap_servers: str = Field("127.0.0.1:9092", description="host:port, several by comma")
    partitions: int = Field(
        12, ge=1, le=1000, description="of every topic; fixed when the topics are created"
    )
    replication_factor: int = Field(1, ge=1, le=7, description="copies of every record")
    min_insync_replicas: int = Field(
        1, ge=1, le=7, description="copies that must be written before an event is accepted"
    )
    max_refused_in_a_row: int = Field(
        50,
        ge=1,
        description="records that cannot be processed, after which their partition is stopped",
    )


class DatabaseSettings(_Group):
    """Where results are kept."""

    url: str = Field(
        "sqlite:///.headrace/headrace.db",
        description="sqlite:///file or postgresql://user:password@host:port/name",
    )

    @field_validator("url")
    @classmethod
    def _known_engine(cls, url: str) -> str:
        if not url.startswith(("sqlite:///", "postgresql://")):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        if url.rstrip("/") == "sqlite:":
            raise ValueError("names no file: sqlite:///headrace.db")
        return url


class ApiSettings(_Group):
    """The HTTP side: role `api`."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on")
    deadline_seconds: float = Field(
        9.0, gt=0, le=10, description="after which an unconfirmed event is answered with 500"
    )
    max_waiting_bytes: int = Field(
        64 * 1024 * 1024, ge=1024 * 1024, description="of records on their way to Kafka; then 503"
    )
    max_connections: int = Field(10_000, ge=1, description="open at once; then 503")


class ImportSettings(_Group):
    """Imports of recorded events."""

    sites: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="sites, by comma, whose events may carry timestamps of any age"
    )

    @field_validator("sites", mode="before")
    @classmethod
    def _by_comma(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(site.strip() for site in value.split(",") if site.strip())
        return value

    @field_validator("sites")
    @classmethod
    def _site_ids(cls, sites: tuple[str, ...]) -> tuple[str, ...]:
        for site in sites:
            if not SITE_ID.fullmatch(site):
                raise ValueError(f"{site!r} is no site_id: 1 to 64 of A-Z a-z 0-9 . _ -")
        return sites


class SessionSettings(_Group):
    """When visits end."""

    gap_seconds: int = Field(
        1800, ge=1, le=_YEAR_SECONDS, description="without an event, after which a visit ends"
    )
    lateness_seconds: int = Field(
        300, ge=0, le=_YEAR_SECONDS, description="more that a visit stays open, for late events"
    )
    retention_seconds: int = Field(
        90_000,
        ge=0,
        le=_YEAR_SECONDS,
        description="that a closed visit can still be joined by a late event",
    )


class StreamsSettings(_Group):
    """The stream workers."""

    tick_seconds: float = Field(
        30.0, gt=0, le=3600, description="between the ticks that advance idle partitions"
    )
    max_states: int = Field(
        250_000,
        ge=1,
        description="sessions, and so on, that a partition keeps; those idle for longest leave",
    )


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
        description="that a delivery is listed after it was made, once it is done",
    )


class Settings(BaseSettings):
    """All settings; immutable, read once at start."""

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
    webhooks: WebhooksSettings = WebhooksSettings()


GROUPS: dict[str, type[BaseModel]] = {
    "KAFKA": KafkaSettings,
    "DATABASE": DatabaseSettings,
    "API": ApiSettings,
    "IMPORT": ImportSettings,
    "SESSION": SessionSettings,
    "STREAMS": StreamsSettings,
    "WEBHOOKS": WebhooksSettings,
}


def load_settings() -> Settings:
    """Read the settings; `SettingsError` names the first that is wrong or unknown.

    It says nothing of where it comes from: pydantic's error would show a password.
    """
    try:
        in_file = dotenv_values(_ENV_FILE)
    except UnicodeDecodeError as error:
        raise SettingsError(f"{_ENV_FILE} is not UTF-8 text: {error}") from None
    for name in map(str.upper, (*os.environ, *in_file)):
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX):
            _check_name(name)
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        parts = [str(part).removeprefix(PREFIX) for part in first["loc"]]
        name = PREFIX + "__".join(parts).upper()
        reason = str(first["msg"]).removeprefix("Value error, ")
        # A database URL holds a password: it is never repeated.
        value = "what it is" if name.endswith("DATABASE__URL") else repr(first["input"])
        raise SettingsError(f"{name} cannot be {value}: {reason}") from None


def _check_name(name: str) -> None:
    group, _, field = name.removeprefix(PREFIX).partition("__")
    if group not in GROUPS:
        known = ", ".join(f"{PREFIX}{known}__..." for known in GROUPS)
        raise SettingsError(f"{name} is not a setting; there are {known}")
    fields = GROUPS[group].model_fields
    if field.lower() not in fields:
        known = ", ".join(f"{PREFIX}{group}__{known.upper()}" for known in fields)
        raise SettingsError(f"{name} is not a setting; there are {known}")
