"""The Kafka cluster of a rebuild: the configured one, or the broker of the data directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.errors import UserError
from headrace.local.broker.address import find_address
from headrace.local.broker.local_kafka import LocalKafka
from headrace.local.data_dir import local_settings, read_settings
from schemas.settings import Settings


@contextmanager
def open_kafka(data_dir: Path, *, is_new: bool = False) -> Iterator[Settings]:
    """Yield settings with a running broker; start that of the data directory if it is not running.

    Raises `UserError` if no Kafka is configured and the data directory has none, unless `is_new`.
    """
    is_configured = "bootstrap_servers" in read_settings(data_dir).kafka.model_fields_set
    if is_configured or _is_running(data_dir):
        yield local_settings(data_dir)
        return
    if not is_new and not (data_dir / "kafka" / "data").exists():
        raise UserError(
            f"{data_dir.absolute()} has no Kafka data: specify the --data-dir of `headrace up`, "
            "or set HEADRACE_KAFKA__BOOTSTRAP_SERVERS"
        )
    with LocalKafka(data_dir):
        yield local_settings(data_dir)


def _is_running(data_dir: Path) -> bool:
    try:
        find_address(data_dir)
    except UserError:
        return False
    return True
