import ast
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from kafka_clients.clients import make_producer
from schemas.kafka_settings import Compression, KafkaSettings

ROOT = Path(__file__).parents[3]
PACKAGES = ("headrace", "producer_api", "query_api", "schemas", "sinks", "streams")
CLIENTS = {"AIOKafkaClient", "AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient"}


def constructions(source: str) -> list[str]:
    """Return the client classes that a module calls, or imports under another name."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            found += [name] if name in CLIENTS else []
        elif isinstance(node, ast.ImportFrom):
            found += [alias.name for alias in node.names if alias.name in CLIENTS and alias.asname]
    return found


@pytest.mark.parametrize(
    "source",
    [
        "AIOKafkaConsumer('topic')",
        "aiokafka.AIOKafkaProducer(acks='all')",
        "from aiokafka.admin import AIOKafkaAdminClient as Admin",
    ],
)
def test_each_way_to_construct_a_client_is_found(source: str) -> None:
    """By name, by module and by alias."""
    assert constructions(source)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_package_constructs_a_client(package: str) -> None:
    """It would connect without TLS and authentication."""
    modules = list((ROOT / package).rglob("*.py"))

    assert modules
    for module in modules:
        assert not constructions(module.read_text("utf-8")), module


@pytest.mark.parametrize("compression", ["zstd", "gzip", "snappy", "lz4", "none"])
async def test_the_library_of_each_compression_is_installed(compression: Compression) -> None:
    """A producer checks it when it is created."""
    producer = make_producer(KafkaSettings(compression=compression))

    assert isinstance(producer, AIOKafkaProducer)
