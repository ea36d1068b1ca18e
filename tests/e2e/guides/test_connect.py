"""Kafka Connect writes the topics of a real stack to PostgreSQL as documented."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from headrace.local.broker.ports import free_port
from tests.e2e.guides import toolchains
from tests.e2e.guides.conftest import OpenGuide
from tests.e2e.guides.registry import running_registry
from tests.e2e.guides.snippets import snippets
from tests.e2e.stack import Stack
from tests.fixtures.markdown import ROOT
from tests.fixtures.waiting import NotInTimeError, eventually

_GUIDE = "consume-topics.md"
#: Confluent's converter, which the guide names, is not in Maven Central; Apicurio's is.
_JARS = "+".join(
    (
        # First, because the others depend on earlier versions of them.
        *(
            f"org.apache.kafka:{name}:4.4.0"
            for name in ("kafka-clients", "connect-api", "connect-json", "connect-transforms")
        ),
        "org.apache.kafka:connect-runtime:4.4.0",
        "io.debezium:debezium-connector-jdbc:3.3.0.Final",
        "io.apicurio:apicurio-registry-utils-converter:2.6.13.Final",
        "org.slf4j:slf4j-simple:1.7.36",
    )
)
_CONVERTER = """
value.converter=io.apicurio.registry.utils.converter.AvroConverter
value.converter.apicurio.registry.as-confluent=true
value.converter.apicurio.registry.url=http://{}/apis/registry/v2
"""
_WORKER = """
bootstrap.servers={kafka}
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.converters.ByteArrayConverter
offset.storage.file.filename={folder}/offsets
offset.flush.interval.ms=1000
listeners=http://127.0.0.1:{port}
consumer.auto.offset.reset=earliest
"""


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query; none while there is no table."""

    async def run() -> list[tuple[Any, ...]]:
        engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
        try:
            async with engine.connect() as connection:
                found = await connection.execute(text("SELECT to_regclass('visits')"))
                if found.scalar() is None:
                    return []
                return [tuple(row) for row in await connection.execute(text(query))]
        finally:
            await engine.dispose()

    return asyncio.run(run())


def configure(folder: Path, registry: str, stack: Stack, url: str) -> list[str]:
    """Write the documented configurations with other addresses, and return the arguments."""
    database = make_url(url)
    (folder / "worker.properties").write_text(
        _WORKER.format(kafka=stack.kafka, folder=folder, port=free_port())
    )
    files = ["worker.properties"]
    for one in snippets(ROOT / "docs" / "guides" / _GUIDE):
        if one.language != "properties":
            continue
        documented = [
            line for line in one.text.splitlines() if not line.startswith("value.converter")
        ]
        configured = "\n".join((*documented, _CONVERTER.format(registry)))
        for name, value in (
            ("127.0.0.1:5432/warehouse", f"{database.host}:{database.port}/{database.database}"),
            ("username=connect", f"username={database.username}"),
            ("password=secret", f"password={database.password}"),
        ):
            configured = configured.replace(name, value)
        (folder / one.file).write_text(configured)
        files.append(one.file)
    return files


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_connect_keeps_tables_of_visits_and_events(
    open_guide: OpenGuide, stack: Stack, tmp_path: Path, postgres_server: str
) -> None:
    """A visit is updated, and deleted when it is erased; punctuation records do no harm."""
    toolchains.require("java", "javac")
    open_guide(_GUIDE).run("Send something to read")
    libs = toolchains.jars(_JARS)
    with running_registry() as registry, (tmp_path / "connect.log").open("w") as log:
        files = configure(tmp_path, registry, stack, postgres_server)
        connect = subprocess.Popen(
            ["java", "-cp", f"{libs}/*", "org.apache.kafka.connect.cli.ConnectStandalone", *files],
            cwd=tmp_path,
            stdout=log,
            stderr=log,
        )
        try:
            visits = "SELECT site_id, pageviews, payments, bounced FROM visits"
            eventually(
                lambda: rows(postgres_server, visits) == [("my-site", 1, 1, False)],
                within_seconds=120,
                what="the visit",
            )
            events = "SELECT type, path, amount FROM events ORDER BY type"
            eventually(
                lambda: (
                    [row[:2] for row in rows(postgres_server, events)]
                    == [("pageview", "/pricing"), ("payment", "/checkout")]
                ),
                within_seconds=60,
                what="the events",
            )
            erase = ("erase", "--site", "my-site", "--yes", "--data-dir", str(stack.data_dir))
            subprocess.run([sys.executable, "-m", "headrace", *erase], check=True, timeout=120)
            eventually(
                lambda: rows(postgres_server, visits) == [],
                within_seconds=60,
                what="no visit is left",
            )
        except NotInTimeError:
            problems = (tmp_path / "connect.log").read_text("utf-8").splitlines()
            print(*(line for line in problems if "INFO" not in line), sep="\n")  # noqa: T201
            raise
        finally:
            connect.kill()
            connect.wait()
