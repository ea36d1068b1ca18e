import re
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.alerts.fingerprints import fingerprint
from tests.unit.streams.samples import event

names = st.sampled_from(["TypeError", "RangeError", "ZeroDivisionError"])
numbers = st.integers(0, 10**9)
hex_ids = st.text("0123456789abcdefABCDEF", min_size=6, max_size=40).filter(
    lambda text: any(character.isdigit() for character in text)
)
queries = st.from_regex(r"[a-z]{1,5}=[A-Za-z0-9%_.&=/-]{0,20}", fullmatch=True)


def error(name: str | None, message: str | None, stack: str | None) -> str:
    """Return the fingerprint of an error."""
    return fingerprint(
        event("e", type="error", error_name=name, error_message=message, error_stack=stack)
    )


@given(names, st.tuples(numbers, numbers), st.tuples(numbers, numbers))
def test_line_numbers_do_not_change_a_fingerprint(
    name: str, one: tuple[int, int], other: tuple[int, int]
) -> None:
    """They differ between releases."""
    prints = {
        error(name, "x is undefined", stack.format(*place))
        for stack in (
            "TypeError: x\n    at pay (https://shop.example/app.js:{}:{})\n    at b (c:1:2)",
        )
        for place in (one, other)
    }

    assert len(prints) == 1


@given(names, hex_ids, hex_ids)
def test_hex_ids_do_not_change_a_fingerprint(name: str, one: str, other: str) -> None:
    """Alone, in a URL, or in a path."""
    for text in ("no user {}", "at 0x{}", "GET /users/{}/cart failed"):
        assert error(name, text.format(one), None) == error(name, text.format(other), None)


@given(names, st.uuids(), st.uuids(), numbers, numbers)
def test_uuids_and_numbers_do_not_change_a_fingerprint(
    name: str, one: object, other: object, count: int, another: int
) -> None:
    """Messages that differ in them only describe the same error."""
    text = "order {} has {} items, -{}.5 EUR"

    assert error(name, text.format(one, count, count), None) == error(
        name, text.format(other, another, another), None
    )


@given(names, queries, queries)
def test_query_strings_do_not_change_a_fingerprint(name: str, one: str, other: str) -> None:
    """Neither their content nor their presence."""
    message, stack = "fetch of /api{} failed", "    at get (https://shop.example/app.js{}:1:2)"
    prints = {
        error(name, message.format(query), stack.format(query))
        for query in (f"?{one}", f"?{other}")
    }

    assert len(prints) == 1
    assert error(name, message.format(f"?{one}"), None) == error(name, message.format(""), None)


@given(st.text(), st.text(), st.text(), st.text())
def test_errors_with_different_names_differ(one: str, other: str, message: str, stack: str) -> None:
    """Even with equal messages and stacks."""
    assert (one == other) == (error(one, message, stack) == error(other, message, stack))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("TypeError", "a is undefined", None), ("TypeError", "b is undefined", None)),
        (("E", "m", "    at pay (app.js:1:2)"), ("E", "m", "    at buy (app.js:1:2)")),
        (
            ("E", "m", "pay@https://a.example/app.js:1:2"),
            ("E", "m", "buy@https://a.example/app.js:1:2"),
        ),
        (("E", "m", '  File "pay.py", line 1, in f'), ("E", "m", '  File "buy.py", line 1, in f')),
        (("E", "a\nb", None), ("E\na", "b", None)),
    ],
)
def test_errors_with_different_messages_or_first_frames_differ(
    one: tuple[str, str, str | None], other: tuple[str, str, str | None]
) -> None:
    """In stacks of V8, Firefox and Python."""
    assert error(*one) != error(*other)


def test_only_the_first_frame_counts() -> None:
    """Callers, and the lines above the frames, vary between occurrences."""
    stack = "TypeError: {}\n    at pay (app.js:1:2)\n    at {} (app.js:3:4)"

    assert error("E", "m", stack.format("x", "cart")) == error("E", "m", stack.format("y", "menu"))


surrogates = st.text(st.characters(exclude_categories=[]))


@given(st.none() | surrogates, st.none() | surrogates, st.none() | surrogates)
def test_every_text_has_a_fingerprint(
    name: str | None, message: str | None, stack: str | None
) -> None:
    """Including lone surrogates and control characters. A missing text equals an empty one."""
    found = error(name, message, stack)

    assert re.fullmatch("[0-9a-f]{16}", found)
    assert found == error(name or "", message or "", stack or "")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(unit * (100_000 // len(unit)), id=repr(unit))
        for unit in (
            "a",
            "0",
            "0x",
            "f0-",
            "a1",
            "1.",
            "1:",
            "?",
            " ",
            "@",
            "\n",
            "at ",
            "at\t",
            "-+",
            "12345678-1234-",
        )
    ],
)
def test_the_time_is_linear_in_the_length(text: str) -> None:
    """The patterns do not backtrack: 100,000 characters take no longer than the timeout."""
    began = process_time()
    for stack in (text, f"at {text}", f"File {text}", f"{text}@"):
        error(text, text, stack)

    assert process_time() - began < 0.5
