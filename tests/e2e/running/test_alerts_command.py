"""`headrace alerts` on a running stack: the printed secret verifies the messages."""

import asyncio

import pytest

from tests.e2e.stack import Stack
from tests.integration.sinks.receivers import good, receiving

pytestmark = pytest.mark.timeout(300)


async def test_a_subscription_is_added_and_tested_from_the_command_line(stack: Stack) -> None:
    """A test message is delivered and signed; that of a receiver that is gone is reported."""
    async with receiving(good) as receiver:
        options = ("--site", "by-command", "--rule", "payment", "--url", receiver.url)
        output = await asyncio.to_thread(stack.headrace, "alerts", "add", *options)
        (name, *_), secret = output.split(), output.splitlines()[-1]
        output = await asyncio.to_thread(stack.headrace, "alerts", "test", name)

        assert output.startswith("Delivered: 204")
        [message] = receiver.messages
        assert message.verified(secret)["type"] == "test"
    failed = await asyncio.to_thread(stack.invoke, "alerts", "test", name)
    assert failed.exit_code == 1
    assert "did not accept the test message" in str(failed.exception)
