"""The documents match the code."""

from pathlib import Path

import pytest
from msgspec.structs import fields

from docs.reference import DOCS, references
from producer_api.http.event_schema import event_schema
from schemas.records import RawEvent


@pytest.mark.parametrize("path", references(), ids=lambda path: path.name)
def test_a_generated_document_is_up_to_date(path: Path) -> None:
    """As `make docs` would write it."""
    assert path.read_text("utf-8") == references()[path], f"{path.name}: run `make docs`"


def test_the_event_reference_has_all_fields() -> None:
    """Those that a client sends, and those of the newest record."""
    text = references()[DOCS / "event-reference.md"]
    names = {*event_schema()["properties"], *(field.name for field in fields(RawEvent))}

    assert {name for name in names if f"| `{name}` |" not in text} == set()


def test_every_design_decision_in_the_code_exists() -> None:
    """Such as `design D5` in a docstring."""
    root = Path(__file__).parents[3]
    design = (root / "docs" / "design.md").read_text("utf-8")
    packages = ("kafka_clients", "producer_api", "query_api", "schemas", "sinks", "streams")
    for folder in ("headrace", *packages):
        for module in (root / folder).rglob("*.py"):
            for word in module.read_text("utf-8").split("design D")[1:]:
                number = "".join(letter for letter in word[:2] if letter.isdigit())
                assert f"## D{number}." in design, f"{module.name} names D{number}"
