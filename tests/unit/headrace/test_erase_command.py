"""`headrace erase --block` and `headrace blocks`: mistakes, without Kafka."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.cli.main import app
from headrace.errors import UserError


def _run(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        app, [*arguments, "--data-dir", str(tmp_path)], env={"COLUMNS": "1000"}
    )


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ((), "needs --visitor or --user"),
        (("--visitor", f"d-{'0a' * 16}"), "changes every day"),
        (("--visitor", f"d-{'0a' * 16}", "--user", "u"), "Erase without --block"),
    ],
)
def test_what_cannot_be_blocked_is_rejected(
    tmp_path: Path, ids: tuple[str, ...], message: str
) -> None:
    """Before anything is erased: there is no broker."""
    result = _run(tmp_path, "erase", "--site", "shop", *ids, "--block", "--yes")

    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize("visitor", ["d-0a", "d-" + "x" * 32, f"D-{'0a' * 16}"])
def test_ids_that_only_resemble_derived_ones_can_be_blocked(tmp_path: Path, visitor: str) -> None:
    """The command goes on, and finds that there is no broker."""
    result = _run(tmp_path, "erase", "--site", "shop", "--visitor", visitor, "--block", "--yes")

    assert isinstance(result.exception, UserError)
    assert "No broker" in str(result.exception)


def test_removing_a_block_needs_an_id(tmp_path: Path) -> None:
    """As an id or as its hash."""
    result = _run(tmp_path, "blocks", "remove", "--site", "shop")

    assert isinstance(result.exception, UserError)
    assert str(result.exception) == "Give --visitor, --user or --hash"
