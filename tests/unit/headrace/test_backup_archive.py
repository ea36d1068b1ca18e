"""The archive of a backup."""

import sqlite3
import tarfile
from pathlib import Path

import msgspec
import pytest

from headrace.errors import UserError
from headrace.ops.backup import sqlite
from headrace.ops.backup.archive import (
    FORMAT,
    Manifest,
    Topics,
    extract,
    new_folder,
    read_manifest,
    write_archive,
)
from headrace.ops.backup.restore import check, check_partitions
from schemas.records import BlockedId
from schemas.settings import DatabaseSettings, Settings

MANIFEST = Manifest(
    format=FORMAT,
    headrace="1.2.3",
    created_at=1,
    engine="sqlite",
    revision="0001",
    schema="",
    partitions=4,
    rows={"events": 7},
)
TOPICS = Topics(blocked_ids=[BlockedId(site_id="a", hash="b", created_at=1)], erasures=[])
#: Larger than the buffers of tar and gzip, and hard to compress.
CONTENT = bytes(n * n % 251 for n in range(300_000))


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """Return a backup."""
    return write(tmp_path, MANIFEST)


def write(folder: Path, manifest: Manifest) -> Path:
    """Write a backup of a database with `CONTENT`."""
    (folder / "source").write_bytes(CONTENT)
    size = write_archive(folder / "backup", manifest, folder / "source", TOPICS)
    assert size == (folder / "backup").stat().st_size
    return folder / "backup"


def test_a_backup_is_read_back(backup: Path, tmp_path: Path) -> None:
    """The manifest alone, too; only the owner can read the file."""
    assert read_manifest(backup) == MANIFEST
    assert extract(backup, MANIFEST, tmp_path / "copy") == TOPICS
    assert (tmp_path / "copy").read_bytes() == CONTENT
    for file in (backup, tmp_path / "copy"):
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("part", [0.2, 0.9, 0.999])
def test_a_truncated_backup_is_rejected(backup: Path, tmp_path: Path, part: float) -> None:
    """Wherever it ends."""
    content = backup.read_bytes()
    backup.write_bytes(content[: int(len(content) * part)])

    with pytest.raises(UserError, match=r"damaged|incomplete"):
        extract(backup, MANIFEST, tmp_path / "copy")


def test_a_damaged_backup_is_rejected(backup: Path, tmp_path: Path) -> None:
    """By the checksum of gzip."""
    content = bytearray(backup.read_bytes())
    content[len(content) // 2] ^= 0xFF
    backup.write_bytes(content)

    with pytest.raises(UserError, match="damaged"):
        extract(backup, MANIFEST, tmp_path / "copy")


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", CONTENT])
def test_another_file_is_no_backup(tmp_path: Path, content: bytes) -> None:
    """Such as a database, or an empty file."""
    file = tmp_path / "file"
    file.write_bytes(content)

    with pytest.raises(UserError, match="not a backup"):
        read_manifest(file)


def test_another_archive_is_no_backup(tmp_path: Path) -> None:
    """Such as that of a data directory."""
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(__file__)

    with pytest.raises(UserError, match="is not a backup of headrace"):
        read_manifest(tmp_path / "a.tar.gz")


@pytest.mark.parametrize(("name", "reason"), [("missing", "No such file"), (".", "a directory")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, reason: str) -> None:
    """With the reason of the system."""
    with pytest.raises(UserError, match=f"cannot be read: .*{reason}"):
        read_manifest(tmp_path / name)


def test_a_later_format_is_named(tmp_path: Path) -> None:
    """With the version that can read it."""
    later = msgspec.structs.replace(MANIFEST, format=FORMAT + 1)

    with pytest.raises(UserError, match=r"made by headrace 1\.2\.3"):
        read_manifest(write(tmp_path, later))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engine": "postgresql"}, "of a postgresql database, but sqlite"),
        ({"revision": "9999"}, "has the schema 9999, which this version does not know"),
    ],
)
def test_a_backup_that_does_not_fit_is_rejected(change: dict[str, str], message: str) -> None:
    """Before anything is replaced."""
    settings = Settings(database=DatabaseSettings(url="sqlite:///a.db"))

    check(settings, MANIFEST)
    with pytest.raises(UserError, match=message):
        check(settings, msgspec.structs.replace(MANIFEST, **change))


@pytest.mark.parametrize(
    ("existing", "advice"), [(6, "then run `headrace repartition --partitions 6`"), (2, "")]
)
def test_a_backup_of_other_partitions_needs_another_cluster(existing: int, advice: str) -> None:
    """Sessions would be split. Kafka cannot remove partitions."""
    for same in (None, MANIFEST.partitions):
        check_partitions(MANIFEST, same)

    with pytest.raises(UserError, match=r"4 partitions, .* have \d\. Restore it with") as raised:
        check_partitions(MANIFEST, existing)
    assert ("headrace repartition" in str(raised.value)) == bool(advice)
    assert advice in str(raised.value)


def test_a_folder_of_a_killed_command_is_emptied(tmp_path: Path) -> None:
    """And deleted at the end."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "left").touch()

    with new_folder(tmp_path / "new") as folder:
        assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_has_one_user(tmp_path: Path) -> None:
    """A second backup to the same file would delete what the first one copies."""
    with new_folder(tmp_path / "new") as folder:
        (folder / "database").touch()
        with pytest.raises(UserError, match="Another backup or restore uses"), new_folder(folder):
            pass
        assert (folder / "database").exists()
    with new_folder(tmp_path / "new"):
        pass


@pytest.mark.parametrize(
    ("code", "message"),
    [(sqlite3.SQLITE_CORRUPT, "cannot be copied: .*malformed"), (sqlite3.SQLITE_FULL, "No space")],
)
async def test_a_database_that_cannot_be_copied_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    """A full disk is that of the copy."""
    (tmp_path / "headrace.db").touch()

    def fail(*_: object) -> None:
        error = sqlite3.OperationalError("database disk image is malformed")
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr(sqlite, "_copy", fail)
    with pytest.raises((UserError, OSError), match=message) as raised:
        await sqlite.dump(
            sqlite.settings_of(tmp_path / "headrace.db"), tmp_path / "new" / "database"
        )
    assert getattr(raised.value, "filename", str(tmp_path / "new")) == str(tmp_path / "new")
