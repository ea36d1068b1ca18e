"""From the options of `headrace up` to settings."""

import ipaddress
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from infra.broker.ports import owner_of
from infra.data_dir import local_database, read_settings, with_kafka
from infra.errors import UsageError, UserError
from producer_api.listen import ListenError, listen
from schemas.brokers import normalize_brokers
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
    named = options.kafka
    if named is None and "bootstrap_servers" in settings.kafka.model_fields_set:
        named = settings.kafka.bootstrap_servers
    if named is None and settings.kafka.security_protocol != "PLAINTEXT":
        raise UserError(
            f"HEADRACE_KAFKA__SECURITY_PROTOCOL is {settings.kafka.security_protocol}, and the "
            "broker that is started here takes PLAINTEXT: name yours with --kafka or "
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS, or leave the setting out"
        )
    asked = {"host": options.host, "port": options.port}
    api = settings.api.model_copy(
        update={name: value for name, value in asked.items() if value is not None}
    )
    changed = {
        "api": api,
        "database": _database(settings, data_dir, options.database),
        "kafka": with_kafka(settings.kafka, _brokers(named), options.partitions),
    }
    return settings.model_copy(update=changed), named is None


def check_port(api: ApiSettings) -> None:
    """Raise `UserError` when nothing can listen at the address, before anything is started."""
    try:
        listen(api.host, api.port).close()
    except ListenError as error:
        raise cannot_listen(error, "--host and --port") from None


def cannot_listen(error: ListenError, choice: str) -> UserError:
    """Return the error of a server that cannot listen; `choice` names what another is given by."""
    owner = f" by {owner_of(error.port)}" if error.is_in_use else ""
    return UserError(f"{error}{owner}. Choose another with {choice}")


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


def _brokers(named: str | None) -> str:
    """Return the brokers as the client takes them; `UsageError` when they are none."""
    if named is None:
        return ""
    try:
        return normalize_brokers(named)
    except ValueError as error:
        raise UsageError(f"--kafka {error}") from error


def _database(settings: Settings, data_dir: Path, url: str | None) -> DatabaseSettings:
    if url is None:
        return local_database(settings.database, data_dir)
    try:
        return DatabaseSettings(url=url)
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        # Not `from error`, which would show a password.
        raise UsageError(f"--database {reason}") from None
