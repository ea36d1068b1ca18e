"""File permissions of a data directory."""

from pathlib import Path

from headrace.local.permissions import restrict


def _modes(root: Path) -> dict[str, int]:
    found = {str(path.relative_to(root)): path.stat().st_mode & 0o777 for path in root.rglob("*")}
    return {".": root.stat().st_mode & 0o777, **found}


def _make(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        file.touch()
        file.chmod(0o664)
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        folder.chmod(0o755)


def test_permissions_of_earlier_versions_are_restricted(tmp_path: Path) -> None:
    """Of the database, its write-ahead log, the broker's data, logs and run files."""
    root = tmp_path / "data"
    _make(
        root, "headrace.db", "headrace.db-wal", "kafka/data/t-0/0.log", "logs/web.log", "run/a.pid"
    )

    restrict(root)

    for name, mode in _modes(root).items():
        assert mode == (0o700 if (root / name).is_dir() else 0o600), name


def test_other_files_are_not_changed(tmp_path: Path) -> None:
    """The data directory may be a project directory. Symbolic links are not followed."""
    root = tmp_path / "project"
    _make(root, "src/main.py", "headrace.db", "logs/web.log", "logs/mine/x")
    (tmp_path / "shared").mkdir(mode=0o755)
    _make(tmp_path / "shared", "file")
    (root / "logs" / "link").symlink_to(tmp_path / "shared" / "file")

    restrict(root)

    modes = _modes(root)
    assert (modes["."], modes["src"], modes["src/main.py"]) == (0o755, 0o755, 0o664)
    assert (modes["headrace.db"], modes["logs/web.log"]) == (0o600, 0o600)
    assert (tmp_path / "shared" / "file").stat().st_mode & 0o777 == 0o664
