"""The merge join of two streams, and the differences that are kept."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.ops.audit.findings import (
    MAX_DIFFERENCES,
    MISSING,
    NOT_FROM_EVENTS,
    Findings,
    difference,
    merge,
)
from headrace.ops.audit.scope import Key

_streams = st.dictionaries(st.tuples(st.text("ab", max_size=2)), st.integers())


@given(_streams, _streams)
def test_merge_is_a_full_outer_join(wanted: dict[Key, int], has: dict[Key, int]) -> None:
    """Keys are unique and sorted; None stands for a missing side."""
    merged = list(merge(sorted(wanted.items()), sorted(has.items())))

    assert merged == [
        (key, wanted.get(key), has.get(key)) for key in sorted(wanted.keys() | has.keys())
    ]


def test_the_first_column_that_differs_is_named() -> None:
    """With both values; bytes are abbreviated."""
    one = {"a": 1, "b": 2, "c": 3}
    assert difference("ab", one, {"a": 1, "b": 2, "c": 4}) is None
    assert difference("abc", one, {"a": 1, "b": None, "c": 4}) == "b is empty, not 2"
    assert difference("a", {"a": b"ab"}, {"a": b""}) == "a is 0 bytes (), not 2 bytes (6162)"
    assert difference("a", one, None) == MISSING
    assert difference("a", None, one) == NOT_FROM_EVENTS


def test_more_differences_than_are_kept_are_counted() -> None:
    """A whole table may differ."""
    findings = Findings("sessions")
    for number in range(MAX_DIFFERENCES + 5):
        findings.add(("shop", number), str(number), MISSING)
    findings.add(("shop", -1), "right", None)

    assert (findings.compared, findings.differing) == (MAX_DIFFERENCES + 6, MAX_DIFFERENCES + 5)
    assert len(findings.keys) == MAX_DIFFERENCES
