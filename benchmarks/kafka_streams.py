"""Kafka Streams as a peer: downloads its jars and compiles `KafkaStreamsPeer.java`."""

import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.measure import PeerUnavailable
from headrace.local.broker import maven
from headrace.local.broker.jars import cache_directory

#: Older than the broker, because some mirrors of Maven Central lack the newest version.
_VERSION = "4.3.1"
_PEER = Path(__file__).parent / "peers" / "KafkaStreamsPeer.java"


def kafka_streams(folder: Path) -> list[str]:
    """Compile the peer into a folder and return its command; raises `PeerUnavailable`."""
    java, javac = shutil.which("java"), shutil.which("javac")
    if java is None or javac is None:
        raise PeerUnavailable("there is no JDK on the PATH")
    path = os.pathsep.join(map(str, (folder, *_jars())))
    if subprocess.run((javac, "-cp", path, "-d", folder, _PEER), check=False).returncode:  # noqa: S603
        raise PeerUnavailable("javac could not compile it: it needs Java 11 or newer")
    return [java, "-Xmx1g", "-cp", path, _PEER.stem]


def _jars() -> list[Path]:
    """Return the jars of Kafka Streams, downloaded once from Maven Central."""
    folder = cache_directory() / f"kafka-streams-{_VERSION}"
    classpath = folder / "classpath.txt"
    if not classpath.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            jars = maven.download(f"org.apache.kafka:kafka-streams:{_VERSION}", folder)
        except (OSError, RuntimeError, ValueError) as error:
            print(f"  Kafka Streams: {error}", flush=True)
            raise PeerUnavailable(
                f"version {_VERSION} could not be downloaded from Maven Central"
            ) from error
        classpath.write_text("\n".join(map(str, jars)))
    return [Path(line) for line in classpath.read_text().split("\n")]
