"""Files named by settings: certificates, and secrets mounted by Docker or Kubernetes."""

import os
from collections.abc import Mapping
from pathlib import Path


def read_secret_file(values: object, setting: str, field: str) -> object:
    """Return the values of a settings group, with `field` read from the file in `<field>_file`.

    `setting` is the full name of the setting. Trailing whitespace of the file is removed.
    Raises ValueError with the name of the setting, never with the secret.
    """
    if not isinstance(values, Mapping) or not values.get(f"{field}_file"):
        return values
    if values.get(field):
        raise ValueError(f"{setting} and {setting}_FILE are both set: set one of them")
    path = Path(str(values[f"{field}_file"]))
    try:
        secret = path.read_text("utf-8").rstrip()
    except OSError as error:
        raise ValueError(
            f"{setting}_FILE names {path}, which cannot be read: {error.strerror}"
        ) from None
    except UnicodeError:
        raise ValueError(f"{setting}_FILE names {path}, which is not UTF-8 text") from None
    if not secret:
        raise ValueError(f"{setting}_FILE names {path}, which is empty")
    return {**values, field: secret}


def is_readable(file: str) -> bool:
    """Return True if this is a file that this process can read."""
    return os.access(file, os.R_OK) and not Path(file).is_dir()
