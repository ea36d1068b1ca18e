"""Files that settings name: certificates, and secrets as Docker and Kubernetes mount them."""

import os
from collections.abc import Mapping
from pathlib import Path


def read_secret_file(values: object, setting: str, field: str) -> object:
    """Return the values of a group of settings with `field` read from the file of `field`_file.

    `setting` is the full name of the field's setting. Space at the end of the file is dropped.
    Raises ValueError with a sentence that names the setting, and never the secret.
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
    """Return whether this is a file that this process may read."""
    return os.access(file, os.R_OK) and not Path(file).is_dir()
