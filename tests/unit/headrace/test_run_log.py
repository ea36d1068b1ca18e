"""The log of the current run, and why its process exited."""

from pathlib import Path

import pytest

from headrace.local.run_log import RunLog

_INFO = "2026-11-29 15:00:00,001 INFO     headrace.roles.run: sinks: starting\n"
_ERROR = "2026-11-29 15:00:01,001 ERROR    sinks.app: no such table\n"


def test_earlier_runs_are_skipped(tmp_path: Path) -> None:
    """Also if the file was rotated or truncated since."""
    path = tmp_path / "sinks.log"
    path.write_text("an old failure\n")
    log = RunLog(path)
    log.start_run()
    assert (log.lines(), log.exit_reason()) == ([], "")

    with path.open("a") as file:
        file.write(_INFO)
    assert log.lines() == [_INFO.strip()]
    path.rename(path.with_suffix(".1"))
    path.write_text("new\n")
    assert log.lines() == ["new"]


def test_a_missing_log_has_no_reason(tmp_path: Path) -> None:
    """It raises no error."""
    log = RunLog(tmp_path / "none.log")
    log.start_run()

    assert log.exit_reason() == ""


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
            '{"time": "2026-11-29T15:00:01Z", "level": "ERROR", "logger": "a", "message": "b"}\n',
            "2026-11-29T15:00:01Z ERROR a: b",
        ),
        ('{"level": "INFO"}\n', '{"level": "INFO"}'),
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
def test_the_reason_is_the_final_message_or_the_last_error(
    tmp_path: Path, text: str, reason: str
) -> None:
    """Not a frame of a traceback, nor entries of the shutdown."""
    log = RunLog(tmp_path / "log")
    log.start_run()
    (tmp_path / "log").write_text(text)

    assert log.exit_reason().startswith(reason)
    assert bool(log.exit_reason()) is bool(reason)


def test_invalid_utf8_is_replaced(tmp_path: Path) -> None:
    """A JVM may write any bytes."""
    log = RunLog(tmp_path / "log")
    log.start_run()
    (tmp_path / "log").write_bytes(b"\xff\xfe end\n")

    assert log.exit_reason().endswith("end")
