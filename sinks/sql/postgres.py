"""Connections to PostgreSQL, directly or through a pooler that shares sessions (ADR 35)."""

import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from schemas.postgres_url import SYSTEM_AUTHORITIES, PostgresUrl, parse_postgres_url
from sinks.sql.errors import RightMissing
from sinks.sql.statements import HAS_ROW_TYPES, create_postgres_types
from sinks.sql.tables import METADATA
from sinks.sql.types import from_pg_time, to_pg_time

log = logging.getLogger(__name__)

#: Seconds after which PostgreSQL ends the transaction of a process that stands still in it,
#: so that the row it has locked is free for the partition's new owner.
IDLE_IN_TRANSACTION_SECONDS = 10
_CONNECT_SECONDS = 5

#: Passed to the driver within a URL, since its arguments cannot express them.
_TLS = (
    *("sslcert", "sslkey", "sslpassword", "sslcrl", "sslrootcert", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
)
_ARGUMENTS = ("passfile", "krbsrvname", "gsslib", "target_session_attrs")
_IS_POOLED = "headrace.is_pooled"
_IDLE = f"idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_SECONDS * 1000}"
_numbers = itertools.count()
#: What another host may not answer with: this one is away, starting, or of the wrong kind.
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
    takes_batches: bool = False,
    connections: int = 4,
) -> AsyncEngine:
    """Return an engine; by default with as many connections as a worker has partitions of a topic.

    No `pool_pre_ping`: it costs a fifth of the speed of small batches, and a connection that
    ended while idle is one attempt that `Patience` makes again.
    """
    parsed = parse_postgres_url(url)
    if parsed.ignored:
        log.info("the database URL's %s: without effect in headrace", ", ".join(parsed.ignored))
    engine = create_async_engine(
        "postgresql+asyncpg://",  # the address is in the arguments: SQLAlchemy would decode it
        hide_parameters=True,
        pool_size=connections,
        max_overflow=0,
        pool_recycle=1800,
        connect_args=connect_arguments(parsed, statement_seconds),
    )
    _Sessions(is_pooled=parsed.is_pooled or None, takes_batches=takes_batches).listen(engine)
    return engine


def connect_arguments(url: PostgresUrl, statement_seconds: float | None) -> dict[str, Any]:
    """Return the arguments of `asyncpg.connect`."""
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
        tls["sslrootcert"], mode = _system_authorities(), "verify-full"
    if mode is not None:
        tls["sslmode"] = mode
    wait = values.get("connect_timeout")
    return {
        "dsn": f"postgresql://?{urlencode(tls, quote_via=quote)}" if tls else None,
        "host": list(url.hosts) or None,
        "port": list(url.ports) or None,
        "user": url.user,
        "password": url.password,
        "database": url.database,
        "timeout": _CONNECT_SECONDS if wait is None else int(wait) or None,
        "command_timeout": statement_seconds,
        "server_settings": settings,
        # The driver's own cache names statements alike in every process; see `_Sessions`.
        "statement_cache_size": 0,
        **{name: values[name] for name in _ARGUMENTS if name in values},
    }


class _Sessions:
    """Prepares sessions, after finding out at the first whether a pooler shares them.

    Through PgBouncer in transaction mode, each transaction may be on another session: prepared
    statements, settings and temporary types do not outlive it. Such a pooler answers with a
    process id of its own when a connection is made, by which it is recognized.
    """

    def __init__(self, *, is_pooled: bool | None, takes_batches: bool) -> None:
        self._is_pooled = is_pooled
        self._takes_batches = takes_batches

    def listen(self, engine: AsyncEngine) -> None:
        """Prepare each connection of the engine when it is made."""
        event.listen(engine.sync_engine, "do_connect", self._connect)
        event.listen(engine.sync_engine, "connect", self._prepare)
        event.listen(engine.sync_engine, "begin", self._begin)

    def _connect(
        self, dialect: Any, _record: object, positional: Any, arguments: dict[str, Any]
    ) -> Any:
        def connect() -> Any:
            failed: Exception | None = None
            for host in _each_host(arguments):
                try:
                    return dialect.connect(*positional, **host, **self._statements())
                except Exception as error:
                    # SQLAlchemy wraps what asyncpg raises, but for OSError.
                    causes = (error, error.__cause__)
                    if not any(isinstance(cause, _TRY_NEXT_HOST) for cause in causes):
                        raise
                    failed = error
            raise failed or RuntimeError("no host")

        was_known = self._is_pooled is not None
        connection = connect()
        if not was_known:  # also if another connection has found it out meanwhile
            self._is_pooled = connection.run_async(_is_pooled)
            if self._is_pooled:
                log.info("PostgreSQL is behind a pooler: no state is kept in its sessions")
                connection.close()
                connection = connect()
        return connection

    def _statements(self) -> dict[str, int | Callable[[], str]]:
        """Return how statements are prepared: without a name where sessions are shared."""
        if self._is_pooled:
            return {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str}
        return {"prepared_statement_name_func": lambda: f"headrace_{next(_numbers)}"}

    def _prepare(self, connection: Any, record: Any) -> None:
        connection.run_async(_use_exact_times)
        record.info[_IS_POOLED] = self._is_pooled
        record.info[HAS_ROW_TYPES] = self._takes_batches and not self._is_pooled
        if self._is_pooled:
            return
        connection.run_async(lambda session: session.execute(f"SET {_IDLE}"))
        if self._takes_batches:
            _make_types(connection)

    def _begin(self, connection: Connection) -> None:
        if connection.info[_IS_POOLED]:
            connection.exec_driver_sql(f"SET LOCAL {_IDLE}")


def _each_host(arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the arguments for one host after another, each with the whole time to connect.

    asyncpg has one deadline for all hosts, which the first that does not answer would use up.
    """
    if not arguments["host"]:
        yield arguments
        return
    wanted = arguments.get("target_session_attrs", "any")
    for attributes in ("standby", "any") if wanted == "prefer-standby" else (wanted,):
        for host, port in zip(arguments["host"], arguments["port"], strict=True):
            one = {"host": host, "port": port, "target_session_attrs": attributes}
            yield {**arguments, **one}


async def _is_pooled(session: Any) -> bool:
    return bool(await session.fetchval("SELECT pg_backend_pid()") != session.get_server_pid())


async def _use_exact_times(session: Any) -> None:
    """Have asyncpg read and write the first and the last time of all as any other.

    By itself it takes them for minus and plus infinity, and fails at times beyond the year 9999.
    """
    await session.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        encoder=to_pg_time,
        decoder=from_pg_time,
        format="tuple",
    )


def _make_types(connection: Any) -> None:
    script = create_postgres_types(METADATA.sorted_tables)
    try:
        connection.run_async(lambda session: session.execute(script))
    except asyncpg.InsufficientPrivilegeError as error:
        raise RightMissing(
            f"PostgreSQL refuses types for batches ({error}): as its administrator, run "
            "`GRANT TEMPORARY ON DATABASE` for this database and user"
        ) from error


def _system_authorities() -> str:
    """Return the file of the authorities that the system trusts; `OSError` where there is none."""
    import ssl  # noqa: PLC0415 - for this alone

    paths = ssl.get_default_verify_paths()
    if paths.cafile is None:
        raise FileNotFoundError(
            "sslrootcert=system: this system has no file of trusted authorities; name one with "
            "SSL_CERT_FILE"
        )
    return paths.cafile
