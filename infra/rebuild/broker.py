"""The Kafka that a rebuild works on: the one there is, or the data directory's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.broker.address import find_address
from infra.broker.local_kafka import LocalKafka
from infra.data_dir import local_settings, read_settings
from infra.errors import UserError
from schemas.settings import Settings


@contextmanager
def kafka_of(data_dir: Path, *, is_new: bool = False) -> Iterator[Settings]:
    """Give the settings; while `headrace up` is stopped, run its broker meanwhile.

    `UserError` when no Kafka is named and the data directory has none, unless it `is_new`.
    """
    named = "bootstrap_servers" in read_settings().kafka.model_fields_set
    if named or _runs(data_dir):
        yield local_settings(data_dir)
        return
    if not is_new and not (data_dir / "kafka" / "data").exists():
        raise UserError(
            f"{data_dir.absolute()} holds no Kafka: give the --data-dir of `headrace up`, or name "
            "yours by HEADRACE_KAFKA__BOOTSTRAP_SERVERS"
        )
    with LocalKafka(data_dir):
        yield local_settings(data_dir)


def _runs(data_dir: Path) -> bool:
    try:
        find_address(data_dir)
    except UserError:
        return False
    return True
