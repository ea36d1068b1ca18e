"""`headrace kafka`: run the local broker in the foreground."""

import signal
from pathlib import Path
from typing import Annotated

import typer

from headrace.errors import UserError
from headrace.local.broker import archive
from headrace.local.broker.local_kafka import LocalKafka
from headrace.local.data_dir_option import DEFAULT, NewDataDirOption


def kafka(
    data_dir: NewDataDirOption = DEFAULT,
    kafka_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port. (default: a free one)")
    ] = None,
) -> None:
    """Run the local Kafka broker until Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # handled like Ctrl-C
        signal.signal(number, signal.default_int_handler)
    broker = LocalKafka(data_dir, port=kafka_port)
    try:
        archive.prepare()
        with broker:
            _print_address(broker, data_dir)
            broker.process.wait()
            raise broker.failure()
    except OSError as error:
        raise UserError(
            f"The broker's files cannot be written in {data_dir}: {error.strerror}"
        ) from error
    except KeyboardInterrupt:
        typer.echo("The broker has stopped.")


def _print_address(broker: LocalKafka, data_dir: Path) -> None:
    typer.echo(f"Kafka is ready at {broker.bootstrap}, data in {data_dir.absolute()}.")
    typer.echo(f"  log:                {broker.log}")
    typer.echo(f"  settings of roles:  HEADRACE_KAFKA__BOOTSTRAP_SERVERS={broker.bootstrap}")
    typer.echo("  Ctrl-C stops it; the data is kept.")
