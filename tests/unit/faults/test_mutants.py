"""Each mutant of the fault suite can still be applied, and its scenario exists."""

from pathlib import Path

import pytest

from tests.faults.mutants import MUTANTS, Mutant

_ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_text_of_a_mutant_occurs_once_in_its_file(mutant: Mutant) -> None:
    """A renamed variable would otherwise leave a scenario without its mutant."""
    (scenario, *_) = mutant.scenario.split("::")

    assert (_ROOT / mutant.file).read_text().count(mutant.text) == 1
    assert (_ROOT / scenario).exists()
