"""SQLite URLs, broker lists, and service variables of Kubernetes."""

import pytest

from schemas.brokers import normalize_brokers
from schemas.kubernetes import is_service_variable
from schemas.sqlite_url import parse_sqlite_url


@pytest.mark.parametrize(
    "path",
    [
        *("rel.db", "/abs.db", "//two.db", "a b.db", "a%20b.db", "a#b.db", "a?/b.db", "what?.db"),
        *(
            "a:b.db",
            "ä/ö.db",
            "~/x.db",
            "../x.db",
            "./x.db",
            "a//b.db",
            "a?mode=ro/x.db",
            "a+b&c=d.db",
        ),
    ],
)
def test_the_path_of_a_sqlite_url_is_not_decoded(path: str) -> None:
    """It is returned byte for byte."""
    assert parse_sqlite_url(f"sqlite:///{path}") == path


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "must begin with sqlite:///"),
        ("sqlite://host/x.db", "must begin with sqlite:///"),
        ("sqlite+aiosqlite:///x.db", "must begin with sqlite:///"),
        ("sqlite:///", "names no file"),
        ("sqlite:////", "names no file"),
        ("sqlite:///dir/", "names no file"),
        ("sqlite:///dir/..", "names no file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file:x.db?mode=ro", "must name a file"),
        ("sqlite:///x.db?mode=ro", "the parameter mode"),
        ("sqlite:////a/x.db?timeout=5&cache=shared", "the parameter timeout"),
        ("sqlite:///x\n.db", "control character"),
    ],
)
def test_an_invalid_sqlite_url_is_rejected(url: str, message: str) -> None:
    """With the reason."""
    with pytest.raises(ValueError, match=message):
        parse_sqlite_url(url)


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("kafka:9092", "kafka:9092"),
        ("kafka", "kafka:9092"),
        (" a:1 , b:2\n", "a:1,b:2"),
        ("a:1,b:2,", "a:1,b:2"),
        ("[::1]:9092", "[::1]:9092"),
        ("[fe80::1%eth0]:9092,10.0.0.1:1", "[fe80::1%eth0]:9092,10.0.0.1:1"),
        ("my_kafka-1.svc.cluster.local.:65535", "my_kafka-1.svc.cluster.local.:65535"),
    ],
)
def test_a_broker_list_is_normalized(text: str, normalized: str) -> None:
    """Spaces, trailing commas and absent ports are accepted."""
    assert normalize_brokers(text) == normalized


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no broker"),
        (",", "names no broker"),
        ("a:1,,b:2", "an extra comma"),
        ("a:0", "port"),
        ("a:70000", "port"),
        ("a:abc", "port"),
        ("a:", "port"),
        ("a:-1", "port"),
        ("a:\u0661", "port"),
        ("a:1;b:2", "by commas"),
        ("a:1 b:2", "by commas"),
        ("a:1\nb:2", "by commas"),
        ('"a:1"', "quotes"),
        ("'a:1,b:2'", "quotes"),
        ("kafka://a:1", "scheme, kafka://"),
        ("PLAINTEXT://a:1", "scheme"),
        ("https://a:1/x", "scheme"),
        ("user:secret@a:1", "not a broker"),
        ("a:1/x", "not a broker"),
        ("::1:9092", r"\[ \]"),
        ("[::1", r"\[ \]"),
        (":9092", "host:port"),
        ("a..b:1", "host"),
        ("-a:1", "host"),
        ("[a:1]", "host"),
    ],
)
def test_an_invalid_broker_list_is_rejected(text: str, message: str) -> None:
    """With the entry, but without credentials."""
    with pytest.raises(ValueError, match=message) as caught:
        normalize_brokers(text)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "service", ["HEADRACE", "HEADRACE_API", "HEADRACE_KAFKA_HEADLESS", "HEADRACE__X"]
)
def test_service_variables_of_kubernetes_are_recognized(service: str) -> None:
    """All that it derives from the name of a service."""
    for suffix, value in {
        "_PORT": "tcp://10.0.0.1:8080",
        "_SERVICE_HOST": "fd00::1",
        "_SERVICE_PORT": "8080",
        "_SERVICE_PORT_HTTP": "8080",
        "_SERVICE_PORT_HTTP_METRICS": "9090",
        "_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "_PORT_8080_TCP_PROTO": "tcp",
        "_PORT_8080_TCP_PORT": "8080",
        "_PORT_8080_TCP_ADDR": "10.0.0.1",
        "_PORT_53_UDP": "udp://10.0.0.1:53",
    }.items():
        assert is_service_variable(service + suffix, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEADRACE_PORT", "8080"),
        ("HEADRACE_API__PROT", "8080"),
        ("HEADRACE_API_PORT", "8080"),
        ("HEADRACE_API_HOST", "10.0.0.1"),
        ("HEADRACE_SERVICE_HOST", "example"),
        ("HEADRACE_DATABASE_URL", "postgresql://a"),
    ],
)
def test_a_misspelt_setting_is_not_a_service_variable(name: str, value: str) -> None:
    """It would be ignored without an error."""
    assert not is_service_variable(name, value)
