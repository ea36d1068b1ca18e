"""Connections to PostgreSQL, directly or through a transaction-mode pooler (ADR 35)."""

import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from schemas.postgres_url import SYSTEM_AUTHORITIES, PostgresUrl, parse_postgres_url
from sinks.sql.errors import InsufficientPrivilege
from sinks.sql.statements import HAS_ROW_TYPES, create_postgres_types
from sinks.sql.tables import METADATA
from sinks.sql.types import from_pg_time, to_pg_time

log = logging.getLogger(__name__)

#: `idle_in_transaction_session_timeout`: releases the row locks of a stalled process, so that the
#: partition's new owner can write.
IDLE_IN_TRANSACTION_SECONDS = 10
_CONNECT_SECONDS = 5

#: URL parameters that asyncpg accepts only in a DSN.
_TLS = (
    *("sslcert", "sslkey", "sslpassword", "sslcrl", "sslrootcert", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
)
_ARGUMENTS = ("passfile", "krbsrvname", "gsslib", "target_session_attrs")
_IS_POOLED = "headrace.is_pooled"
_IDLE_TIMEOUT = f"idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_SECONDS * 1000}"
_statement_numbers = itertools.count()
#: The host is down, starting up, or does not match `target_session_attrs`: try the next one.
_TRY_NEXT_HOST = (
    OSError,
    asyncpg.TargetServerAttributeNotMatched,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
)


def postgres_engine(
    url: str,
    statement_seconds: float | None,
    *,
    use_row_types: bool = False,
    connections: int = 4,
) -> AsyncEngine:
    """Return an engine that connects when first used.

    `pool_pre_ping` is off, because it costs small batches a fifth of their throughput; `Retrier`
    retries after a connection was lost while idle.
    """
    parsed = parse_postgres_url(url)
    if parsed.ignored:
        log.info("parameters of the database URL are ignored: %s", ", ".join(parsed.ignored))
    engine = create_async_engine(
        "postgresql+asyncpg://",  # the address is in connect_args: SQLAlchemy would decode it
        hide_parameters=True,
        pool_size=connections,
        max_overflow=0,
        pool_recycle=1800,
        connect_args=connect_arguments(parsed, statement_seconds),
    )
    _SessionSetup(is_pooled=parsed.is_pooled or None, use_row_types=use_row_types).listen(engine)
    return engine


def connect_arguments(url: PostgresUrl, statement_seconds: float | None) -> dict[str, Any]:
    """Return the keyword arguments of `asyncpg.connect`."""
    values = url.parameters
    settings = {
        "application_name": values.get("application_name")
        or values.get("fallback_application_name", "headrace")
    }
    if options := values.get("options"):
        settings["options"] = options
    if schema := values.get("schema", "public").replace('"', '""'):
        settings |= {"search_path": f'"{schema}"'} if schema != "public" else {}
    tls = {name: values[name] for name in _TLS if name in values}
    mode = url.ssl_mode
    if tls.get("sslrootcert") == SYSTEM_AUTHORITIES:
        tls["sslrootcert"], mode = _system_ca_file(), "verify-full"
    if mode is not None:
        tls["sslmode"] = mode
    connect_timeout = values.get("connect_timeout")
    return {
        "dsn": f"postgresql://?{urlencode(tls, quote_via=quote)}" if tls else None,
        "host": list(url.hosts) or None,
        "port": list(url.ports) or None,
        "user": url.user,
        "password": url.password,
        "database": url.database,
        "timeout": _CONNECT_SECONDS if connect_timeout is None else int(connect_timeout) or None,
        "command_timeout": statement_seconds,
        "server_settings": settings,
        # The driver's own cache uses the same statement names in every process.
        "statement_cache_size": 0,
        **{name: values[name] for name in _ARGUMENTS if name in values},
    }


class _SessionSetup:
    """Sets up each session, and detects at the first connection whether a pooler shares sessions.

    With PgBouncer in transaction mode, each transaction may use another session, so prepared
    statements, settings and temporary types do not outlive it. Such a pooler is detected because
    it reports its own backend process id when a connection is made, not the server's.
    """

    def __init__(self, *, is_pooled: bool | None, use_row_types: bool) -> None:
        self._is_pooled = is_pooled
        self._use_row_types = use_row_types

    def listen(self, engine: AsyncEngine) -> None:
        """Set up each connection of the engine when it is made."""
        event.listen(engine.sync_engine, "do_connect", self._connect)
        event.listen(engine.sync_engine, "connect", self._prepare)
        event.listen(engine.sync_engine, "begin", self._begin)

    def _connect(
        self, dialect: Any, _record: object, positional: Any, arguments: dict[str, Any]
    ) -> Any:
        def connect() -> Any:
            last_error: Exception | None = None
            for host in _each_host(arguments):
                try:
                    return dialect.connect(*positional, **host, **self._statements())
                except Exception as error:
                    # SQLAlchemy wraps asyncpg's errors, except OSError.
                    causes = (error, error.__cause__)
                    if not any(isinstance(cause, _TRY_NEXT_HOST) for cause in causes):
                        raise
                    last_error = error
            raise last_error or RuntimeError("no host")

        is_detected = self._is_pooled is not None
        connection = connect()
        if not is_detected:  # even if a concurrent connection has detected it
            self._is_pooled = connection.run_async(_is_pooled)
            if self._is_pooled:
                log.info(
                    "PostgreSQL is behind a transaction-mode pooler; session state is not used"
                )
                connection.close()
                connection = connect()
        return connection

    def _statements(self) -> dict[str, int | Callable[[], str]]:
        """Return the options of prepared statements: unnamed ones if sessions are shared."""
        if self._is_pooled:
            return {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str}
        return {"prepared_statement_name_func": lambda: f"headrace_{next(_statement_numbers)}"}

    def _prepare(self, connection: Any, record: Any) -> None:
        connection.run_async(_set_timestamp_codec)
        record.info[_IS_POOLED] = self._is_pooled
        record.info[HAS_ROW_TYPES] = self._use_row_types and not self._is_pooled
        if self._is_pooled:
            return
        connection.run_async(lambda session: session.execute(f"SET {_IDLE_TIMEOUT}"))
        if self._use_row_types:
            _create_row_types(connection)

    def _begin(self, connection: Connection) -> None:
        if connection.info[_IS_POOLED]:
            connection.exec_driver_sql(f"SET LOCAL {_IDLE_TIMEOUT}")


def _each_host(arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the connection arguments of each host, so that each has the full connect timeout.

    asyncpg applies one timeout to all hosts, so a host that does not answer would use it up.
    """
    if not arguments["host"]:
        yield arguments
        return
    required = arguments.get("target_session_attrs", "any")
    for attributes in ("standby", "any") if required == "prefer-standby" else (required,):
        for host, port in zip(arguments["host"], arguments["port"], strict=True):
            yield {**arguments, "host": host, "port": port, "target_session_attrs": attributes}


async def _is_pooled(session: Any) -> bool:
    return bool(await session.fetchval("SELECT pg_backend_pid()") != session.get_server_pid())


async def _set_timestamp_codec(session: Any) -> None:
    """Replace asyncpg's codec of `timestamptz`.

    asyncpg maps `datetime.min` and `datetime.max` to infinity, and fails beyond the year 9999.
    """
    await session.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        encoder=to_pg_time,
        decoder=from_pg_time,
        format="tuple",
    )


def _create_row_types(connection: Any) -> None:
    script = create_postgres_types(METADATA.sorted_tables)
    try:
        connection.run_async(lambda session: session.execute(script))
    except asyncpg.InsufficientPrivilegeError as error:
        raise InsufficientPrivilege(
            f"PostgreSQL does not allow temporary types for batches ({error}): as a superuser, run "
            "`GRANT TEMPORARY ON DATABASE` for this database and user"
        ) from error


def _system_ca_file() -> str:
    """Return the path of the system's CA certificates; `FileNotFoundError` if there is none."""
    import ssl  # noqa: PLC0415 - rarely needed

    paths = ssl.get_default_verify_paths()
    if paths.cafile is None:
        raise FileNotFoundError(
            "sslrootcert=system: this system has no file of CA certificates; set SSL_CERT_FILE "
            "to one"
        )
    return paths.cafile
