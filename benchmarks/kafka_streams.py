"""Kafka Streams: our file for it, compiled, and its jars."""

import os
import shutil
import subprocess
from pathlib import Path

from infra.broker import maven
from infra.broker.jars import cache_folder

#: Not the broker's version: not every repository that mirrors Maven Central has the newest one.
_VERSION = "4.3.1"
_PEER = Path(__file__).parent / "peers" / "KafkaStreamsPeer.java"


def kafka_streams(folder: Path) -> list[str]:
    """Compile our file into a folder and return its command, without arguments.

    Empty where no JDK is.
    """
    java, javac = shutil.which("java"), shutil.which("javac")
    if java is None or javac is None:
        print("  there is no JDK on the PATH: Kafka Streams is not measured", flush=True)
        return []
    path = os.pathsep.join(map(str, (folder, *_jars())))
    subprocess.run((javac, "-cp", path, "-d", folder, _PEER), check=True)  # noqa: S603
    return [java, "-Xmx1g", "-cp", path, _PEER.stem]


def _jars() -> list[Path]:
    """Return the jars of Kafka Streams, fetched once from Maven Central."""
    folder = cache_folder() / f"kafka-streams-{_VERSION}"
    listed = folder / "classpath.txt"
    if not listed.exists():
        folder.mkdir(parents=True, exist_ok=True)
        jars = maven.download(f"org.apache.kafka:kafka-streams:{_VERSION}", folder)
        listed.write_text("\n".join(map(str, jars)))
    return [Path(line) for line in listed.read_text().split("\n")]
