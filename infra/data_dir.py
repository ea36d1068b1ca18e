"""The data directory: where everything of one machine's headrace is kept."""

from pathlib import Path

from infra.broker.address import find_address
from infra.cli_data_dir import default_data_dir
from infra.disk import write_whole
from infra.errors import UserError
from infra.process import read_pid
from kafka_clients.security import check_security
from schemas.kafka_names import use_prefix
from schemas.kafka_settings import KafkaSettings
from schemas.settings import DatabaseSettings, Settings, SettingsError, load_settings

#: Of the topics of one machine, unless something else is asked for.
LOCAL_PARTITIONS = 4


class DataDir:
    """Names the files of a data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @property
    def database_url(self) -> str:
        """The SQLite database."""
        return f"sqlite:///{self.root / 'headrace.db'}"

    def log(self, role: str) -> Path:
        """Return the log of a role, in a directory that exists."""
        log = self.root / "logs" / f"{role}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        return log

    def pid(self, role: str) -> Path:
        """Return the file that holds the process id of a role while it runs."""
        return self.root / "run" / f"{role}.pid"

    @property
    def was_used(self) -> bool:
        """Whether a headrace has become ready here before: it has made a token, or a database."""
        return self.owner_token.exists() or (self.root / "headrace.db").exists()

    def write_kafka_address(self, address: str) -> None:
        """Write where a Kafka listens that is not of this directory, for its commands."""
        write_whole(self.root / "run" / "kafka.address", f"{address}\n")

    def write_address(self, url: str) -> None:
        """Tell where this headrace takes events, for those who find it by its data directory."""
        write_whole(self._address, f"{url}\n")

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
    """Read the settings, and name topics as they say; `UserError` names the one that is wrong."""
    try:
        settings = load_settings()
        check_security(settings.kafka)
    except SettingsError as error:
        raise UserError(str(error)) from None  # its cause may show a password
    use_prefix(settings.kafka.topic_prefix)
    return settings


def role_settings() -> Settings:
    """Return the settings of a role that runs on its own.

    Where they name no database, it is that of the default data directory.
    """
    settings = read_settings()
    database = local_database(settings.database, default_data_dir())
    return settings.model_copy(update={"database": database})


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


def database_settings(data_dir: Path) -> DatabaseSettings:
    """Return the database that a command uses."""
    return local_database(read_settings().database, data_dir)
