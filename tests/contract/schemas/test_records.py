"""Record classes, Avro schemas and examples agree, so existing records stay readable."""

import json
import re
import typing
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import NODEFAULT
from msgspec.structs import fields

from schemas import records
from schemas.codec import SCHEMA_FILES, decode
from schemas.records import Record
from schemas.topics import TOPICS
from tests.contract.schemas.record_examples import FOLDER, MAKERS, example_id

AVRO = FOLDER.parents[1] / "avro"

#: All published schemas, with the first digits of the SHA-256 of their files.
PUBLISHED = {
    1: ("raw_event.avsc", "c8199ab8b76cfdc8"),
    2: ("session_state.avsc", "d4afb11400929092"),
    3: ("page_duration.avsc", "b1325243c6030761"),
    4: ("alert_state.avsc", "8b78633d62ae1c79"),
    5: ("alert.avsc", "f9f46ce8523b3e54"),
    6: ("live_counters.avsc", "23fd25d82d970be9"),
    7: ("subscription.avsc", "a96a6d370f6ebd9a"),
    8: ("alert.v2.avsc", "2ca76c81700c8fee"),
    9: ("live_counters.v2.avsc", "508c03f5b8fe8555"),
    10: ("replay.avsc", "71ca800950336fed"),
    11: ("alert_state.v2.avsc", "3d9bc4b5c00839cd"),
    12: ("session_state.v2.avsc", "fd12d5a7abe78802"),
    14: ("import_window.avsc", "0a6304846c6b6d8a"),
    15: ("page_duration.v2.avsc", "51d28a238a99fa31"),
    16: ("replay.v2.avsc", "ac01fdb6afeb7608"),
    18: ("cluster_epoch.avsc", "a90c935621637f95"),
    22: ("alert_state.v3.avsc", "326a38b988fa6ba5"),
    23: ("raw_event.v2.avsc", "31f90fe65f58c02b"),
    24: ("session_state.v3.avsc", "bfbf41359496f8aa"),
    25: ("site.avsc", "676e98bc5f5f78ac"),
    26: ("live_counters.v3.avsc", "bef735ea939c2e3d"),
    27: ("salt.avsc", "e1809d06fb4dae8e"),
    28: ("blocked_id.avsc", "cdfc21763c091ae6"),
    29: ("flat_visit.avsc", "c79e3a64d79ad450"),
    33: ("process_status.avsc", "198452150b590ffb"),
}

RECORDS: dict[str, type[Record]] = {kind.__name__: kind for kind in typing.get_args(Record)}


def schema_of(schema_id: int) -> dict[str, Any]:
    """Return the schema of a file."""
    schema: dict[str, Any] = json.loads((AVRO / SCHEMA_FILES[schema_id]).read_bytes())
    return schema


def records_in(schema: Any) -> list[dict[str, Any]]:
    """Return the records of a schema, nested ones included."""
    if isinstance(schema, list):
        return [found for part in schema for found in records_in(part)]
    if not isinstance(schema, dict):
        return []
    nested = [schema[name] for name in ("type", "items", "values") if name in schema]
    nested += schema.get("fields", [])
    return [schema] * (schema["type"] == "record") + records_in(nested)


NEWEST = {example_id(number).partition("-")[2]: number for number in sorted(SCHEMA_FILES)}
PAIRS = [
    pytest.param(getattr(records, schema["name"]), schema, id=schema["name"])
    for number in NEWEST.values()
    for schema in records_in(schema_of(number))
]


def is_nullable(kind: Any) -> bool:
    """Return True if a field may be None."""
    return type(None) in typing.get_args(kind)


@pytest.mark.parametrize(("record_type", "schema"), PAIRS)
def test_a_class_has_the_fields_of_its_schema(
    record_type: type[Any], schema: dict[str, Any]
) -> None:
    """The same names in the same order, with the same nullability."""
    expected = [
        (field["name"], isinstance(field["type"], list) and "null" in field["type"])
        for field in schema["fields"]
    ]

    assert [(field.name, is_nullable(field.type)) for field in fields(record_type)] == expected


