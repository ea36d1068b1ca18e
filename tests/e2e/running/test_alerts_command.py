"""`headrace alerts` on a running stack: the printed secret verifies the messages."""

import asyncio
import os
import sys

import pytest

from tests.e2e.stack import Stack
from tests.integration.sinks.receivers import good, receiving

pytestmark = pytest.mark.timeout(300)


async def test_a_subscription_is_added_and_tested_from_the_command_line(stack: Stack) -> None:
    """A test message is delivered and signed; that of a receiver that is gone is reported."""

    async def headrace(*arguments: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "headrace", *arguments, "--data-dir", str(stack.data_dir)),
            env={**os.environ, **stack.settings},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode, output.decode().strip()

    async with receiving(good) as receiver:
        options = ("--site", "by-command", "--rule", "payment", "--url", receiver.url)
        code, output = await headrace("alerts", "add", *options)
        assert code == 0, output
        (name, *_), secret = output.split(), output.splitlines()[-1]
        code, output = await headrace("alerts", "test", name)

        assert (code, output[:14]) == (0, "Delivered: 204"), output
        [message] = receiver.messages
        assert message.verified(secret)["type"] == "test"
    code, output = await headrace("alerts", "test", name)
    assert code == 1
    assert "did not accept the test message" in output
