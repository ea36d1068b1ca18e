"""`headrace up`."""

from typing import Annotated

import typer

from infra.cli_data_dir import DEFAULT, OwnDataDirOption


def up(
    host: Annotated[str | None, typer.Option(help="Listen here. (default: 127.0.0.1)")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="For HTTP. (default: 8080)")
    ] = None,
    data_dir: OwnDataDirOption = DEFAULT,
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
    """Run everything on this machine: broker, topics, database, all roles.

    Ctrl-C, TERM and a hang-up end everything in order, with exit code 0; 130 if Ctrl-C came before
    all was ready, or twice. 1 if it could not start.
    """
    from rich.console import Console

    from infra.broker import archive
    from infra.broker.local_kafka import LocalKafka
    from infra.data_dir import DataDir
    from infra.errors import UsageError
    from infra.local import UpOptions, up_settings
    from infra.preflight import check_broker, check_database
    from infra.screen import Screen
    from infra.up import Up

    if kafka and kafka_port:
        raise UsageError("--kafka-port is of our own Kafka; --kafka names another: give one")
    options = UpOptions(host, port, kafka, database, partitions)
    settings, starts_broker = up_settings(data_dir, options)
    if database:
        _hide_arguments()
    check_database(settings.database)
    if not starts_broker:
        check_broker(settings.kafka)
    screen = Screen(Console())
    screen.title()
    broker = None
    if starts_broker:
        archive.prepare()
        broker = LocalKafka(data_dir, port=kafka_port)
    code = Up(settings, DataDir(data_dir), broker, screen).run()
    if code:
        raise typer.Exit(code)


def _hide_arguments() -> None:
    """Show no arguments to those who list processes: there may be a password among them."""
    from setproctitle import setproctitle

    setproctitle("headrace up")
