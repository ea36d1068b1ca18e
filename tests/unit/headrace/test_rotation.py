"""Log rotation while a process appends to its log."""

from pathlib import Path

from headrace.up.log_rotation import ROTATED_FILES, rotate


def test_the_size_of_all_logs_of_a_role_is_bounded(tmp_path: Path) -> None:
    """The newest lines are in the log, older ones in rotated files; the oldest are dropped."""
    log = tmp_path / "web.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(100):
            writer.write(f"line {number:04}\n".encode())
            rotate(log, limit_bytes=50)

    files = [log.with_name(f"web.log.{number}") for number in range(ROTATED_FILES, 0, -1)] + [log]
    kept = "".join(file.read_text() for file in files).splitlines()

    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(file.stat().st_size <= 60 for file in files)
    assert kept == [f"line {number:04}" for number in range(100 - len(kept), 100)]
    assert len(kept) >= 10


def test_a_log_below_the_limit_is_not_rotated(tmp_path: Path) -> None:
    """A missing one is ignored."""
    log = tmp_path / "web.log"
    rotate(log)
    log.write_text("line\n")
    rotate(log)

    assert [path.name for path in tmp_path.iterdir()] == ["web.log"]
