"""The verdict of an audit: what differs, and what to do about it."""

import pytest

from headrace.ops.audit.findings import EARLIER_RULES, Findings
from headrace.ops.audit.listing import verdict


@pytest.mark.parametrize(
    ("differences", "sentence"),
    [
        ([None], "✓ All results match the events."),
        (
            [f"{EARLIER_RULES}: referrer is a, not empty"],
            "✗ 1 row was computed by an earlier version: run `headrace rebuild sessions` once.",
        ),
        (
            [f"{EARLIER_RULES}: referrer is a, not empty"] * 2,
            ("✗ 2 rows were computed by an earlier version: run `headrace rebuild sessions` once."),
        ),
        (
            [f"{EARLIER_RULES}: referrer is a, not empty", "events is 2, not 3"],
            "✗ 2 rows differ from the events: see docs/audit.md, then run `headrace rebuild`.",
        ),
    ],
)
def test_rows_of_an_earlier_version_have_their_own_verdict(
    differences: list[str | None], sentence: str
) -> None:
    """Unless other rows differ, too."""
    findings = Findings("sessions")
    for number, what in enumerate(differences):
        findings.add(("shop", str(number)), f"row {number}", what)

    assert verdict([findings]) == sentence
