"""Parsing of PostgreSQL URLs, and errors without parts of a password."""

import re

import pytest

from schemas.postgres_url import parse_postgres_url


@pytest.mark.parametrize(
    ("url", "hosts", "ports", "login"),
    [
        ("postgresql://hr:pw@db/x", ("db",), (5432,), ("hr", "pw", "x")),
        ("postgres://hr:pw@db:6543/x", ("db",), (6543,), ("hr", "pw", "x")),
        ("postgresql+asyncpg://hr@db", ("db",), (5432,), ("hr", None, None)),
        ("postgresql://db/x?user=hr&password=p%26w", ("db",), (5432,), ("hr", "p&w", "x")),
        ("postgresql://a:1,b:2,c/x", ("a", "b", "c"), (1, 2, 5432), (None, None, "x")),
        ("postgresql:///x?host=a,b&port=1,2", ("a", "b"), (1, 2), (None, None, "x")),
        ("postgresql:///x?host=a,b&port=7", ("a", "b"), (7, 7), (None, None, "x")),
        ("postgresql:///x?host=/run/pg", ("/run/pg",), (5432,), (None, None, "x")),
        ("postgresql://db:6543/x?host=10.0.0.1", ("10.0.0.1",), (6543,), (None, None, "x")),
        ("postgresql://db:6543/x?host=a,b", ("a", "b"), (6543, 6543), (None, None, "x")),
        ("postgresql://a:1,b:2/x?host=c,d", ("c", "d"), (1, 2), (None, None, "x")),
        ("postgresql://%2Frun%2Fpg:5433/x", ("/run/pg",), (5433,), (None, None, "x")),
        ("postgresql://[::1]:6/x", ("::1",), (6,), (None, None, "x")),
        ("postgresql://[fe80::1%25eth0]/x", ("fe80::1%eth0",), (5432,), (None, None, "x")),
        (
            "postgresql://hr:%40%3A%2F%23%25%3F+@db/x%20y",
            ("db",),
            (5432,),
            ("hr", "@:/#%?+", "x y"),
        ),
        ("postgresql://hr:@db/x", ("db",), (5432,), ("hr", "", "x")),
        ("postgresql:///x", (), (), (None, None, "x")),
        ("postgresql://", (), (), (None, None, None)),
    ],
)
def test_a_url_is_parsed_as_by_libpq(
    url: str, hosts: tuple[str, ...], ports: tuple[int, ...], login: tuple[str | None, ...]
) -> None:
    """Percent-encoding is decoded, + is not a space."""
    parsed = parse_postgres_url(url)

    assert (parsed.hosts, parsed.ports) == (hosts, ports)
    assert (parsed.user, parsed.password, parsed.database) == login


@pytest.mark.parametrize(
    "password",
    [
        *("first@second:third", "a:b", "a/b", "a#b", "a%b", "50%off", "a?b", "a?b=c", "a&b@c"),
        *("a/b@c", "a?sslmode=c@d", "@", "a b", "tab\there", "[x]:y@z", "%zz", "a%", "q'uote"),
        *("a\\b", "end\n", "%FFx", "x%00y", "12345/ab", "12345?cd=ef", "#", "?", "a@b?c=d/e"),
    ],
)
def test_errors_do_not_contain_an_unencoded_password(password: str) -> None:
    """The message says what to encode, or what is invalid."""
    with pytest.raises(ValueError, match=r"^has ") as caught:
        parse_postgres_url(f"postgresql://hr:{password}@db.example:5432/x")

    message = str(caught.value)
    assert "percent-encoded" in message or "%00" in message
    for part in re.findall(r"[A-Za-z0-9]{2,}", password):
        assert part not in message.replace("percent-encoded", "").replace("sslmode", "")


@pytest.mark.parametrize(
    "query",
    [
        *("sslmode=disable", "sslmode=allow", "sslmode=prefer", "sslmode=require"),
        *("sslmode=verify-ca&sslrootcert=a.crt", "sslmode=verify-full&sslrootcert=system"),
        *("sslcert=a&sslkey=b&sslpassword=c&sslcrl=d", "channel_binding=prefer"),
        *("connect_timeout=10", "application_name=a%20b", "fallback_application_name=a"),
        *("options=-csearch_path%3Dpublic", "gssencmode=disable", "keepalives=1&keepalives_idle=3"),
        *("target_session_attrs=read-write", "load_balance_hosts=disable", "passfile=/x/y"),
        *("statement_cache_size=0", "pgbouncer=true", "schema=public", "connection_limit=1"),
        *("pool_timeout=0", "ssl=true", "sslmode=", "", "&", "tcp_user_timeout=1000"),
        *("supa=base-pooler.x", "serverVersion=15&charset=utf8", "prepareThreshold=0"),
    ],
)
def test_parameters_of_providers_are_accepted(query: str) -> None:
    """Those of libpq, and those that providers add for other clients."""
    parse_postgres_url(f"postgresql://hr:pw@db/x?{query}")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("channel_binding=require", "channel_binding"),
        ("gssencmode=require", "gssencmode"),
        ("sslmode=no-verify", "sslmode"),
        ("sslmode=REQUIRE", "sslmode"),
        ("sslmode=require&sslrootcert=system", "sslrootcert"),
        ("sslaccept=strict", "sslaccept"),
        ("requiressl=1", "requiressl"),
        ("connect_timeout=soon", "connect_timeout"),
        ("connect_timeout=-1", "connect_timeout"),
        ("target_session_attrs=any-write", "target_session_attrs"),
        ("service=mine", "service"),
        ("sslmod=require", "sslmod.*did you mean sslmode"),
        ("replication=database", "replication"),
        ("require_auth=scram-sha-256", "require_auth"),
        ("hostaddr=10.0.0.1", "hostaddr"),
        ("client_encoding=latin1", "client_encoding"),
        ("port=70000", "port"),
        ("host=a,b,c&port=1,2", "ports"),
        ("sslcompression=1", "sslcompression"),
        ("sslnegotiation=direct", "sslnegotiation"),
    ],
)
def test_an_unsupported_parameter_is_reported(query: str, name: str) -> None:
    """With its name."""
    with pytest.raises(ValueError, match=name):
        parse_postgres_url(f"postgresql://hr:pw@db/x?{query}")


@pytest.mark.parametrize(
    "rest",
    [
        "db:0/x",
        "db:abc/x",
        "db:70000/x",
        "::1:5432/x",
        "[::1/x",
        "[::1]x/x",
        "a..b/x",
        ",/x",
        "a,/x",
    ],
)
def test_an_invalid_address_is_rejected(rest: str) -> None:
    """Without a name lookup."""
    with pytest.raises(ValueError, match="has "):
        parse_postgres_url(f"postgresql://{rest}")


def test_the_redacted_url_has_no_password() -> None:
    """Nor has `repr`."""
    url = parse_postgres_url("postgresql://hr:hunter2@a,[::1]:6/x?sslpassword=hunter3&sslkey=k")

    assert url.redacted == "postgresql://hr@a:5432,[::1]:6/x"
    assert "hunter" not in repr(url)


@pytest.mark.parametrize(
    ("query", "pooled"),
    [
        ("pgbouncer=true", True),
        ("statement_cache_size=0", True),
        ("prepared_statements=false", True),
        ("pgbouncer=false", False),
        ("statement_cache_size=100", False),
        ("", False),
    ],
)
def test_a_transaction_pooler_can_be_declared(query: str, pooled: bool) -> None:
    """With the parameters of Prisma, asyncpg and Rails."""
    assert parse_postgres_url(f"postgresql://db/x?{query}").is_pooled is pooled
