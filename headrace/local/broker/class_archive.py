"""The CDS archive or AOT cache of Kafka's classes, which halves the CPU time of a broker start."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from headrace.local.broker.jars import kafka_directory

_VERSION = re.compile(r'^JAVA_VERSION="(\d+)', re.MULTILINE)
#: The first version of Java in which AOT caches replace CDS archives.
_AOT_VERSION = 25


class Archive(NamedTuple):
    """The archive of a Java version, and the JVM options that load or create it.

    An empty file means that this Java cannot create an archive.
    """

    file: Path
    load_option: str
    create_option: str


def archive_of(java: Path) -> Archive | None:
    """Return the archive for a Java, which may not exist yet; None if its version is unknown."""
    try:
        release = (java.resolve().parents[1] / "release").read_text(errors="replace")
    except (OSError, IndexError):
        return None
    if (version := _VERSION.search(release)) is None:
        return None
    # Named by version, not by path. The JVM ignores an archive that does not match.
    file = kafka_directory() / f"classes-{hashlib.sha256(release.encode()).hexdigest()[:12]}"
    if int(version.group(1)) >= _AOT_VERSION:
        return Archive(file, "-XX:AOTCache=", "-XX:AOTCacheOutput=")
    return Archive(file, "-XX:SharedArchiveFile=", "-XX:ArchiveClassesAtExit=")


def options(java: Path) -> list[str]:
    """Return the JVM options that load the archive; an empty list if there is none."""
    archive = archive_of(java)
    if archive is None or not archive.file.exists() or not archive.file.stat().st_size:
        return []
    return [f"{archive.load_option}{archive.file}"]
