"""Apache Kafka's jars: fetched once from Maven Central, then found on the disk.

`python -m infra.broker.jars` fetches them ahead of time.
"""

import fcntl
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from infra.broker import maven
from infra.errors import UserError

KAFKA_VERSION = "4.4.0"
# The second one carries Kafka's log lines to log4j; without it the broker says nothing at all. The
# "!" keeps it from also deciding the versions of Kafka's own parts, which its POM lists for tests.
_ENDPOINT = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.apache.logging.log4j:log4j-slf4j-impl:2.25.5!"
)
_MEGABYTES = 43
_LIST = "classpath.txt"
_SCRATCH = "fetching-"


def cache_folder() -> Path:
    """Return the folder of this user that keeps the jars; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "headrace"


def kafka_folder() -> Path:
    """Return the folder of what belongs to this version of Kafka; it may not exist yet."""
    return cache_folder() / f"kafka-{KAFKA_VERSION}"


def class_path() -> list[Path]:
    """Return the broker's jars, in class path order.

    The first call on a machine fetches them, which takes some ten seconds and is told on standard
    error; later calls touch only the disk. Raises UserError when they cannot be fetched.
    """
    target = kafka_folder()
    known = _known(target)
    if known is None:
        try:
            known = _fetch_alone(target)
        except OSError as error:
            raise UserError(_explain(error)) from error
    return known


def _known(target: Path) -> list[Path] | None:
    """Return the jars that were fetched to `target`, None when one is missing."""
    try:
        jars = [target / name for name in (target / _LIST).read_text().split()]
    except FileNotFoundError:
        return None
    return jars if all(jar.is_file() for jar in jars) else None


def _fetch_alone(target: Path) -> list[Path]:
    """Fetch the jars to `target`, one process at a time; who waited finds them there."""
    target.mkdir(parents=True, exist_ok=True)
    with (target / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = _known(target)
        if known is not None:
            return known
        print(  # noqa: T201 - whoever waits for ten seconds wants to know for what
            f"Fetching Apache Kafka {KAFKA_VERSION} from Maven Central, "
            f"about {_MEGABYTES} MB, this once ...",
            file=sys.stderr,
            flush=True,
        )
        for left in target.glob(f"{_SCRATCH}*"):
            shutil.rmtree(left)
        # A folder of its own, moved from at the end: a fetch that was cut short leaves nothing that
        # could be taken for a jar, here or in a Maven repository that others use.
        with tempfile.TemporaryDirectory(dir=target, prefix=_SCRATCH) as scratch:
            jars = [_keep(jar, target) for jar in _fetch(Path(scratch))]
        (target / _LIST).write_text("\n".join(jar.name for jar in jars))
        return jars


def _fetch(scratch: Path) -> list[Path]:
    """Download into `scratch` and return the jars. Raises UserError with the reason."""
    # jgo honours only requests' own variable; the rest of the world, uv too, reads this one.
    if certificates := os.environ.get("SSL_CERT_FILE"):
        os.environ.setdefault("REQUESTS_CA_BUNDLE", certificates)
    try:
        return maven.download(_ENDPOINT, scratch)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(_explain(error)) from error


def _keep(jar: Path, target: Path) -> Path:
    if not zipfile.is_zipfile(jar):
        raise UserError(_explain(f"{jar.name} arrived damaged"))
    return jar.replace(target / jar.name)


def _explain(reason: object) -> str:
    return (
        f"Apache Kafka {KAFKA_VERSION} could not be fetched from Maven Central "
        f"to {cache_folder()}: {reason}. "
        "Check the network, HTTPS_PROXY and the free disk space and try again, "
        "or use a broker that runs already (--kafka HOST:PORT)."
    )


if __name__ == "__main__":
    try:
        class_path()
    except UserError as error:
        sys.exit(str(error))
