"""`python -m docs.reference` (`make docs`): generate the references and tables in `docs/`.

A contract test fails if a generated document is outdated.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from producer_api.events.dialects.registry import DIALECTS
from producer_api.events.fields import MAX_ID_CHARACTERS, MAX_JSON_BYTES
from producer_api.http.body import MAX_EVENT_BYTES
from producer_api.http.event_schema import event_schema
from schemas.codec import SCHEMA_FILES, ids_of, schema_text
from schemas.event_types import EVENT_TYPES
from schemas.reject_reasons import DeadLetterReason, RejectReason
from schemas.settings import DATA_DIR_VARIABLE, GROUPS, PREFIX
from schemas.topics import TOPICS

#: Defaults that are shown as an empty cell.
_EMPTY_DEFAULTS = ((), "", SecretStr(""))

DOCS = Path(__file__).parent

_DIALECTS = ("<!-- dialects -->\n", "<!-- /dialects -->\n")
_SHOWN_ENDPOINTS = 6
_GENERATED = "<!-- Generated from the code by `make docs`. Do not edit. -->"


def references() -> dict[Path, str]:
    """Return the content of each generated document, by path."""
    return {
        DOCS / "dialects.md": _with_dialects((DOCS / "dialects.md").read_text("utf-8")),
        DOCS / "event-reference.md": "\n".join(_event_reference()) + "\n",
        DOCS / "settings.md": "\n".join(_settings()) + "\n",
        DOCS / "topics.md": "\n".join(_topics()) + "\n",
    }


def main() -> None:
    """Write the generated documents."""
    for path, text in references().items():
        path.write_text(text, "utf-8")


def _with_dialects(text: str) -> str:
    """Return the text with the table of dialects between its marks."""
    (begin, end) = _DIALECTS
    (before, _, rest) = text.partition(begin)
    rows = [begin + "| client | setting | endpoints |", "|---|---|---|"]
    for dialect in DIALECTS:
        anchor = re.sub(r"[^\w-]", "", dialect.title.lower().replace(" ", "-"))
        names = [f"`{endpoint.path}`" for endpoint in dialect.endpoints]
        more = len(names) - _SHOWN_ENDPOINTS
        paths = ", ".join(names[:_SHOWN_ENDPOINTS]) + (f", and {more} more" if more > 0 else "")
        rows.append(f"| [{dialect.title}](#{anchor}) | `{dialect.name}` | {paths} |")
    return before + "\n".join(rows) + "\n" + end + rest.partition(end)[2]


def _event_reference() -> Iterator[str]:
    yield from ("# Events", "", _GENERATED, "")
    yield "Each event needs `type`, `site_id` and `session_id`. The types are those of the"
    yield "Revlytics event API."
    yield ""
    yield from ("| type | meaning | specific fields | routed to |", "|---|---|---|---|")
    for event_type in EVENT_TYPES.values():
        fields = ", ".join(f"`{name}`" for name in event_type.fields) or "none"
        routes = ", ".join(f"`{topic.name}`" for topic in event_type.routes)
        yield f"| `{event_type.name}` | {event_type.about} | {fields} | {routes} |"
    yield from ("", "## Fields that a client sends", "")
    yield "All but the three are optional, and null is the same as absent. An event has at most"
    yield f"{MAX_EVENT_BYTES:,} bytes, an id at most {MAX_ID_CHARACTERS} characters. Other fields"
    yield f"are kept as JSON in `extra`, together at most {MAX_JSON_BYTES:,} bytes. What was cut"
    yield "or left out is named in `truncated`."
    yield ""
    yield from ("| field | type | description |", "|---|---|---|")
    for name, schema in event_schema()["properties"].items():
        yield f"| `{name}` | {_json_type(schema)} | {_cell(_with_members(schema))} |"
    yield from ("", "## The record in Kafka", "")
    yield "`RawEvent`, in Avro with the Confluent wire format: `0x00`, four bytes of schema id,"
    yield "the record. The table `events` in SQL has the same columns, and the position in Kafka."
    yield ""
    yield from _record("RawEvent")
    yield from ("", "## Rejection reasons", "")
    yield from ("| code | status | message |", "|---|---|---|")
    for reason in RejectReason:
        yield f"| `{reason.code}` | {reason.status} | {_cell(reason.sentence)} |"
    yield from ("", "## Dead letter reasons", "")
    yield ", ".join(f"`{reason.value}`" for reason in DeadLetterReason) + "."


def _json_type(schema: dict[str, Any]) -> str:
    types: list[str] = []
    for option in schema.get("anyOf", [schema]):
        types += [option["type"]] if isinstance(option["type"], str) else option["type"]
    return " or ".join(name for name in types if name != "null")


def _with_members(schema: dict[str, Any]) -> str:
    members = ", ".join(f"`{name}`" for name in schema.get("properties", ()))
    return f"{schema['description']} Members: {members}." if members else schema["description"]


def _record(name: str) -> Iterator[str]:
    """Yield the fields of the newest schema of a record."""
    schema = json.loads(schema_text(ids_of(name)[-1]))
    yield from ("| field | type | description |", "|---|---|---|")
    for field in schema["fields"]:
        yield f"| `{field['name']}` | {_type(field['type'])} | {_cell(field['doc'])} |"


def _type(avro: object) -> str:
    if isinstance(avro, list):
        return f"{_type(avro[1])}, optional"
    if not isinstance(avro, dict):
        return str(avro)
    if "logicalType" in avro:
        return f"{avro['logicalType']} ({avro['type']})"
    if avro["type"] == "record":
        return "record of " + ", ".join(f"`{field['name']}`" for field in avro["fields"])
    if avro["type"] == "enum":
        return "one of " + ", ".join(f"`{symbol}`" for symbol in avro["symbols"])
    return f"{avro['type']} of {avro.get('items') or avro.get('values')}"


def _settings() -> Iterator[str]:
    yield from ("# Settings", "", _GENERATED, "")
    yield "Settings are read from the environment and from a `.env` file in the working directory."
    yield "An unknown `HEADRACE_` variable is an error at startup, except those that Kubernetes"
    yield "derives from service names, such as `HEADRACE_PORT=tcp://10.0.0.1:8080`."
    yield ""
    yield f"`{DATA_DIR_VARIABLE}` sets the default of `--data-dir` in every command; if it is unset"
    yield "or empty, the default is `.headrace`. Only its owner can read a data directory."
    for group, model in GROUPS.items():
        yield from ("", f"## {(model.__doc__ or '').rstrip('.')}", "")
        yield from ("| setting | default | description |", "|---|---|---|")
        for name, field in model.model_fields.items():
            is_empty = (
                field.is_required() or field.default_factory or field.default in _EMPTY_DEFAULTS
            )
            value = field.default
            shown = ",".join(value) if isinstance(value, tuple) else value
            default = "" if is_empty else f"`{shown}`"
            setting = f"{PREFIX}{group}__{name.upper()}"
            yield f"| `{setting}` | {default} | {_cell(field.description or '')} |"


def _topics() -> Iterator[str]:
    yield from ("# Topics", "", _GENERATED, "")
    yield "Topics hold Avro records in the Confluent wire format, which any consumer can read."
    yield "Their names never change. [Consume topics](guides/consume-topics.md) shows how to read"
    yield "them from Python, Java, Go and Node.js, and what a consumer must know."
    yield ""
    yield from ("| topic | content | key | record | retention |", "|---|---|---|---|---|")
    for topic in TOPICS:
        days, rest = divmod(topic.retention_ms or 0, 86_400_000)
        age = f"{days} days" if days > 1 else f"{days * 24 + rest // 3_600_000} h"
        retention = age
        if topic.cleanup == "compact":
            retention = "compacted" + (f", {age}" if topic.retention_ms else "")
        names = f"`{topic.key}` | `{topic.record}`"
        yield f"| `{topic.name}` | {_cell(topic.about)} | {names} | {retention} |"
    yield from ("", "## Schema ids", "")
    yield "Records are written with the newest schema. Older records keep the id of their schema."
    yield "A program reads this table from [`ids.json`](../schemas/avro/ids.json);"
    yield "`headrace schemas export` writes it, and the files. With a schema registry, records have"
    yield "the ids of the [registry](schema-registry.md)."
    yield ""
    yield from ("| id | schema |", "|---|---|")
    for schema_id, file in SCHEMA_FILES.items():
        yield f"| {schema_id} | [`{file}`](../schemas/avro/{file}) |"


def _cell(text: str) -> str:
    return text.replace("{{", "{").replace("}}", "}").replace("|", "\\|")


if __name__ == "__main__":
    main()
