"""Runs commands on a migrated database, with a topic in memory instead of Kafka."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.cli.main import app
from sinks.delivery.publisher import PublishConfiguration
from tests.fixtures.migrated import create_migrated

Run = Callable[..., Any]


def replace_topic(monkeypatch: pytest.MonkeyPatch, service: ModuleType) -> dict[str, Any]:
    """Return the records by key that a service publishes from now on."""
    records: dict[str, Any] = {}

    async def publish(key: str, record: Any) -> None:
        records[key] = record

    @asynccontextmanager
    async def open_publisher(*_: object) -> AsyncIterator[PublishConfiguration]:
        yield publish

    monkeypatch.setattr(service, "open_publisher", open_publisher)
    return records


def command_runner(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> Run:
    """Return a function that runs a command on a migrated database."""
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    create_migrated(f"sqlite:///{data_dir}/headrace.db")

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, [*arguments, "--data-dir", str(data_dir)])

    return run
