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
def test_line_numbers_do_not_matter(
    name: str, one: tuple[int, int], other: tuple[int, int]
) -> None:
    """A release moves them, and the error stays the same."""
    prints = {
        error(name, "x is undefined", stack.format(*place))
        for stack in (
            "TypeError: x\n    at pay (https://shop.example/app.js:{}:{})\n    at b (c:1:2)",
        )
        for place in (one, other)
    }

    assert len(prints) == 1


@given(names, hex_ids, hex_ids)
def test_hex_ids_do_not_matter(name: str, one: str, other: str) -> None:
    """Bare, in an address, or in a path."""
    for text in ("no user {}", "at 0x{}", "GET /users/{}/cart failed"):
        assert error(name, text.format(one), None) == error(name, text.format(other), None)


@given(names, st.uuids(), st.uuids(), numbers, numbers)
def test_uuids_and_numbers_do_not_matter(
    name: str, one: object, other: object, count: int, another: int
) -> None:
    """The same words with other figures are the same error."""
    text = "order {} has {} items, -{}.5 EUR"

    assert error(name, text.format(one, count, count), None) == error(
        name, text.format(other, another, another), None
    )


@given(names, queries, queries)
def test_query_strings_do_not_matter(name: str, one: str, other: str) -> None:
    """Neither what they hold, nor whether there is one."""
    message, stack = "fetch of /api{} failed", "    at get (https://shop.example/app.js{}:1:2)"
    prints = {
        error(name, message.format(query), stack.format(query))
        for query in (f"?{one}", f"?{other}")
    }

    assert len(prints) == 1
    assert error(name, message.format(f"?{one}"), None) == error(name, message.format(""), None)


@given(st.text(), st.text(), st.text(), st.text())
def test_another_name_is_another_error(one: str, other: str, message: str, stack: str) -> None:
    """Whatever the rest says."""
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
def test_another_message_or_first_frame_is_another_error(
    one: tuple[str, str, str | None], other: tuple[str, str, str | None]
) -> None:
    """V8's, Firefox's and Python's stacks are understood."""
    assert error(*one) != error(*other)


def test_only_the_first_frame_counts() -> None:
    """Who called it, and what the stack says above it, differs from case to case."""
    stack = "TypeError: {}\n    at pay (app.js:1:2)\n    at {} (app.js:3:4)"

    assert error("E", "m", stack.format("x", "cart")) == error("E", "m", stack.format("y", "menu"))


surrogates = st.text(st.characters(exclude_categories=[]))


@given(st.none() | surrogates, st.none() | surrogates, st.none() | surrogates)
def test_every_text_has_a_fingerprint(
    name: str | None, message: str | None, stack: str | None
) -> None:
    """Lone surrogates and control characters included; what is missing is as good as empty."""
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
def test_no_text_takes_long(text: str) -> None:
    """Its patterns never go back over what they read: a hundred thousand characters at once."""
    began = process_time()
    for stack in (text, f"at {text}", f"File {text}", f"{text}@"):
        error(text, text, stack)

    assert process_time() - began < 0.5
