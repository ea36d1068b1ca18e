"""What `headrace dlq` refuses before it looks for a broker."""

import pytest
from typer.testing import CliRunner

from infra.cli import app


@pytest.mark.parametrize(
    ("option", "value", "right"),
    [("--stage", "sessionise", "sessionize"), ("--reason", "rule-failed", "rule_failed")],
)
def test_a_stage_or_reason_that_no_dead_letter_has_is_refused(
    option: str, value: str, right: str
) -> None:
    """It would choose none, and a replay of nothing looks as if all was done."""
    result = CliRunner().invoke(app, ["dlq", "replay", option, value])

    assert result.exit_code == 2
    assert (option in result.output, value in result.output, right in result.output) == (True,) * 3
