"""Encryption of the secrets of subscriptions, which have to be readable to sign deliveries.

The keys are in a file outside the database (`HEADRACE_SECRETS__KEY_FILE`), one Fernet key per line.
The first one encrypts; all of them decrypt. To rotate, insert a new first line and restart `query`,
which encrypts new secrets, then `sinks`, which encrypts all existing ones; then remove the others.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select, update

from sinks.sql.tables import SubscriptionRow, table_of

if TYPE_CHECKING:  # imported when the first secret is read: it takes 30 ms
    from cryptography.fernet import MultiFernet

_TABLE = table_of(SubscriptionRow)
_ENCRYPTED = "fernet:"
_SETTING = "HEADRACE_SECRETS__KEY_FILE"


class SecretError(ValueError):
    """A secret cannot be decrypted; the message does not contain it."""


class SecretBox:
    """Encrypts and decrypts secrets. Without keys, secrets are stored as plain text."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._keys = keys

    @cached_property
    def _fernet(self) -> "MultiFernet":
        from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415

        return MultiFernet([Fernet(key) for key in self._keys])

    def encrypt(self, secret: str) -> str:
        """Return what to store for a secret."""
        if not self._keys:
            return secret
        return _ENCRYPTED + self._fernet.encrypt(secret.encode()).decode()

    def decrypt(self, stored: str) -> str:
        """Return the secret; raises `SecretError` if no key decrypts it."""
        if not stored.startswith(_ENCRYPTED):
            return stored
        from cryptography.fernet import InvalidToken  # noqa: PLC0415

        try:
            if self._keys:
                return self._fernet.decrypt(stored.removeprefix(_ENCRYPTED)).decode()
        except InvalidToken:
            pass
        raise SecretError(f"its secret is encrypted with a key that is not in {_SETTING}")

    def is_current(self, stored: str) -> bool:
        """Return True if a secret is stored as `encrypt` would store it now."""
        if not self._keys or not stored.startswith(_ENCRYPTED):
            return not self._keys
        try:
            SecretBox(self._keys[:1]).decrypt(stored)
        except SecretError:
            return False
        return True


def count_locked(connection: Connection, box: SecretBox) -> int:
    """Return the number of secrets that the keys of `box` do not decrypt."""
    count = 0
    for secret in connection.execute(select(_TABLE.c.secret)).scalars():
        try:
            box.decrypt(secret)
        except SecretError:
            count += 1
    return count


def encrypt_all(connection: Connection, box: SecretBox) -> tuple[int, int]:
    """Encrypt all secrets with the first key.

    Return the number encrypted, and the number that no key decrypts, whose deliveries fail.
    """
    rows = connection.execute(select(_TABLE.c.subscription_id, _TABLE.c.secret)).all()
    encrypted = failed = 0
    for row in rows:
        if box.is_current(row.secret):
            continue
        try:
            secret = box.encrypt(box.decrypt(row.secret))
        except SecretError:
            failed += 1
            continue
        connection.execute(
            update(_TABLE)
            .where(_TABLE.c.subscription_id == row.subscription_id, _TABLE.c.secret == row.secret)
            .values(secret=secret)
        )
        encrypted += 1
    return encrypted, failed
