"""From the options of `headrace up` to settings."""

import errno
import ipaddress
import os
import socket
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from infra.broker.ports import owner_of
from infra.data_dir import local_database, read_settings, with_kafka
from infra.errors import UsageError, UserError
from schemas.settings import ApiSettings, DatabaseSettings, Settings


class UpOptions(NamedTuple):
    """The options of `headrace up`; None where it was not given."""

    host: str | None
    port: int | None
    kafka: str | None
    database: str | None
    partitions: int | None


def up_settings(data_dir: Path, options: UpOptions) -> tuple[Settings, bool]:
    """Return the settings, options first, and whether a broker is to be started.

    None is where `--kafka` or HEADRACE_KAFKA__BOOTSTRAP_SERVERS names one.
    """
    settings = read_settings()
    named = options.kafka or (
        settings.kafka.bootstrap_servers
        if "bootstrap_servers" in settings.kafka.model_fields_set
        else None
    )
    asked = {"host": options.host, "port": options.port}
    api = settings.api.model_copy(
        update={name: value for name, value in asked.items() if value is not None}
    )
    changed = {
        "api": api,
        "database": _database(settings, data_dir, options.database),
        "kafka": with_kafka(settings.kafka, named or "", options.partitions),
    }
    return settings.model_copy(update=changed), named is None


def check_port(api: ApiSettings) -> None:
    """Raise `UserError` when nothing can listen at the address, before anything is started."""
    family = socket.AF_INET6 if ":" in api.host else socket.AF_INET
    try:
        socket.create_server((api.host, api.port), family=family).close()
    except OSError as error:
        raise UserError(
            f"Cannot listen on {api.host} port {api.port}: {_reason(error, api.port)}. "
            "Choose another with --host and --port"
        ) from error


def address_of(api: ApiSettings) -> str:
    """Return where this machine reaches the HTTP side."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(api.host, api.host)  # noqa: S104
    return f"http://[{host}]:{api.port}" if ":" in host else f"http://{host}:{api.port}"


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address; a name but localhost may be anyone's."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"it is taken by {owner_of(port)}"
    return os.strerror(error.errno) if error.errno else str(error)


def _database(settings: Settings, data_dir: Path, url: str | None) -> DatabaseSettings:
    if url is None:
        return local_database(settings.database, data_dir)
    try:
        return DatabaseSettings(url=url)
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise UsageError(f"--database {reason}") from error
