"""A role that cannot reach Kafka at its start."""

import asyncio
from collections.abc import Callable

import pytest
from aiokafka.errors import KafkaConnectionError

from headrace.roles import run
from headrace.roles.run import run_role
from schemas.kafka_settings import KafkaSettings
from schemas.settings import Settings
from streams.engine.worker import Worker


def test_a_role_that_cannot_reach_kafka_starts_again(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It must not exit: this would end `headrace up`, which had to wait for a busy broker."""
    monkeypatch.setattr(run, "_RESTART_SECONDS", 0.01)
    workers: list[Worker] = []

    async def work(
        settings: Settings, _stop: asyncio.Event, watch: Callable[[Worker], None]
    ) -> None:
        workers.append(Worker("tests", settings.kafka))
        watch(workers[-1])
        await asyncio.sleep(0)  # its metrics are registered now
        if len(workers) == 1:
            raise KafkaConnectionError("Unable to bootstrap")

    run_role("tests", work, Settings(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:9")), None)

    assert len(workers) == 2
    assert "Unable to bootstrap); starting again" in capfd.readouterr().err
