"""The first sentence of an audit: what differs, and what to do about it."""

import pytest

from infra.audit.difference import EARLIER_RULES, Findings
from infra.audit.screen import verdict


@pytest.mark.parametrize(
    ("differences", "sentence"),
    [
        ([None], "✓ All is as the events say."),
        (
            [f"{EARLIER_RULES}: referrer is a, not empty"],
            "✗ 1 row is as an earlier version computed it: run `headrace rebuild sessions` once.",
        ),
        (
            [f"{EARLIER_RULES}: referrer is a, not empty"] * 2,
            (
                "✗ 2 rows are as an earlier version computed them: "
                "run `headrace rebuild sessions` once."
            ),
        ),
        (
            [f"{EARLIER_RULES}: referrer is a, not empty", "events is 2, not 3"],
            "✗ 2 rows differ from what the events say: see docs/audit.md, then `headrace rebuild`.",
        ),
    ],
)
def test_rows_of_an_earlier_version_are_no_unknown_fault(
    differences: list[str | None], sentence: str
) -> None:
    """Unless something else differs, too."""
    findings = Findings("sessions")
    for number, what in enumerate(differences):
        findings.add(("shop", str(number)), f"row {number}", what)

    assert verdict([findings]) == sentence
