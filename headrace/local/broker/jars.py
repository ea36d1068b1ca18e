"""Apache Kafka's jars: downloaded once from Maven Central, then cached on disk.

`python -m headrace.local.broker.jars` downloads them ahead of time.
"""

import fcntl
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from headrace.errors import UserError
from headrace.local.broker import maven

KAFKA_VERSION = "4.4.0"
# The second artifact connects Kafka's slf4j log to log4j; without it the broker logs nothing. The
# "!" excludes its dependency management, which would change the versions of Kafka's own jars.
_ENDPOINT = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.apache.logging.log4j:log4j-slf4j-impl:2.25.5!"
)
_MEGABYTES = 43
_LIST = "classpath.txt"
_SCRATCH_PREFIX = "fetching-"


def cache_directory() -> Path:
    """Return the cache directory of this user, which may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "headrace"


def kafka_directory() -> Path:
    """Return the cache directory of this version of Kafka, which may not exist yet."""
    return cache_directory() / f"kafka-{KAFKA_VERSION}"


def class_path() -> list[Path]:
    """Return the broker's jars, in class path order.

    The first call on a machine downloads them, which takes about ten seconds and is reported on
    standard error. Raises UserError if they cannot be downloaded.
    """
    target = kafka_directory()
    jars = _cached_jars(target)
    if jars is None:
        try:
            jars = _download_locked(target)
        except OSError as error:
            raise UserError(_explain(error)) from error
    return jars


def _cached_jars(target: Path) -> list[Path] | None:
    """Return the jars in `target`; None if one is missing."""
    try:
        jars = [target / name for name in (target / _LIST).read_text().split()]
    except FileNotFoundError:
        return None
    return jars if all(jar.is_file() for jar in jars) else None


def _download_locked(target: Path) -> list[Path]:
    """Download the jars to `target` under a lock, unless another process has done so."""
    target.mkdir(parents=True, exist_ok=True)
    with (target / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        jars = _cached_jars(target)
        if jars is not None:
            return jars
        print(  # noqa: T201 - it takes about ten seconds
            f"Downloading Apache Kafka {KAFKA_VERSION} from Maven Central, "
            f"about {_MEGABYTES} MB, only once ...",
            file=sys.stderr,
            flush=True,
        )
        for leftover in target.glob(f"{_SCRATCH_PREFIX}*"):
            shutil.rmtree(leftover)
        # A scratch directory: an interrupted download must leave no incomplete jars, neither here
        # nor in the user's Maven repository.
        with tempfile.TemporaryDirectory(dir=target, prefix=_SCRATCH_PREFIX) as scratch:
            jars = [_move(jar, target) for jar in _download(Path(scratch))]
        (target / _LIST).write_text("\n".join(jar.name for jar in jars))
        return jars


def _download(scratch: Path) -> list[Path]:
    """Download the jars to `scratch`. Raises UserError."""
    # jgo reads REQUESTS_CA_BUNDLE only; most other tools, such as uv, read SSL_CERT_FILE.
    if certificates := os.environ.get("SSL_CERT_FILE"):
        os.environ.setdefault("REQUESTS_CA_BUNDLE", certificates)
    try:
        return maven.download(_ENDPOINT, scratch)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(_explain(error)) from error


def _move(jar: Path, target: Path) -> Path:
    if not zipfile.is_zipfile(jar):
        raise UserError(_explain(f"{jar.name} is corrupt"))
    return jar.replace(target / jar.name)


def _explain(reason: object) -> str:
    return (
        f"Apache Kafka {KAFKA_VERSION} could not be downloaded from Maven Central "
        f"to {cache_directory()}: {reason}. "
        "Check the network, HTTPS_PROXY and the free disk space and try again, "
        "or use an existing broker (--kafka HOST:PORT)."
    )


if __name__ == "__main__":
    try:
        class_path()
    except UserError as error:
        sys.exit(str(error))
