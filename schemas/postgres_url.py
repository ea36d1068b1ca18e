"""PostgreSQL URLs, as libpq defines them and providers hand them out; parsed here, no I/O.

No error repeats a part of the URL other than the name of a parameter, and that only where it
cannot be a part of a password.
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
#: The authorities that the system trusts, as libpq calls them.
SYSTEM_AUTHORITIES = "system"


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A parsed URL: decoded texts; `hosts` is empty where the driver's default applies.

    `parameters` has those that the address does not cover; `ignored` are without effect.
    """

    hosts: tuple[str, ...]
    ports: tuple[int, ...]
    user: str | None
    password: str | None = field(repr=False)
    database: str | None
    parameters: dict[str, str] = field(repr=False)
    ignored: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The URL as messages show it: without the password, and without parameters."""
        pairs = zip(self.hosts, self.ports, strict=True)
        hosts = ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in pairs
        )
        user = f"{self.user}@" if self.user else ""
        return f"postgresql://{user}{hosts}/{self.database or ''}"

    @property
    def is_pooled(self) -> bool:
        """True if the URL says that a pooler gives each transaction another connection."""
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
        """The files that parameters name, by parameter."""
        found = {name: self.parameters[name] for name in _TLS_FILES if name in self.parameters}
        if found.get("sslrootcert") == SYSTEM_AUTHORITIES:
            del found["sslrootcert"]
        return found


def parse_postgres_url(url: str) -> PostgresUrl:
    """Parse a URL. Raises ValueError with a sentence that says what to change."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise ValueError("must begin with postgresql:// or postgres://")
    rest = url[scheme.end() :]
    _check_characters(rest)
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    login, at, hostspec = authority.rpartition("@")
    if "@" in login or "@" in path or "@" in query:
        raise ValueError(f"has an @ too many: {_ENCODE}")
    user, colon, password = login.partition(":")
    if ":" in password:
        raise ValueError(f"has a : too many before its @: {_ENCODE}")
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
        raise ValueError(f"has a % that no two hexadecimal digits follow: {_ENCODE}")
    if _NOT_IN_A_URL.search(rest):
        raise ValueError(f"has a character that no URL has, such as # or a space: {_ENCODE}")


def _parameters(query: str) -> tuple[dict[str, str], list[str]]:
    """Return the parameters by name, and the names of those that have no effect."""
    values: dict[str, str] = {}
    ignored: list[str] = []
    for name, value in _pairs(query):
        known = PARAMETERS.get(name)
        if known is None:
            near = get_close_matches(name, PARAMETERS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"has the parameter {name}, which headrace does not know{hint}")
        if known.same_as:
            name, known = known.same_as, PARAMETERS[known.same_as]  # noqa: PLW2901 - its own name
        if not value:
            continue  # as libpq does: the default
        if known.values and value not in known.values:
            raise ValueError(_rejection(name, known.values, known.rejection))
        if known.is_ignored:
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
    named: str | None, ports: str | None, hostspec: str
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the hosts with a port each: those of the query, else those before the path."""
    pairs = [_host_and_port(one) for one in hostspec.split(",")] if hostspec else []
    hosts, own = [host for host, _ in pairs], [port for _, port in pairs]
    if named is not None:  # as in libpq, the ports stay
        hosts = named.split(",")
        if len(own) != len(hosts):
            own = (own if len(own) == 1 else [""]) * len(hosts)
    if ports is not None:
        given = ports.split(",")
        if len(given) not in (1, len(hosts) or 1):
            raise ValueError("has another number of ports than of hosts")
        own = given * (len(hosts) or 1) if len(given) == 1 else given
    numbers = tuple(_port(port) for port in own)
    if len(hosts) <= 1 and not any(hosts):
        return ((), ()) if not numbers or numbers == (_DEFAULT_PORT,) else (("localhost",), numbers)
    for host in hosts:
        _check_host(host)
    return tuple(hosts), numbers


def _host_and_port(text: str) -> tuple[str, str]:
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None:
        raise ValueError(
            f"has no host that can be read: write an IPv6 address in [ ], and {_ENCODE}"
        )
    return _decoded(match["v6"] or match["name"] or ""), match["port"] or ""


def _port(text: str) -> int:
    if not text:
        return _DEFAULT_PORT
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= _MAX_PORT):  # noqa: PLR2004
        raise ValueError(f"has a port that is no number from 1 to {_MAX_PORT:,}")
    return int(text)


def _check_host(host: str) -> None:
    if host.startswith("/"):
        return  # the directory of a Unix socket
    if not host or any(not 0 < len(label) <= _MAX_LABEL for label in host.rstrip(".").split(".")):
        raise ValueError(f"has a host that is empty or too long: {_ENCODE}")


def _decoded(text: str) -> str:
    """Decode percent-encoding alone: a + is a +, as libpq reads it."""
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("has percent-encoded bytes that are not UTF-8") from None
    if "\0" in decoded:
        raise ValueError("has a NUL character, %00")
    return decoded
