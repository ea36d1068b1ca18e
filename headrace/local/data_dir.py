"""The data directory of `headrace up`, and the settings that depend on it."""

import base64
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from headrace.errors import UserError
from headrace.local import saved_options
from headrace.local.broker.address import find_address
from headrace.local.data_dir_option import default_data_dir
from headrace.local.disk_space import write_atomically
from headrace.local.process import read_pid
from headrace.local.saved_options import Loaded, SavedOptions
from headrace.local.workers import in_order
from kafka_clients.registered_ids import use_registry
from schemas.kafka_settings import KafkaSettings
from schemas.settings import (
    DatabaseSettings,
    SecretsSettings,
    Settings,
    SettingsError,
    load_settings,
)
from schemas.topic_prefix import use_prefix

#: The default number of partitions on one machine.
LOCAL_PARTITIONS = 4

#: The suffixes of a worker's files in `run/`: pid, status, and metrics for the other web processes.
_WORKER_FILES = frozenset({".pid", ".json", ".prom"})


class DataDir:
    """The files of a data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @property
    def database_url(self) -> str:
        """The URL of the SQLite database."""
        return f"sqlite:///{self.root / 'headrace.db'}"

    def log(self, role: str) -> Path:
        """Return the log file of a role; create its directory."""
        log = self.root / "logs" / f"{role}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        return log

    def pid(self, role: str) -> Path:
        """Return the pid file of a role, which exists while it runs."""
        return self.root / "run" / f"{role}.pid"

    @property
    def was_used(self) -> bool:
        """Whether `headrace up` has been ready in this directory before."""
        return self.owner_token.exists() or (self.root / "headrace.db").exists()

    @property
    def kafka_address(self) -> str | None:
        """The address of the Kafka that `headrace up` used last; None before the first start."""
        try:
            return (self.root / "run" / "kafka.address").read_text().strip()
        except FileNotFoundError:
            return None

    def write_kafka_address(self, address: str) -> None:
        """Write the address of an external Kafka, for commands with `--data-dir`."""
        write_atomically(self.root / "run" / "kafka.address", f"{address}\n")

    def write_address(self, url: str) -> None:
        """Write the base URL of the HTTP server, for commands with `--data-dir`."""
        write_atomically(self._address, f"{url}\n")

    def address(self) -> str | None:
        """Return the base URL of the HTTP server; None if none runs."""
        pids = (read_pid(self.pid(name)) for name in self.workers("web"))
        if not any(pid is not None for pid in pids) or not self._address.exists():
            return None
        return self._address.read_text().strip()

    @property
    def _address(self) -> Path:
        return self.root / "run" / "web.address"

    @property
    def owner_token(self) -> Path:
        """The file with the token of the dashboard link, readable only by its owner."""
        return self.root / "owner.token"

    @property
    def has_secrets_key(self) -> bool:
        """Whether the key file of the secrets in the database exists."""
        return self._secrets_key.exists()

    @property
    def _secrets_key(self) -> Path:
        return self.root / "secrets.key"

    def secrets_key(self) -> Path:
        """Return the key file of the secrets in the database; create it with a new key.

        Raises OSError, and leaves no incomplete file, if it cannot be written.
        """
        if not self.has_secrets_key:
            key = base64.urlsafe_b64encode(os.urandom(32)).decode("ascii")
            write_atomically(self._secrets_key, f"{key}\n")
        return self._secrets_key

    def secrets(self) -> SecretsSettings:
        """Return the settings of the key file; raises UserError if it has no valid keys."""
        try:
            return SecretsSettings(key_file=str(self._secrets_key))
        except ValueError:
            raise UserError(
                f"{self._secrets_key} must have a key on each line: 32 random bytes in URL-safe "
                "Base64. Restore it from a backup, or set HEADRACE_SECRETS__KEY_FILE"
            ) from None

    def status(self, role: str) -> Path:
        """Return the status file of a role, or of one of its workers."""
        return self.root / "run" / f"{role}.json"

    def workers(self, role: str) -> list[str]:
        """Return the workers of a role that have a pid file; at least the first one."""
        found = {file.stem for file in (self.root / "run").glob(f"{role}-*.pid")}
        return in_order({role} | found)

    def remove_run_files(self, roles: Iterable[str]) -> None:
        """Remove the status, metrics and pid files of the workers of these roles."""
        for role in roles:
            for pattern in (f"{role}.*", f"{role}-*.*"):
                for file in (self.root / "run").glob(pattern):
                    if file.suffix in _WORKER_FILES:
                        file.unlink(missing_ok=True)


def read_settings(data_dir: Path | None = None) -> Settings:
    """Read the settings; apply the topic prefix and the schema registry.

    Settings that are not set default to the options that `headrace up` has saved in `data_dir`.
    Raises UserError for an invalid setting.
    """
    return load_saved(data_dir).settings


def load_saved(data_dir: Path | None) -> Loaded:
    """Read the settings like `read_settings`; also return the saved options in effect."""
    try:
        settings = load_settings()
        if settings.kafka.security_protocol != "PLAINTEXT":
            from kafka_clients.security import check_security  # noqa: PLC0415 - slow

            check_security(settings.kafka)
    except SettingsError as error:
        raise UserError(str(error)) from None  # the cause may contain a password
    use_prefix(settings.kafka.topic_prefix)
    use_registry(settings.schema_registry)
    saved = SavedOptions() if data_dir is None else saved_options.load(data_dir)
    return saved_options.with_saved(settings, saved)


def save_partitions(data_dir: Path, partitions: int) -> None:
    """Save the number of partitions of the topics for the next `headrace up` in a data directory.

    Does nothing if the environment configures Kafka, or there is no data directory.
    """
    is_in_environment = "bootstrap_servers" in read_settings().kafka.model_fields_set
    if data_dir.is_dir() and not is_in_environment:
        options = saved_options.load(data_dir)
        saved_options.save(data_dir, msgspec.structs.replace(options, partitions=partitions))


def role_settings() -> Settings:
    """Return the settings of a role that runs without `headrace up`.

    The default database is the one in the default data directory.
    """
    data_dir = default_data_dir()
    settings = read_settings(data_dir)
    database = local_database(settings.database, data_dir)
    return settings.model_copy(update={"database": database})


def local_settings(data_dir: Path) -> Settings:
    """Return the settings; the default broker, database and key file are those of `data_dir`.

    Raises UserError if no broker is configured and none runs in `data_dir`.
    """
    settings = read_settings(data_dir)
    kafka = settings.kafka
    if "bootstrap_servers" not in kafka.model_fields_set:
        kafka = with_kafka(kafka, find_address(data_dir), None)
    local, secrets = DataDir(data_dir), settings.secrets
    if not secrets.key_file and local.has_secrets_key:
        secrets = local.secrets()
    database = local_database(settings.database, data_dir)
    return settings.model_copy(update={"kafka": kafka, "database": database, "secrets": secrets})


def with_kafka(kafka: KafkaSettings, address: str, partitions: int | None) -> KafkaSettings:
    """Return settings with this address; `LOCAL_PARTITIONS` partitions unless configured."""
    if partitions is None and "partitions" not in kafka.model_fields_set:
        partitions = LOCAL_PARTITIONS
    return kafka.model_copy(
        update={"bootstrap_servers": address, "partitions": partitions or kafka.partitions}
    )


def local_database(database: DatabaseSettings, data_dir: Path) -> DatabaseSettings:
    """Return the configured database, by default the one in the data directory."""
    if "url" in database.model_fields_set:
        return database
    return DatabaseSettings(url=DataDir(data_dir).database_url)


def database_settings(data_dir: Path) -> DatabaseSettings:
    """Return the database of a command with `--data-dir`."""
    return local_database(read_settings(data_dir).database, data_dir)
