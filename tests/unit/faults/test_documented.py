"""Every scenario of the fault suite has a row in docs/reliability.md, and every row a scenario."""

import ast
import re
from pathlib import Path

_ROOT = Path(__file__).parents[3]
_TABLE = re.compile(r"^\| scenario \|.*\n\|[-|]+\n((?:\|.*\n)+)", re.MULTILINE)
#: The name of a row, up to its parameters or to what is said of it.
_NAME = re.compile(r"\| ([^|\[:]+?)\s*[|\[:]")


def test_each_scenario_is_a_row() -> None:
    """By the name of its test."""
    assert _documented() == _scenarios()


def _documented() -> set[str]:
    tables = _TABLE.findall((_ROOT / "docs" / "reliability.md").read_text())
    names = [_NAME.match(row) for table in tables for row in table.splitlines()]
    return {name[1] for name in names if name}


def _scenarios() -> set[str]:
    return {
        node.name.removeprefix("test_").replace("_", " ")
        for file in (_ROOT / "tests" / "faults").glob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }
