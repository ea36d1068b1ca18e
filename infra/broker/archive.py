"""The CDS archive or AOT cache of Kafka's classes, which halves the CPU time of a broker start.

`python -m infra.broker.archive` downloads Kafka and creates the archive ahead of time.
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
#: Since this version Java has AOT caches, which replace CDS archives.
_AOT_VERSION = 25
_EXIT_SECONDS = 60.0


class Archive(NamedTuple):
    """The archive of a Java version, and the JVM options that load or create it.

    An empty file means that this Java cannot create an archive.
    """

    file: Path
    load_option: str
    create_option: str


def archive_of(java: Path) -> Archive | None:
    """Return the archive of a Java, which may not exist yet; None if its version is unknown."""
    try:
        release = (java.resolve().parents[1] / "release").read_text(errors="replace")
    except (OSError, IndexError):
        return None
    if (version := _VERSION.search(release)) is None:
        return None
    # By version, not by path. The JVM ignores an archive that does not match.
    file = kafka_folder() / f"classes-{hashlib.sha256(release.encode()).hexdigest()[:12]}"
    if int(version.group(1)) >= _AOT_VERSION:
        return Archive(file, "-XX:AOTCache=", "-XX:AOTCacheOutput=")
    return Archive(file, "-XX:SharedArchiveFile=", "-XX:ArchiveClassesAtExit=")


def options(java: Path) -> list[str]:
    """Return the JVM options that load the archive; empty without one."""
    archive = archive_of(java)
    if archive is None or not archive.file.exists() or not archive.file.stat().st_size:
        return []
    return [f"{archive.load_option}{archive.file}"]


def prepare() -> None:
    """Download Kafka and create the archive if they are missing; log to standard error.

    Raises UserError if Kafka cannot be downloaded. A missing archive is no error.
    """
    class_path()
    archive = archive_of(find_java())
    if archive is None or archive.file.exists():
        return
    with suppress(OSError), tempfile.TemporaryDirectory(dir=archive.file.parent) as scratch:
        _create(archive, Path(scratch))


def _create(archive: Archive, scratch: Path) -> None:
    print(  # noqa: T201 - it takes about ten seconds
        "Creating a class archive for faster starts of Apache Kafka, about 10 s, only once ...",
        file=sys.stderr,
        flush=True,
    )
    created = scratch / archive.file.name
    with suppress(UserError, subprocess.TimeoutExpired):
        _run_training(scratch / "data", f"{archive.create_option}{created}")
    created.touch()
    created.replace(archive.file)


def _run_training(data_dir: Path, option: str) -> None:
    """Run a broker with the usual startup; the JVM writes the archive when it exits."""
    from infra.broker.local_kafka import LocalKafka  # noqa: PLC0415 - it imports this module
    from infra.topics import create_topics  # noqa: PLC0415 - rarely needed
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
