"""The frame that identifies an error, in stacks of all runtimes."""

from collections import defaultdict
from itertools import combinations
from pathlib import Path

import pytest

from schemas.records import RawEvent
from streams.domain.alerts.fingerprints import fingerprint
from streams.domain.alerts.runtimes import RUNTIMES
from streams.domain.alerts.stack_frames import identifying_frame
from tests.unit.streams.samples import event


def read_stacks() -> dict[str, dict[str, list[str]]]:
    """Return the stacks of `stacks.txt` by runtime and by what identifies the error."""
    stacks: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    text = Path(__file__).with_name("stacks.txt").read_text("utf-8")
    for group in text.split("\n== ")[1:]:
        head, _, body = group.partition("\n")
        runtime, _, expected = head.partition(" | ")
        stacks[runtime][expected] = body.rstrip("\n").split("\n--\n")
    return stacks


STACKS = read_stacks()
CASES = [
    pytest.param(expected, stack, id=f"{runtime}-{expected}-{number}")
    for runtime, groups in STACKS.items()
    for expected, stacks in groups.items()
    for number, stack in enumerate(stacks)
]


def error(stack: str) -> RawEvent:
    """Return an error with this stack."""
    return event("e", type="error", error_name="E", error_message="m", error_stack=stack)


@pytest.mark.parametrize(("expected", "stack"), CASES)
def test_the_innermost_frame_of_the_applications_own_code_identifies_an_error(
    expected: str, stack: str
) -> None:
    """Of the root cause, without library code, hashes, hosts and lines."""
    for text in (stack, stack.replace("\n", "\r\n")):
        frame = identifying_frame(text)

        assert frame is not None
        assert " ".join(frame).strip() == expected


@pytest.mark.parametrize("runtime", STACKS)
def test_stacks_of_one_bug_have_one_fingerprint_and_others_another(runtime: str) -> None:
    """Whatever the entry point, the host and the release."""
    prints = [
        {fingerprint(error(stack)) for stack in stacks} for stacks in STACKS[runtime].values()
    ]

    assert [len(one) for one in prints] == [1] * len(prints)
    assert all(one.isdisjoint(other) for one, other in combinations(prints, 2))


@pytest.mark.parametrize("shift", range(0, 60, 7))
def test_a_stack_that_was_cut_is_identified_by_its_last_whole_frame(shift: int) -> None:
    """Python's most recent call is cut off first; half a line would name another function."""
    stack = "Traceback (most recent call last):\n" + "".join(
        f'  File "/srv/step{"x" * (shift if number == 0 else 1)}.py", line 1, in step_{name}\n'
        for number, name in enumerate("abcdefghijklmnopqrstuvwxyz" * 3)
    )
    cut = stack[:2_048]

    frame = identifying_frame(cut[: cut.rindex("\n") + 1])

    assert frame is not None
    assert fingerprint(error(cut)) == fingerprint(error(cut[: cut.rindex("\n") + 1]))


def test_a_stack_of_library_code_alone_is_identified_by_its_innermost_frame() -> None:
    """Better than by nothing."""
    stack = "Error: x\n    at a (/x/node_modules/a.js:1:2)\n    at b (/x/node_modules/b.js:1:2)"

    frame = identifying_frame(stack)

    assert frame == ("a", "x/node_modules/a.js")


def test_a_text_without_frames_has_none() -> None:
    """So name and message alone identify the error."""
    assert identifying_frame("") is None
    assert identifying_frame("Error: x\n    at least one of them is missing\n") is None


def test_every_row_has_its_own_name() -> None:
    """Tests and logs name runtimes."""
    assert len({runtime.name for runtime in RUNTIMES}) == len(RUNTIMES)
