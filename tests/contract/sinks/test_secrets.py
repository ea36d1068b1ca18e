"""Secrets of subscriptions are encrypted at rest, on both engines."""

import base64
import os
from datetime import UTC, datetime
from functools import partial

import pytest

from sinks.delivery.secret_box import SecretBox, SecretError, encrypt_all
from sinks.delivery.sender import Sender
from sinks.delivery.service import Subscriptions
from sinks.sql.tables import SubscriptionRow
from tests.contract.sinks.place import BODY, Harness
from tests.contract.sinks.samples import contents


def key() -> str:
    """Return a new key."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


async def stored(harness: Harness) -> str:
    """Return the stored secret of the only subscription."""
    [row] = await contents(harness.url, SubscriptionRow)
    return str(row["secret"])


async def test_a_secret_is_encrypted_and_returned_once(harness: Harness) -> None:
    """The database has nothing that signs a delivery without the key."""
    box = SecretBox([key()])
    service = Subscriptions(
        harness.database,
        harness.reader,
        harness.topic.publish,
        harness.service._resolver,  # noqa: SLF001 - our own
        allow_private=False,
        box=box,
    )

    created = await service.create(BODY)

    in_database = await stored(harness)
    assert created["secret"].startswith("whsec_")
    assert created["secret"] not in in_database
    assert box.decrypt(in_database) == created["secret"]


async def test_plain_secrets_are_encrypted_and_keys_rotated(harness: Harness) -> None:
    """By the first key, once; then the older key is no longer needed."""
    secret = (await harness.service.create(BODY))["secret"]
    first, second = key(), key()
    for keys, expected in (([first], 1), ([first], 0), ([second, first], 1), ([second], 0)):
        encrypt = partial(encrypt_all, box=SecretBox(keys))
        assert await harness.database.run(encrypt) == (expected, 0)

    assert SecretBox([second]).decrypt(await stored(harness)) == secret
    with pytest.raises(SecretError, match="HEADRACE_SECRETS__KEY_FILE"):
        SecretBox([first]).decrypt(await stored(harness))


async def test_a_missing_key_fails_the_delivery_and_keeps_the_secret(harness: Harness) -> None:
    """The reason names the setting; the right key still decrypts it."""
    secret = (await harness.service.create(BODY))["secret"]
    right = SecretBox([key()])
    await harness.database.run(partial(encrypt_all, box=right))

    wrong = SecretBox([key()])
    assert await harness.database.run(partial(encrypt_all, box=wrong)) == (0, 1)
    async with Sender(allow_private=True, box=wrong) as sender:
        outcome = await sender.send(
            "http://127.0.0.1:9/", await stored(harness), "id", "{}", datetime.now(UTC)
        )

    assert "HEADRACE_SECRETS__KEY_FILE" in (outcome.error or "")
    assert right.decrypt(await stored(harness)) == secret
