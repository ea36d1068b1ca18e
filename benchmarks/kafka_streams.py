"""Kafka Streams: our file for it, compiled, and its jars; `Absent` where it cannot be had."""

import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.measure import Absent
from infra.broker import maven
from infra.broker.jars import cache_folder

#: Not the broker's version: not every repository that mirrors Maven Central has the newest one.
_VERSION = "4.3.1"
_PEER = Path(__file__).parent / "peers" / "KafkaStreamsPeer.java"


def kafka_streams(folder: Path) -> list[str]:
    """Compile our file into a folder and return its command, without arguments."""
    java, javac = shutil.which("java"), shutil.which("javac")
    if java is None or javac is None:
        raise Absent("there is no JDK on the PATH")
    path = os.pathsep.join(map(str, (folder, *_jars())))
    if subprocess.run((javac, "-cp", path, "-d", folder, _PEER), check=False).returncode:  # noqa: S603
        raise Absent("javac did not compile our file for it: it wants Java 11 or newer")
    return [java, "-Xmx1g", "-cp", path, _PEER.stem]


def _jars() -> list[Path]:
    """Return the jars of Kafka Streams, fetched once from Maven Central."""
    folder = cache_folder() / f"kafka-streams-{_VERSION}"
    listed = folder / "classpath.txt"
    if not listed.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            jars = maven.download(f"org.apache.kafka:kafka-streams:{_VERSION}", folder)
        except (OSError, RuntimeError, ValueError) as error:
            print(f"  Kafka Streams: {error}", flush=True)
            raise Absent(f"Maven Central did not give version {_VERSION}") from error
        listed.write_text("\n".join(map(str, jars)))
    return [Path(line) for line in listed.read_text().split("\n")]
