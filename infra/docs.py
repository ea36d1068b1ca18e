"""`python -m infra.docs`: write the references that are made from the code (`make docs`).

A contract test fails when a file in `docs/` is not what this would write.
"""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from pydantic import SecretStr

from schemas.event_types import EVENT_TYPES
from schemas.reject_reasons import DeadLetterReason, RejectReason
from schemas.settings import DATA_DIR_VARIABLE, GROUPS, PREFIX
from schemas.topics import TOPICS

#: Defaults that the reference leaves empty.
_NOTHING = ((), "", SecretStr(""))

DOCS = Path(__file__).parent.parent / "docs"

_MADE = "<!-- Made by `make docs` from the code: change that, not this. -->"


def references() -> dict[Path, str]:
    """Return the text of each generated file."""
    return {
        DOCS / "event-reference.md": "\n".join(_event_reference()) + "\n",
        DOCS / "settings.md": "\n".join(_settings()) + "\n",
        DOCS / "topics.md": "\n".join(_topics()) + "\n",
    }


def main() -> None:
    """Write the files."""
    for path, text in references().items():
        path.write_text(text, "utf-8")


def _event_reference() -> Iterator[str]:
    yield from ("# Events", "", _MADE, "")
    yield "Each event needs `type`, `site_id` and `session_id`. The types are those of the"
    yield "Revlytics event API."
    yield ""
    yield from ("| type | tells that | its own fields | goes to |", "|---|---|---|---|")
    for event_type in EVENT_TYPES.values():
        fields = ", ".join(f"`{name}`" for name in event_type.fields) or "none"
        routes = ", ".join(f"`{topic.name}`" for topic in event_type.routes)
        yield f"| `{event_type.name}` | {event_type.about} | {fields} | {routes} |"
    yield from ("", "## The record in Kafka", "")
    yield "`RawEvent`, in Avro with the Confluent wire format: `0x00`, four bytes of schema id,"
    yield "the record."
    yield ""
    yield from _record("raw_event.avsc")
    yield from ("", "## Why an event is refused", "")
    yield from ("| code | status | sentence |", "|---|---|---|")
    for reason in RejectReason:
        yield f"| `{reason.code}` | {reason.status} | {_cell(reason.sentence)} |"
    yield from ("", "## Why a record is dead-lettered", "")
    yield ", ".join(f"`{reason.value}`" for reason in DeadLetterReason) + "."


def _record(file: str) -> Iterator[str]:
    schema = json.loads(files("schemas").joinpath("avro", file).read_text("utf-8"))
    yield from ("| field | type | what it is |", "|---|---|---|")
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
    yield from ("# Settings", "", _MADE, "")
    yield "From the environment and from a `.env` file in the working directory. A name that is"
    yield "not here is an error at start. Variables that Kubernetes derives from a service's name,"
    yield "such as `HEADRACE_PORT=tcp://10.0.0.1:8080`, are ignored."
    yield ""
    yield f"`{DATA_DIR_VARIABLE}` is the default of `--data-dir` of every command, `.headrace`"
    yield "where it is absent or empty. A data directory is readable by its owner only."
    for group, model in GROUPS.items():
        yield from ("", f"## {(model.__doc__ or '').rstrip('.')}", "")
        yield from ("| setting | default | what it is |", "|---|---|---|")
        for name, field in model.model_fields.items():
            is_empty = field.is_required() or field.default_factory or field.default in _NOTHING
            default = "" if is_empty else f"`{field.default}`"
            setting = f"{PREFIX}{group}__{name.upper()}"
            yield f"| `{setting}` | {default} | {_cell(field.description or '')} |"


def _topics() -> Iterator[str]:
    yield from ("# Topics", "", _MADE, "")
    yield "Ordinary Kafka topics of Avro records: any consumer can read them. Names never change."
    yield ""
    yield from ("| topic | holds | key | record | kept |", "|---|---|---|---|---|")
    for topic in TOPICS:
        days, rest = divmod(topic.retention_ms or 0, 86_400_000)
        time_kept = f"{days} days" if days > 1 else f"{days * 24 + rest // 3_600_000} h"
        kept = time_kept
        if topic.cleanup == "compact":
            kept = "the last of each key" + (f", {time_kept}" if topic.retention_ms else "")
        cells = (f"`{topic.name}`", _cell(topic.about), f"`{topic.key}`", f"`{topic.record}`", kept)
        yield f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("{{", "{").replace("}}", "}").replace("|", "\\|")


if __name__ == "__main__":
    main()
