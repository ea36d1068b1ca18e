"""Logs that are rotated under a process that appends to them."""

from pathlib import Path

from infra.rotation import KEPT, rotate


def test_the_size_of_all_logs_of_a_role_is_bounded(tmp_path: Path) -> None:
    """The newest lines are in the log, the ones before next to it; the oldest are dropped."""
    log = tmp_path / "web.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(100):
            writer.write(f"line {number:04}\n".encode())
            rotate(log, limit_bytes=50)

    files = [log.with_name(f"web.log.{number}") for number in range(KEPT, 0, -1)] + [log]
    kept = "".join(file.read_text() for file in files).splitlines()

    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(file.stat().st_size <= 60 for file in files)
    assert kept == [f"line {number:04}" for number in range(100 - len(kept), 100)]
    assert len(kept) >= 10


def test_a_log_within_the_limit_stays(tmp_path: Path) -> None:
    """And one that is missing is no error."""
    log = tmp_path / "web.log"
    rotate(log)
    log.write_text("line\n")
    rotate(log)

    assert [path.name for path in tmp_path.iterdir()] == ["web.log"]
