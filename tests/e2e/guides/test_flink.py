"""Flink SQL reads the topics of a real stack as documented."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.guides import toolchains
from tests.e2e.guides.conftest import OpenGuide
from tests.e2e.guides.registry import running_registry
from tests.e2e.guides.snippets import snippets
from tests.fixtures.markdown import ROOT
from tests.fixtures.waiting import eventually

_GUIDE = "consume-topics.md"
_FLINK = "2.1.0"
_JARS = "+".join(
    (
        *(
            f"org.apache.flink:{name}:{_FLINK}"
            for name in (
                "flink-table-planner-loader",
                "flink-table-runtime",
                "flink-table-api-java-bridge",
                "flink-clients",
                "flink-connector-base",
                "flink-sql-avro-confluent-registry",
            )
        ),
        "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2",
    )
)
#: Flink accesses internals of the JDK.
_OPENS = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in ("lang", "util")]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_flink_reads_visits_and_events(open_guide: OpenGuide, tmp_path: Path) -> None:
    """Visits as a table with updates; events without the punctuation records."""
    toolchains.require("java", "javac")
    guide = open_guide(_GUIDE)
    guide.run("Send something to read")
    libs = toolchains.jars(_JARS)
    blocks = [
        one.text
        for one in snippets(ROOT / "docs" / "guides" / _GUIDE)
        if (one.section, one.language) == ("Flink SQL", "sql")
    ]
    with running_registry() as registry:
        # Otherwise queries would run until they are cancelled.
        bounded = "'scan.bounded.mode' = 'latest-offset', 'topic'"
        sql = "\n".join(blocks).replace("'topic'", bounded)
        sql = sql.replace("127.0.0.1:8081", registry)
        sql = sql.replace("127.0.0.1:9092", guide.address("127.0.0.1:9092"))
        (tmp_path / "consume.sql").write_text(sql, "utf-8")
        runner = Path(__file__).parent / "flink" / "RunSql.java"
        command = ["java", *_OPENS, "-cp", f"{libs}/*", str(runner), str(tmp_path / "consume.sql")]

        def printed() -> bool:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-3_000:]
            lines = ["".join(line.split()) for line in done.stdout.splitlines()]
            wanted = {
                "|my-site|1|1|",
                "|pageview|my-site|/pricing|<NULL>|",
                "|payment|my-site|/checkout|49.900000|",
            }
            return all(any(line.endswith(end) for line in lines) for end in wanted)

        eventually(printed, within_seconds=300, what="the documented rows")
