"""The option checks of `headrace dlq`."""

import pytest
from typer.testing import CliRunner

from headrace.cli.main import app


@pytest.mark.parametrize(
    ("option", "value", "right"),
    [("--stage", "sessionise", "sessionize"), ("--reason", "rule-failed", "rule_failed")],
)
def test_unknown_stages_and_reasons_are_rejected(option: str, value: str, right: str) -> None:
    """They would select nothing, and the replay would seem to succeed."""
    result = CliRunner().invoke(app, ["dlq", "replay", option, value])

    assert result.exit_code == 2
    assert (option in result.output, value in result.output, right in result.output) == (True,) * 3
