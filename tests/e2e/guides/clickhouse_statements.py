"""Run statements in ClickHouse, and insert records as its Kafka engine would; prints results.

Arguments: a JSON file with `statements` and `inserts`, the Avro file of each table. Tables of the
Kafka engine become tables of the engine Null, which feed materialized views in the same way.
"""

import json
import re
import sys
from pathlib import Path

from chdb import session  # type: ignore[import-not-found]

job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
clickhouse = session.Session()
clickhouse.query("SET mutations_sync = 1")  # so that deletions are done when they return
results: dict[str, object] = {}
for statement in job["statements"]:
    text = re.sub(r"ENGINE = Kafka SETTINGS[^;]*", "ENGINE = Null", statement).strip().rstrip(";")
    if text.startswith("SELECT") and not results:
        for table, file in job["inserts"].items():
            found = clickhouse.query(f"DESCRIBE TABLE {table}", "JSON").bytes().decode()
            columns = [(column["name"], column["type"]) for column in json.loads(found)["data"]]
            names = ", ".join(name for name, _ in columns)
            types = ", ".join(f"{name} {kind}" for name, kind in columns).replace("'", "\\'")
            source = f"file('{file}', Avro, '{types}')"
            insert = f"INSERT INTO {table} ({names}) SELECT {names} FROM {source}"  # noqa: S608
            clickhouse.query(insert)
    result = clickhouse.query(text, "TSV").bytes().decode()
    if text.startswith("SELECT"):
        results[text] = [line.split("\t") for line in result.splitlines()]
results["left"] = [
    clickhouse.query(f"SELECT count() FROM {table}", "TSV").bytes().decode().strip()  # noqa: S608
    for table in ("visits", "events")
]
sys.stdout.write(json.dumps(results))
