"""The settings of `headrace up`, from its options."""

import ipaddress
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from headrace.errors import UsageError, UserError
from headrace.local import saved_options
from headrace.local.broker.ports import owner_of
from headrace.local.data_dir import load_saved, local_database, read_settings, with_kafka
from headrace.local.saved_options import SavedOptions
from producer_api.http.listen import ListenError, listen
from schemas.brokers import normalize_brokers
from schemas.settings import ApiSettings, DatabaseSettings, Settings


class UpOptions(NamedTuple):
    """The options of `headrace up`; None if an option was not given."""

    host: str | None
    port: int | None
    kafka: str | None
    database: str | None
    partitions: int | None


class UpSettings(NamedTuple):
    """The settings of `headrace up`.

    `remembered` are the options of an earlier start that apply to this one, and `saved` those to
    save after this start.
    """

    settings: Settings
    starts_broker: bool
    remembered: SavedOptions
    saved: SavedOptions


def up_settings(data_dir: Path, options: UpOptions) -> UpSettings:
    """Return the settings with the options applied.

    A local broker is started unless `--kafka` or HEADRACE_KAFKA__BOOTSTRAP_SERVERS is set, or
    `--kafka` was given at an earlier start.
    """
    is_in_environment = "bootstrap_servers" in read_settings().kafka.model_fields_set
    settings, used = load_saved(data_dir)
    brokers = options.kafka
    if brokers is None and "bootstrap_servers" in settings.kafka.model_fields_set:
        brokers = settings.kafka.bootstrap_servers
    if brokers is None and settings.kafka.security_protocol != "PLAINTEXT":
        raise UserError(
            f"HEADRACE_KAFKA__SECURITY_PROTOCOL is {settings.kafka.security_protocol}, and the "
            "local broker supports only PLAINTEXT: specify your cluster with --kafka or "
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS, or remove the setting"
        )
    overrides = {"host": options.host, "port": options.port}
    api = settings.api.model_copy(
        update={name: value for name, value in overrides.items() if value is not None}
    )
    if "sites" not in settings.api.model_fields_set and is_loopback(api.host):
        api = api.model_copy(update={"sites": "open"})
    changed = {
        "api": api,
        "database": _database(settings, data_dir, options.database),
        "kafka": with_kafka(settings.kafka, _normalized(brokers), options.partitions),
    }
    settings = settings.model_copy(update=changed)
    remembered = SavedOptions(
        kafka=None if options.kafka else used.kafka,
        database=None if options.database else used.database,
    )
    before = saved_options.load(data_dir)
    is_other = is_in_environment and not options.kafka
    saved = SavedOptions(
        kafka=options.kafka or before.kafka,
        database=options.database or before.database,
        partitions=before.partitions if is_other else settings.kafka.partitions,
    )
    return UpSettings(settings, brokers is None, remembered, saved)


def check_port(api: ApiSettings) -> None:
    """Raise UserError if the server cannot listen on its address."""
    try:
        listen(api.host, api.port).close()
    except ListenError as error:
        raise cannot_listen(error, "--host and --port") from None


def cannot_listen(error: ListenError, options: str) -> UserError:
    """Return the error for an address on which a server cannot listen.

    `options` are the names of the options or settings that change it.
    """
    owner = f" by {owner_of(error.port)}" if error.is_in_use else ""
    return UserError(f"{error}{owner}. Choose another with {options}")


def address_of(api: ApiSettings) -> str:
    """Return the base URL of the HTTP server, as seen from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(api.host, api.host)  # noqa: S104
    return f"http://[{host}]:{api.port}" if ":" in host else f"http://{host}:{api.port}"


def is_loopback(host: str) -> bool:
    """Return True if an address is a loopback address or `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _normalized(brokers: str | None) -> str:
    """Return the broker addresses in the client's format. Raises UsageError if one is invalid."""
    if brokers is None:
        return ""
    try:
        return normalize_brokers(brokers)
    except ValueError as error:
        raise UsageError(f"--kafka {error}") from error


def _database(settings: Settings, data_dir: Path, url: str | None) -> DatabaseSettings:
    if url is None:
        return local_database(settings.database, data_dir)
    try:
        return DatabaseSettings(url=url)
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        # Not `from error`, which may contain a password.
        raise UsageError(f"--database {reason}") from None
