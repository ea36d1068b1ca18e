"""`headrace kafka`: just the local broker, in the foreground."""

import signal
from pathlib import Path
from typing import Annotated

import typer

from infra.broker import archive
from infra.broker.local_kafka import LocalKafka
from infra.cli_data_dir import DEFAULT, OwnDataDirOption
from infra.errors import UserError


def kafka(
    data_dir: OwnDataDirOption = DEFAULT,
    kafka_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Its port; a free one unless given.")
    ] = None,
) -> None:
    """Run the local Kafka broker until Ctrl-C."""
    # All ends are one: of the terminal, of the service manager, and the keys.
    for end in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(end, signal.default_int_handler)
    broker = LocalKafka(data_dir, port=kafka_port)
    try:
        archive.prepare()
        with broker:
            _tell(broker, data_dir)
            broker.process.wait()
            raise broker.failure()
    except OSError as error:
        raise UserError(
            f"The broker's files cannot be written in {data_dir}: {error.strerror}"
        ) from error
    except KeyboardInterrupt:
        typer.echo("The broker has ended.")


def _tell(broker: LocalKafka, data_dir: Path) -> None:
    typer.echo(f"Kafka is ready at {broker.bootstrap}, data in {data_dir.absolute()}.")
    typer.echo(f"  its log:            {broker.log}")
    typer.echo(f"  roles use it with:  HEADRACE_KAFKA__BOOTSTRAP_SERVERS={broker.bootstrap}")
    typer.echo("  Ctrl-C ends it; the data stays for the next start.")
