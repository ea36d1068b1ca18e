"""The options of `headrace up` that are saved for all commands with its data directory."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from headrace.errors import UserError
from headrace.local.disk_space import write_atomically
from schemas.settings import DatabaseSettings, Settings
from schemas.sqlite_url import PREFIX, parse_sqlite_url

FILE_NAME = "options.json"


class SavedOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last `--kafka` and `--database`, and the number of partitions. None: never given.

    Settings in the environment and in `.env` take precedence, and are not saved.
    """

    kafka: str | None = None
    database: str | None = None
    partitions: int | None = None


class Loaded(NamedTuple):
    """Settings, and which of the saved options they include."""

    settings: Settings
    used: SavedOptions


def load(data_dir: Path) -> SavedOptions:
    """Return the saved options of a data directory.

    Raises UserError if the file is invalid, OSError if it cannot be read.
    """
    path = data_dir / FILE_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=SavedOptions)
    except FileNotFoundError:
        return SavedOptions()
    except NotADirectoryError:
        raise UserError(
            f"The data directory {data_dir} cannot be used: it, or a part of its path, is a file"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): delete it, then run `headrace up` with --kafka and "
            "--database again"
        ) from None


def save(data_dir: Path, options: SavedOptions) -> None:
    """Write the options, readable by their owner only: a database URL may contain a password."""
    if options.database is not None and options.database.startswith(PREFIX):
        path = Path(parse_sqlite_url(options.database)).absolute()
        options = msgspec.structs.replace(options, database=f"{PREFIX}{path}")
    if options != load(data_dir):
        write_atomically(data_dir / FILE_NAME, msgspec.json.encode(options).decode() + "\n")


def with_saved(settings: Settings, saved: SavedOptions) -> Loaded:
    """Return settings with the saved options that are not set in the environment."""
    kafka, database = settings.kafka, settings.database
    if "bootstrap_servers" in kafka.model_fields_set:
        # The number of partitions is that of the saved cluster.
        saved = msgspec.structs.replace(saved, kafka=None, partitions=None)
    if "partitions" in kafka.model_fields_set:
        saved = msgspec.structs.replace(saved, partitions=None)
    if "url" in database.model_fields_set:
        saved = msgspec.structs.replace(saved, database=None)
    found = {"bootstrap_servers": saved.kafka, "partitions": saved.partitions}
    kafka = kafka.model_copy(update={k: v for k, v in found.items() if v is not None})
    if saved.database is not None:
        database = DatabaseSettings(url=saved.database)
    return Loaded(settings.model_copy(update={"kafka": kafka, "database": database}), saved)