@pytest.mark.parametrize(("record_type", "schema"), PAIRS)
def test_a_class_has_the_defaults_of_its_schema(
    record_type: type[Any], schema: dict[str, Any]
) -> None:
    """Readers of Avro and of this project fill absent fields with the same values."""
    defaults: dict[str, Any] = {}
    for field in fields(record_type):
        if field.default is not NODEFAULT:
            defaults[field.name] = field.default
        elif field.default_factory is not NODEFAULT:
            defaults[field.name] = field.default_factory()

    expected = {field["name"]: field["default"] for field in schema["fields"] if "default" in field}
    assert expected == defaults


@pytest.mark.parametrize(("record_type", "schema"), PAIRS)
def test_each_field_is_documented(record_type: type[Any], schema: dict[str, Any]) -> None:
    """For consumers outside this project."""
    assert [field["name"] for field in schema["fields"] if not field.get("doc")] == []
    for field in schema["fields"]:
        assert not isinstance(field["type"], list) or field["default"] is None


def test_every_record_has_a_schema_and_every_file_an_id() -> None:
    """And every topic has an existing record."""
    assert set(RECORDS) == set(NEWEST) == set(MAKERS)
    assert sorted(path.name for path in AVRO.glob("*.avsc")) == sorted(SCHEMA_FILES.values())
    assert {topic.record for topic in TOPICS} <= set(RECORDS)


@pytest.mark.parametrize("schema_id", sorted({*PUBLISHED, *SCHEMA_FILES}))
def test_a_published_schema_is_never_edited(schema_id: int) -> None:
    """Nor is its id reused: records in topics refer to it."""
    file = SCHEMA_FILES.get(schema_id, "")
    assert file, f"schema id {schema_id} is gone from ids.json: put {PUBLISHED[schema_id]} back"
    digest = sha256((AVRO / file).read_bytes()).hexdigest()[:16]

    assert PUBLISHED.get(schema_id) == (file, digest), (
        f"{file} is not what was published as id {schema_id}. To change a record, leave that "
        "file as it was, write the new schema to a new file with only added, defaulted fields, "
        "and give it the next id in ids.json; then run `python -m "
        f'tests.contract.schemas.record_examples` and add id: ("{file}", "{digest}") to PUBLISHED'
    )


@pytest.mark.parametrize("schema_id", SCHEMA_FILES)
def test_the_example_of_every_schema_is_readable(schema_id: int) -> None:
    """It decodes to the record in the JSON file next to it."""
    name = example_id(schema_id)
    path = FOLDER / name
    assert path.with_suffix(".bin").exists(), (
        f"schema {name} has no example: run `python -m tests.contract.schemas.record_examples`"
    )
    record_type = RECORDS[name.partition("-")[2]]
    expected = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=record_type)

    assert decode(path.with_suffix(".bin").read_bytes(), record_type) == expected


@pytest.mark.parametrize("schema_id", NEWEST.values())
def test_the_newest_examples_have_all_fields(schema_id: int) -> None:
    """None is absent or null, which would not test that the field is decoded."""
    example = json.loads((FOLDER / example_id(schema_id)).with_suffix(".json").read_bytes())
    for schema in records_in(schema_of(schema_id)):
        found = [
            one for one in _objects(example) if set(one) == {f["name"] for f in schema["fields"]}
        ]
        assert found, f"{schema['name']} is not in the example with all its fields"
        assert None not in found[0].values()


def _objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [one for part in value for one in _objects(part)]
    if isinstance(value, dict):
        return [value, *(one for part in value.values() for one in _objects(part))]
    return []


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_no_example_is_orphaned(path: Path) -> None:
    """Its name has an existing schema id."""
    found = re.fullmatch(r"(\d+)-\w+\.(bin|json)", path.name)

    assert found
    assert path.stem == example_id(int(found[1]))
