"""The order of the tests in several processes."""

from collections.abc import Collection

from tests.fixtures.distribution import order

_PAGE = [f"tests/e2e/page/test_{name}.py::test_{n}" for name in "ab" for n in range(4)]
_LONG = [f"tests/e2e/test_{name}.py::test_it" for name in "abcdef"]
_SHORT = [f"tests/unit/test_a.py::test_{n}" for n in range(40)]


def _parts(names: list[str], processes: int, on_broker: Collection[int] = ()) -> list[list[str]]:
    """Return the parts that `--dist worksteal` gives to the processes."""
    ordered = [names[position] for position in order(names, processes, on_broker)]
    assert sorted(ordered) == sorted(names)
    size = len(names) // processes
    return [ordered[start : start + size] for start in range(0, len(names), size)]


def test_each_part_begins_with_long_tests_and_ends_with_short_ones() -> None:
    """In whatever directory they are."""
    for part in _parts([*_SHORT[:10], *_PAGE, *_LONG, *_SHORT[10:]], 3):
        kinds = [name in _SHORT for name in part]
        assert kinds == sorted(kinds)
        assert set(kinds) == {False, True}


def test_a_package_is_run_by_one_process() -> None:
    """So its stack is started once."""
    parts = _parts([*_LONG, *_PAGE, *_SHORT], 3)

    assert [len({*part} & {*_PAGE}) for part in parts if {*part} & {*_PAGE}] == [len(_PAGE)]


def test_modules_that_use_the_broker_are_run_by_one_process() -> None:
    """So it is started once; the other modules go to the other processes."""
    first, *others = _parts([*_LONG, *_SHORT[:39]], 3, on_broker={0, 2, 5})

    assert first[:3] == [_LONG[0], _LONG[2], _LONG[5]]
    assert [{*part}.isdisjoint(_LONG) for part in others] == [False, False]


def test_there_may_be_fewer_tests_than_processes() -> None:
    """As with `make test ARGS=...`."""
    assert order(_LONG[:2], 3) == [0, 1]
    assert order([], 3) == []
