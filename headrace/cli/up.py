"""`headrace up`."""

from typing import Annotated

import typer

from headrace.local.data_dir_option import DEFAULT, NewDataDirOption

_Workers = Annotated[
    int | None,
    typer.Option(min=1, max=64, help="Workers of the role. (default: by the number of cores)"),
]


def up(
    host: Annotated[str | None, typer.Option(help="Listen address. (default: 127.0.0.1)")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="HTTP port. (default: 8080)")
    ] = None,
    data_dir: NewDataDirOption = DEFAULT,
    kafka: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Use this Kafka cluster instead of a local broker."),
    ] = None,
    kafka_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the local broker. (default: a free one)"),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="Partitions per topic, at the first start. (default: 4)"
        ),
    ] = None,
    streams: _Workers = None,
    sinks: _Workers = None,
    web: _Workers = None,
) -> None:
    """Run everything on this machine: broker, topics, database, all roles.

    Ctrl-C, SIGTERM and SIGHUP stop everything gracefully. The exit code is 0, 1 if the startup
    failed, and 130 after Ctrl-C during the startup or a second Ctrl-C.
    """
    from rich.console import Console

    from headrace.errors import UsageError
    from headrace.local.broker import archive
    from headrace.local.broker.local_kafka import LocalKafka
    from headrace.local.data_dir import DataDir
    from headrace.local.options import UpOptions, up_settings
    from headrace.up.preflight import check_broker, check_database
    from headrace.up.roles import RequestedCounts, available_cores, worker_counts
    from headrace.up.run import Plan, Up
    from headrace.up.start_screen import Screen

    if kafka and kafka_port:
        raise UsageError(
            "--kafka-port sets the port of the local broker, which --kafka replaces: use only one "
            "of them"
        )
    options = UpOptions(host, port, kafka, database, partitions)
    settings, starts_broker, remembered, saved = up_settings(data_dir, options)
    requested = RequestedCounts(web, streams, sinks)
    counts = worker_counts(settings, requested, available_cores())
    if database:
        _hide_arguments()
    check_database(settings.database)
    if not starts_broker:
        check_broker(settings.kafka)
    screen = Screen(Console())
    screen.title()
    screen.remembered(remembered, data_dir)
    broker = None
    if starts_broker:
        archive.prepare()
        broker = LocalKafka(data_dir, port=kafka_port)
    code = Up(Plan(settings, counts, saved), DataDir(data_dir), broker, screen).run()
    if code:
        raise typer.Exit(code)


def _hide_arguments() -> None:
    """Hide the arguments from `ps`: the database URL may contain a password."""
    from setproctitle import setproctitle

    setproctitle("headrace up")
