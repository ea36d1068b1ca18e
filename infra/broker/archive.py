"""Kafka's classes as a JVM has them in memory, in a file: with it a start takes half the CPU.

`python -m infra.broker.archive` makes it ahead of time, and fetches Kafka before that.
"""

import asyncio
import hashlib
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from infra.broker.jars import class_path, kafka_folder
from infra.broker.java import find_java
from infra.errors import UserError

_VERSION = re.compile(r'^JAVA_VERSION="(\d+)', re.MULTILINE)
#: From this version on Java also keeps how classes are linked, and needs no archive of its own.
_AOT_VERSION = 25
_END_SECONDS = 60.0


class Archive(NamedTuple):
    """The archive of one Java; `use` and `make` are the JVM's options, less the file.

    An empty file says that this Java could not make one.
    """

    file: Path
    use: str
    make: str


def archive_of(java: Path) -> Archive | None:
    """Return where the archive of a Java is or will be; None when the Java tells no version."""
    try:
        told = (java.resolve().parents[1] / "release").read_text(errors="replace")
    except (OSError, IndexError):
        return None
    if (version := _VERSION.search(told)) is None:
        return None
    # By what it is, not where: an archive that is of another one after all, the JVM ignores.
    file = kafka_folder() / f"classes-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    if int(version.group(1)) >= _AOT_VERSION:
        return Archive(file, "-XX:AOTCache=", "-XX:AOTCacheOutput=")
    return Archive(file, "-XX:SharedArchiveFile=", "-XX:ArchiveClassesAtExit=")


def options(java: Path) -> list[str]:
    """Return the options that have a Java use its archive; none where there is no archive."""
    archive = archive_of(java)
    if archive is None or not archive.file.exists() or not archive.file.stat().st_size:
        return []
    return [f"{archive.use}{archive.file}"]


def prepare() -> None:
    """Fetch Kafka and make the archive, unless that was done; told on standard error.

    Raises UserError when Kafka cannot be fetched. Without an archive it only starts more slowly.
    """
    class_path()
    archive = archive_of(find_java())
    if archive is None or archive.file.exists():
        return
    with suppress(OSError), tempfile.TemporaryDirectory(dir=archive.file.parent) as scratch:
        _make(archive, Path(scratch))


def _make(archive: Archive, scratch: Path) -> None:
    print(  # noqa: T201 - whoever waits for ten seconds wants to know for what
        "Preparing Apache Kafka to start quickly, some ten seconds, this once ...",
        file=sys.stderr,
        flush=True,
    )
    made = scratch / archive.file.name
    with suppress(UserError, subprocess.TimeoutExpired):
        _rehearse(scratch / "data", f"{archive.make}{made}")
    made.touch()
    made.replace(archive.file)


def _rehearse(data_dir: Path, option: str) -> None:
    """Run a broker as it is usually started; when it ends it writes down what it loaded."""
    from infra.broker.local_kafka import LocalKafka  # noqa: PLC0415 - which uses this module
    from infra.topics import create_topics  # noqa: PLC0415 - for this once only
    from schemas.kafka_settings import KafkaSettings  # noqa: PLC0415

    with LocalKafka(data_dir, options=[option]) as broker:
        asyncio.run(create_topics(KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=4)))
        broker.process.terminate()
        broker.process.wait(_END_SECONDS)


if __name__ == "__main__":
    try:
        prepare()
    except UserError as error:
        sys.exit(str(error))
