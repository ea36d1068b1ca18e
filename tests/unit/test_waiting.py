"""Waiting with a deadline, as the other tests do it."""

import asyncio

import pytest

from tests.fixtures.waiting import NotInTimeError, eventually, eventually_async


def test_the_first_true_answer_is_returned() -> None:
    """The condition is evaluated until then."""
    answers = iter([0, None, 7])

    assert eventually(lambda: next(answers), within_seconds=5, what="seven") == 7


def test_what_did_not_come_is_told() -> None:
    """With the last answer, which often says why."""
    with pytest.raises(NotInTimeError, match=r"rows arrive: not within 0\.05 s; .* was 0"):
        eventually(lambda: 0, within_seconds=0.05, what="rows arrive")


async def test_a_coroutine_is_awaited() -> None:
    """A plain function does as well."""
    answers = iter([0, 7, 8])

    async def ask() -> int:
        return next(answers)

    assert await eventually_async(ask, within_seconds=5, what="seven") == 7
    assert await eventually_async(lambda: next(answers), within_seconds=5, what="eight") == 8


async def test_a_coroutine_that_hangs_is_cut_off() -> None:
    """Else the deadline would never be looked at."""
    with pytest.raises(NotInTimeError, match="an answer: not within"):
        await eventually_async(asyncio.Event().wait, within_seconds=0.05, what="an answer")
