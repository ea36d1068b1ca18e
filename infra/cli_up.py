"""`headrace up`."""

from pathlib import Path
from typing import Annotated

import typer


def up(
    host: Annotated[str | None, typer.Option(help="Listen here. (default: 127.0.0.1)")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="For HTTP. (default: 8080)")
    ] = None,
    data_dir: Annotated[Path, typer.Option(help="Everything is kept here.")] = Path(".headrace"),
    kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Use this Kafka; start none.")
    ] = None,
    kafka_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Of our Kafka; a free one unless given.")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Of each topic, fixed at the first start. (default: 4)"),
    ] = None,
) -> None:
    """Run everything on this machine: broker, topics, database, all roles."""
    from rich.console import Console

    from infra.broker import archive
    from infra.broker.local_kafka import LocalKafka
    from infra.data_dir import DataDir
    from infra.errors import UsageError
    from infra.local import UpOptions, check_port, up_settings
    from infra.screen import Screen
    from infra.up import Up

    if kafka and kafka_port:
        raise UsageError("--kafka-port is of our own Kafka; --kafka names another: give one")
    _make(data_dir)
    options = UpOptions(host, port, kafka, database, partitions)
    settings, starts_broker = up_settings(data_dir, options)
    check_port(settings.api)
    screen = Screen(Console())
    screen.title()
    broker = None
    if starts_broker:
        archive.prepare()
        broker = LocalKafka(data_dir, port=kafka_port)
    Up(settings, DataDir(data_dir), broker, screen).run()


def _make(data_dir: Path) -> None:
    from infra.errors import UserError

    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{data_dir} cannot be the data directory: {error.strerror}") from error
