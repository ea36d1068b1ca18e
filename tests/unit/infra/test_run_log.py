"""Only what the current run has logged is shown, and of that what says why it ended."""

from pathlib import Path

import pytest

from infra.run_log import RunLog

_INFO = "2026-11-29 15:00:00,001 INFO     infra.role: sinks: starting\n"
_ERROR = "2026-11-29 15:00:01,001 ERROR    sinks.app: no such table\n"


def test_what_an_earlier_run_has_logged_is_left_out(tmp_path: Path) -> None:
    """Also where the file was put aside, or cut, since."""
    path = tmp_path / "sinks.log"
    path.write_text("an old failure\n")
    log = RunLog(path)
    log.begin()
    assert (log.lines(), log.reason()) == ([], "")

    with path.open("a") as file:
        file.write(_INFO)
    assert log.lines() == [_INFO.strip()]
    path.rename(path.with_suffix(".1"))
    path.write_text("new\n")
    assert log.lines() == ["new"]


def test_a_log_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    """Nor does it fail."""
    log = RunLog(tmp_path / "none.log")
    log.begin()

    assert log.reason() == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            _INFO + "sinks: the database holds another cluster\n",
            "sinks: the database holds another",
        ),
        (_ERROR + _INFO, "2026-11-29 15:00:01,001 ERROR    sinks.app: no such table"),
        (_INFO, ""),
        (
            'Traceback (most recent call last):\n  File "x.py", line 1\n    x\nValueError: bad\n',
            "ValueError: bad",
        ),
        (
            _ERROR + "java.io.IOException: No space left on device\n\tat java.base/sun.nio\n\n",
            "java.io.IOException: No space left on device",
        ),
        ("x" * 2_000, "x" * 300 + " …"),
        ("", ""),
    ],
)
def test_the_reason_is_the_sentence_or_the_last_error(
    tmp_path: Path, text: str, reason: str
) -> None:
    """Not a frame of a traceback, nor what was logged on the way out."""
    log = RunLog(tmp_path / "log")
    log.begin()
    (tmp_path / "log").write_text(text)

    assert log.reason().startswith(reason)
    assert bool(log.reason()) is bool(reason)


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    """A JVM may write anything."""
    log = RunLog(tmp_path / "log")
    log.begin()
    (tmp_path / "log").write_bytes(b"\xff\xfe end\n")

    assert log.reason().endswith("end")
