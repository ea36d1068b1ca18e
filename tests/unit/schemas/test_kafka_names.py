import subprocess
import sys
from collections.abc import Iterator

import pytest

from schemas.topic_prefix import prefixed, use_prefix
from schemas.topics import ALERTS, DEAD_LETTERS, EVENTS_RAW, TOPICS, dead_letters_of

#: Imports all modules; fails if one of them computes a name at import.
_IMPORT_ALL = """
import importlib, pkgutil
import schemas.topic_prefix

def prefixed(name):
    raise AssertionError(f"the name of {name} was computed before the settings were loaded")

schemas.topic_prefix.prefixed = prefixed
for name in ("headrace", "producer_api", "query_api", "sinks", "streams"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        if not module.name.startswith("sinks.sql.migrations.") and "__main__" not in module.name:
            importlib.import_module(module.name)
"""


@pytest.fixture
def prefix() -> Iterator[str]:
    """Set a topic prefix, and yield it."""
    use_prefix("staging-")
    yield "staging-"
    use_prefix("")


def test_every_topic_has_the_prefix(prefix: str) -> None:
    """Dead letter topics have it once."""
    assert EVENTS_RAW.name == "staging-events-raw"
    assert dead_letters_of(ALERTS.name) in {topic.name for topic in DEAD_LETTERS}
    assert all(topic.name == f"{prefix}{topic.base_name}" for topic in TOPICS)
    assert prefixed("headrace-streams") == "staging-headrace-streams"


def test_no_module_computes_a_name_at_import() -> None:
    """The prefix is not set yet."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL], check=False, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
