"""What is written about the code is what the code says."""

from pathlib import Path

import pytest

from infra.docs import references


@pytest.mark.parametrize("path", references(), ids=lambda path: path.name)
def test_a_reference_is_what_make_docs_would_write(path: Path) -> None:
    """The files in docs/ that are made from the code are up to date."""
    assert path.read_text("utf-8") == references()[path], f"{path.name}: run `make docs`"


def test_every_decision_that_the_code_names_is_in_the_design() -> None:
    """A docstring that says `design D5` leads somewhere."""
    root = Path(__file__).parents[3]
    design = (root / "docs" / "design.md").read_text("utf-8")
    for folder in ("infra", "kafka_clients", "producer_api", "schemas", "sinks", "streams"):
        for module in (root / folder).rglob("*.py"):
            for word in module.read_text("utf-8").split("design D")[1:]:
                number = "".join(letter for letter in word[:2] if letter.isdigit())
                assert f"## D{number}." in design, f"{module.name} names D{number}"
