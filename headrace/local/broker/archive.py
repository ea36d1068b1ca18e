"""Create the class archive of Kafka, by a broker that is started once for this purpose.

`python -m headrace.local.broker.archive` downloads Kafka and creates the archive ahead of time.
"""

import asyncio
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from headrace.errors import UserError
from headrace.local.broker.class_archive import Archive, archive_of
from headrace.local.broker.jars import class_path
from headrace.local.broker.java import find_java
from headrace.local.broker.local_kafka import LocalKafka

_EXIT_SECONDS = 60.0


def prepare() -> None:
    """Download Kafka and create the archive if they are missing; report it on standard error.

    Raises UserError if Kafka cannot be downloaded. If the archive cannot be created, the broker
    starts without it.
    """
    class_path()
    archive = archive_of(find_java())
    if archive is None or archive.file.exists():
        return
    with suppress(OSError), tempfile.TemporaryDirectory(dir=archive.file.parent) as scratch:
        _create(archive, Path(scratch))


def _create(archive: Archive, scratch: Path) -> None:
    print(  # noqa: T201 - it takes about ten seconds
        "Creating a class archive, so that Apache Kafka starts faster: about 10 s, only once ...",
        file=sys.stderr,
        flush=True,
    )
    created = scratch / archive.file.name
    with suppress(UserError, subprocess.TimeoutExpired):
        _run_training(scratch / "data", f"{archive.create_option}{created}")
    created.touch()
    created.replace(archive.file)


def _run_training(data_dir: Path, option: str) -> None:
    """Start a broker as usual and stop it; the JVM writes the archive when it exits."""
    # Not before the broker of `headrace up` starts: these imports take 0.2 s.
    from headrace.admin.topics import create_topics  # noqa: PLC0415
    from schemas.kafka_settings import KafkaSettings  # noqa: PLC0415

    with LocalKafka(data_dir, options=[option]) as broker:
        asyncio.run(create_topics(KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=4)))
        broker.process.terminate()
        broker.process.wait(_EXIT_SECONDS)


if __name__ == "__main__":
    try:
        prepare()
    except UserError as error:
        sys.exit(str(error))
