"""Files named by settings: certificates, and secrets mounted by Docker or Kubernetes."""

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path

_KEY_BYTES = 32


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


def read_keys(path: str) -> list[str]:
    """Return the Fernet keys in a file, one per line; [] if `path` is empty.

    Raises ValueError with what is wrong, never with a key.
    """
    if not path:
        return []
    try:
        lines = Path(path).read_text("ascii").split("\n")
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    except UnicodeError:
        raise ValueError("the file is not ASCII text") from None
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys or not all(map(_is_key, keys)):
        raise ValueError(
            "the file must have a key on each line: 32 random bytes in URL-safe Base64"
        )
    return keys


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, b"-_", validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False
