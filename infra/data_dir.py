"""The data directory: where everything of one machine's headrace is kept."""

from pathlib import Path

from infra.broker.address import find_address
from infra.errors import UserError
from infra.process import read_pid
from schemas.settings import DatabaseSettings, KafkaSettings, Settings, SettingsError, load_settings

#: Of the topics of one machine, unless something else is asked for.
LOCAL_PARTITIONS = 4

_KEEP_LOG_BYTES = 10 * 1024 * 1024


class DataDir:
    """Names the files of a data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @property
    def database_url(self) -> str:
        """The SQLite database."""
        return f"sqlite:///{self.root / 'headrace.db'}"

    def log(self, role: str) -> Path:
        """Return the log of a role; one over 10 MiB is put aside, and an earlier one dropped."""
        log = self.root / "logs" / f"{role}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > _KEEP_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        return log

    def pid(self, role: str) -> Path:
        """Return the file that holds the process id of a role while it runs."""
        return self.root / "run" / f"{role}.pid"

    def write_address(self, url: str) -> None:
        """Tell where this headrace takes events, for those who find it by its data directory."""
        self._address.parent.mkdir(parents=True, exist_ok=True)
        self._address.write_text(f"{url}\n")

    def address(self) -> str | None:
        """Return where the headrace of this directory takes events; None while none runs."""
        if read_pid(self.pid("web")) is None or not self._address.exists():
            return None
        return self._address.read_text().strip()

    @property
    def _address(self) -> Path:
        return self.root / "run" / "web.address"

    @property
    def owner_token(self) -> Path:
        """The token in the page's address, for the owner of the file alone."""
        return self.root / "owner.token"

    def status(self, role: str) -> Path:
        """Return the file that a role renews to say how it is."""
        return self.root / "run" / f"{role}.json"


def read_settings() -> Settings:
    """Read the settings; `UserError` names the one that is wrong."""
    try:
        return load_settings()
    except SettingsError as error:
        raise UserError(str(error)) from error


def local_settings(data_dir: Path) -> Settings:
    """Return the settings; what they do not say is that of the headrace of `data_dir`.

    `UserError` when no Kafka is named and none runs there.
    """
    settings = read_settings()
    kafka = settings.kafka
    if "bootstrap_servers" not in kafka.model_fields_set:
        kafka = with_kafka(kafka, find_address(data_dir), None)
    return settings.model_copy(
        update={"kafka": kafka, "database": local_database(settings.database, data_dir)}
    )


def with_kafka(kafka: KafkaSettings, address: str, partitions: int | None) -> KafkaSettings:
    """Return the settings of a Kafka of one machine."""
    if partitions is None and "partitions" not in kafka.model_fields_set:
        partitions = LOCAL_PARTITIONS
    return kafka.model_copy(
        update={"bootstrap_servers": address, "partitions": partitions or kafka.partitions}
    )


def local_database(database: DatabaseSettings, data_dir: Path) -> DatabaseSettings:
    """Return the database of the settings, else the one of the data directory."""
    if "url" in database.model_fields_set:
        return database
    return DatabaseSettings(url=DataDir(data_dir).database_url)
