"""The statements of docs/clickhouse.md, in ClickHouse, on records of the current schemas."""

import io
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import fastavro
import pytest
from msgspec.structs import replace

from schemas.codec import SCHEMA_FILES, encode
from schemas.records import FlatVisit, RawEvent, Record
from tests.contract.schemas.record_examples import FOLDER, MAKERS
from tests.e2e.guides import toolchains
from tests.fixtures.markdown import ROOT, blocks

_CHDB = "chdb-core==26.9.0"
_SCRIPT = Path(__file__).parent / "clickhouse_statements.py"
_PAYMENT, _VISIT = MAKERS["RawEvent"](), MAKERS["FlatVisit"]()
assert isinstance(_PAYMENT, RawEvent)
assert isinstance(_VISIT, FlatVisit)

#: A visit twice with a growing revision, one that was merged, and one of another day.
VISITS = [
    replace(_VISIT, site_id="my-site", revision=1, state="open", payments=0),
    replace(_VISIT, site_id="my-site", revision=3, visitor_id="v-4711"),
    replace(_VISIT, site_id="my-site", revision=2, payments=7),
    replace(_VISIT, visit_id="merged", site_id="my-site", state="withdrawn"),
    replace(
        _VISIT,
        visit_id="other",
        site_id="my-site",
        source=None,
        payments=0,
        bounced=True,
        duration_ms=0,
        started_ms=_VISIT.started_ms + 86_400_000,
    ),
]
#: A payment twice, as Kafka may deliver it, and another one.
PAYMENTS = [
    replace(_PAYMENT, site_id="my-site", amount=Decimal("49.9"), visitor_id="v-4711"),
    replace(_PAYMENT, site_id="my-site", amount=Decimal("49.9"), visitor_id="v-4711"),
    replace(_PAYMENT, event_id=str(_PAYMENT.event_id)[:-1] + "1", site_id="my-site"),
]


def write(path: Path, records: list[Record]) -> None:
    """Write records to an Avro file with their newest schema."""
    values = [encode(record) for record in records]
    schema_id = int.from_bytes(values[0][1:5], "big")
    schema = fastavro.parse_schema(
        json.loads((FOLDER.parents[1] / "avro" / SCHEMA_FILES[schema_id]).read_text("utf-8"))
    )
    decoded = [fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None) for value in values]
    with path.open("wb") as file:
        fastavro.writer(file, schema, decoded)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_clickhouse_keeps_the_newest_visits_and_each_event_once(tmp_path: Path) -> None:
    """Materialized views fill the tables, and the documented queries and deletions work."""
    write(tmp_path / "visits.avro", [*VISITS])
    write(tmp_path / "events.avro", [*PAYMENTS])
    documented = [one.text for one in blocks(ROOT / "docs" / "clickhouse.md")]
    job = {
        "statements": documented,
        "inserts": {
            f"{name}_topic": str(tmp_path / f"{name}.avro") for name in ("visits", "events")
        },
    }
    (tmp_path / "job.json").write_text(json.dumps(job), "utf-8")
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), str(tmp_path / "job.json")],
        env={**os.environ, "PYTHONPATH": str(toolchains.python_package(_CHDB))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (per_day, sources, revenue, left) = json.loads(done.stdout.splitlines()[-1]).values()

    assert per_day == [["2026-04-01", "1", "0", "60"], ["2026-04-02", "1", "100", "0"]]
    assert sources == [["Direct", "1", "0"], ["Google", "1", "1"]]
    assert revenue == [["EUR", "37.399999"]]
    assert left == ["2", "1"]
