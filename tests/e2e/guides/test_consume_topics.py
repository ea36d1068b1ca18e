"""The guide to the topics: its consumers read the topics of a real stack."""

import pytest

from tests.e2e.guides.conftest import OpenGuide

GUIDE = "consume-topics.md"
SLOW = ("kcat", "DuckDB", "Java", "Go", "Node.js")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "language",
    ["Python", "Python with Faust", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)],
)
def test_a_consumer_reads_events_and_visits(open_guide: OpenGuide, language: str) -> None:
    """It runs as documented, from its install commands on, and prints the documented lines."""
    guide = open_guide(GUIDE)
    guide.run("Send something to read")

    guide.run(language)
