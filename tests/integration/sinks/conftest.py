"""Every test of this folder with the fixture `database_url` runs on both engines."""

from tests.contract.sinks.conftest import database_url, empty_url

__all__ = ["database_url", "empty_url"]
