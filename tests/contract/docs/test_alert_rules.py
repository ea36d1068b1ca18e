"""Every alert rule is documented, and has a name on the dashboard."""

import re

import pytest

from schemas.alert_rules import RULES
from tests.fixtures.markdown import ROOT


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_a_row_in_the_documentation(rule: str) -> None:
    """With its parameters."""
    assert f"\n| `{rule}` |" in (ROOT / "docs" / "subscriptions.md").read_text("utf-8")


def test_each_rule_has_a_name_on_the_dashboard() -> None:
    """In `RULE_NAMES`, and nothing else has."""
    script = (ROOT / "query_api" / "page" / "alerts.js").read_text("utf-8")
    (names,) = re.findall(r"RULE_NAMES = \{(.*?)\}", script, re.DOTALL)

    assert {first or second for first, second in re.findall(r'"([^"]+)":|(\w+):', names)} == {
        *RULES
    }
