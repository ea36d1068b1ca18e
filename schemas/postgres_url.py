"""Parsing of PostgreSQL URLs, as libpq defines them. No I/O.

Errors contain no part of the URL except names of parameters, and only those that cannot be part of
a password.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from urllib.parse import unquote

from schemas.postgres_parameters import NO, PARAMETERS, YES

_SCHEME = re.compile(r"postgres(?:ql)?(?:\+(?:asyncpg|psycopg|psycopg2))?://")
_ENCODE = (
    "write @ : / ? # % [ ] and spaces in its user name or password percent-encoded "
    "(%40 %3A %2F %3F %23 %25 %5B %5D %20)"
)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NOT_IN_A_URL = re.compile(r"[\s\x00-\x1f\x7f#\"'<>`\\]")
_HOST_AND_PORT = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<name>[^:\[\]]*))(?::(?P<port>.*))?"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_LABEL = 63
_MAX_PORT = 65_535
_DEFAULT_PORT = 5_432
_TLS_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
#: libpq's value of `sslrootcert` for the CA certificates of the system.
SYSTEM_AUTHORITIES = "system"


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A parsed and decoded URL. `hosts` is empty if the driver's default applies.

    `parameters` are the remaining ones; `ignored` are those without effect.
    """

    hosts: tuple[str, ...]
    ports: tuple[int, ...]
    user: str | None
    password: str | None = field(repr=False)
    database: str | None
    parameters: dict[str, str] = field(repr=False)
    ignored: tuple[str, ...] = ()

    @property
    def redacted(self) -> str:
        """The URL without password and parameters, for messages."""
        pairs = zip(self.hosts, self.ports, strict=True)
        hosts = ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in pairs
        )
        user = f"{self.user}@" if self.user else ""
        return f"postgresql://{user}{hosts}/{self.database or ''}"

    @property
    def is_pooled(self) -> bool:
        """True if the parameters indicate a transaction pooler such as PgBouncer."""
        return (
            self.parameters.get("pgbouncer") in YES
            or self.parameters.get("prepared_statements") in NO
            or self.parameters.get("statement_cache_size") == "0"
        )

    @property
    def ssl_mode(self) -> str | None:
        """The value of `sslmode`, else of `ssl`; None for the driver's default, `prefer`."""
        short = self.parameters.get("ssl")
        if short in YES:
            short = "require"
        elif short in NO:
            short = "disable"
        return self.parameters.get("sslmode") or short

    @property
    def tls_files(self) -> dict[str, str]:
        """The certificate and key files by parameter."""
        files = {name: self.parameters[name] for name in _TLS_FILES if name in self.parameters}
        if files.get("sslrootcert") == SYSTEM_AUTHORITIES:
            del files["sslrootcert"]
        return files


def parse_postgres_url(url: str) -> PostgresUrl:
    """Parse a URL. Raise ValueError with what to change."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise ValueError("must begin with postgresql:// or postgres://")
    rest = url[scheme.end() :]
    _check_characters(rest)
    address, _, query = rest.partition("?")
    authority, _, path = address.partition("/")
    login, at, hostspec = authority.rpartition("@")
    if "@" in login or "@" in path or "@" in query:
        raise ValueError(f"has too many @: {_ENCODE}")
    user, colon, password = login.partition(":")
    if ":" in password:
        raise ValueError(f"has too many : before its @: {_ENCODE}")
    (values, ignored) = _parameters(query)
    hosts, ports = _hosts(values.pop("host", None), values.pop("port", None), hostspec)
    parsed = PostgresUrl(
        hosts,
        ports,
        values.pop("user", None) or (_decoded(user) if at and user else None),
        values.pop("password", None) or (_decoded(password) if colon else None),
        values.pop("dbname", None) or _decoded(path) or None,
        values,
        tuple(ignored),
    )
    _check_tls(parsed)
    return parsed


def _check_characters(rest: str) -> None:
    if _BAD_ESCAPE.search(rest):
        raise ValueError(f"has a % that is not followed by two hexadecimal digits: {_ENCODE}")
    if _NOT_IN_A_URL.search(rest):
        raise ValueError(
            f"has a character that is not allowed in a URL, such as # or a space: {_ENCODE}"
        )


def _parameters(query: str) -> tuple[dict[str, str], list[str]]:
    """Return the parameters by name, and the names of the ignored ones."""
    values: dict[str, str] = {}
    ignored: list[str] = []
    for name, value in _pairs(query):
        parameter = PARAMETERS.get(name)
        if parameter is None:
            near = get_close_matches(name, PARAMETERS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"has the parameter {name}, which is unknown{hint}")
        if parameter.same_as:
            name, parameter = parameter.same_as, PARAMETERS[parameter.same_as]  # noqa: PLW2901
        if not value:
            continue  # the default, as in libpq
        if parameter.values and value not in parameter.values:
            raise ValueError(_rejection(name, parameter.values, parameter.rejection))
        if parameter.is_ignored:
            ignored.append(name)
        else:
            values[name] = value
    _check_number(values, "connect_timeout")
    _check_number(values, "statement_cache_size")
    return values, ignored


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise ValueError(
                f"has something after its ? that is not name=value: {_ENCODE}, and separate "
                "parameters with &"
            )
        yield name, _decoded(value)


def _rejection(name: str, values: tuple[str, ...], why: str) -> str:
    if values == ("",):
        return f"has the parameter {name}, which cannot be used: {why}"
    accepted = f"{name} must be {' or '.join(values)}"
    return f"has a value of {name} that cannot be used: {why or accepted}"


def _check_number(values: dict[str, str], name: str) -> None:
    value = values.get(name, "0")
    if not (value.isascii() and value.isdigit() and len(value) < 7):  # noqa: PLR2004 - 11 days
        raise ValueError(f"has a value of {name} that cannot be used: it must be a whole number")


def _check_tls(parsed: PostgresUrl) -> None:
    authorities = parsed.parameters.get("sslrootcert")
    if authorities == SYSTEM_AUTHORITIES and parsed.ssl_mode not in (None, "verify-full"):
        raise ValueError("has sslrootcert=system, which needs sslmode=verify-full")
    if parsed.parameters.get("sslnegotiation") == "direct" and parsed.ssl_mode not in (
        "require",
        "verify-ca",
        "verify-full",
    ):
        raise ValueError("has sslnegotiation=direct, which needs sslmode=require or stricter")


def _hosts(
    host_parameter: str | None, port_parameter: str | None, hostspec: str
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the hosts and their ports. Those of the query override those of the authority."""
    pairs = [_host_and_port(part) for part in hostspec.split(",")] if hostspec else []
    hosts, host_ports = [host for host, _ in pairs], [port for _, port in pairs]
    if host_parameter is not None:  # as in libpq, the ports remain
        hosts = host_parameter.split(",")
        if len(host_ports) != len(hosts):
            host_ports = (host_ports if len(host_ports) == 1 else [""]) * len(hosts)
    if port_parameter is not None:
        ports = port_parameter.split(",")
        if len(ports) not in (1, len(hosts) or 1):
            raise ValueError("has a different number of ports than of hosts")
        host_ports = ports * (len(hosts) or 1) if len(ports) == 1 else ports
    numbers = tuple(_port(port) for port in host_ports)
    if len(hosts) <= 1 and not any(hosts):
        return ((), ()) if not numbers or numbers == (_DEFAULT_PORT,) else (("localhost",), numbers)
    for host in hosts:
        _check_host(host)
    return tuple(hosts), numbers


def _host_and_port(text: str) -> tuple[str, str]:
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None:
        raise ValueError(
            f"has a host that cannot be parsed: write an IPv6 address in [ ], and {_ENCODE}"
        )
    return _decoded(match["v6"] or match["name"] or ""), match["port"] or ""


def _port(text: str) -> int:
    if not text:
        return _DEFAULT_PORT
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= _MAX_PORT):  # noqa: PLR2004
        raise ValueError(f"has a port that is not a number from 1 to {_MAX_PORT:,}")
    return int(text)


def _check_host(host: str) -> None:
    if host.startswith("/"):
        return  # the directory of a Unix socket
    if not host or any(not 0 < len(label) <= _MAX_LABEL for label in host.rstrip(".").split(".")):
        raise ValueError(f"has a host that is empty or too long: {_ENCODE}")


def _decoded(text: str) -> str:
    """Decode percent-encoding. As in libpq, + is not a space."""
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("has percent-encoded bytes that are not UTF-8") from None
    if "\0" in decoded:
        raise ValueError("has a NUL character, %00")
    return decoded
