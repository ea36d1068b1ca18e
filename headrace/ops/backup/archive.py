"""The format of a backup: a gzipped tar archive that only its owner can read.

| member | contents |
|---|---|
| `backup.json` | `Manifest`, the first member |
| `headrace.db` or `database.dump` | the SQLite database, or a dump of `pg_dump` |
| `topics.json` | `Topics`: configuration that is only in Kafka, read after the database |
"""

import fcntl
import gzip
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from headrace.errors import UserError
from schemas.records import BlockedId

T = TypeVar("T")

#: The version of the format. A later headrace reads all earlier ones.
FORMAT = 1
SQLITE_MEMBER, POSTGRES_MEMBER = "headrace.db", "database.dump"
_MANIFEST, _TOPICS = "backup.json", "topics.json"
# A database compresses to a quarter; higher levels take several times as long for a tenth less.
_GZIP_LEVEL = 1
_CHUNK = 1 << 20
_DAMAGED = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, msgspec.MsgspecError)


class Manifest(msgspec.Struct, kw_only=True):
    """What a backup contains; `created_at` is in microseconds since 1970, before the snapshot."""

    format: int
    headrace: str
    created_at: int
    engine: Literal["sqlite", "postgresql"]
    #: The Alembic revision of the database, and its schema (PostgreSQL).
    revision: str
    schema: str
    partitions: int
    #: The number of rows by table.
    rows: dict[str, int]

    @property
    def member(self) -> str:
        """The name of the member with the database."""
        return SQLITE_MEMBER if self.engine == "sqlite" else POSTGRES_MEMBER


class Topics(msgspec.Struct, kw_only=True):
    """Records of topics that SQL does not mirror."""

    blocked_ids: list[BlockedId]
    erasures: list[BlockedId]


def write_archive(file: Path, manifest: Manifest, database: Path, topics: Topics) -> int:
    """Write a backup to a new file, sync it to disk, and return its size in bytes."""
    file.touch(0o600)
    with tarfile.open(file, "w:gz", compresslevel=_GZIP_LEVEL) as archive:
        _add(archive, _MANIFEST, msgspec.json.encode(manifest))
        archive.add(database, manifest.member, filter=_without_owner)
        _add(archive, _TOPICS, msgspec.json.encode(topics))
    sync(file)
    return file.stat().st_size


def read_manifest(file: Path) -> Manifest:
    """Return the manifest of a backup. Raises UserError if the file is not one."""
    with _open(file) as (archive, _):
        member = archive.next()
        if member is None or member.name != _MANIFEST:
            raise UserError(f"{file} is not a backup of headrace: make one with `headrace backup`")
        manifest = _decode(archive, member, Manifest)
    if manifest.format > FORMAT:
        raise UserError(
            f"{file} was made by headrace {manifest.headrace}, whose format {manifest.format} this "
            f"version cannot read: install that version, or a later one"
        )
    return manifest


def extract(file: Path, manifest: Manifest, database: Path) -> Topics:
    """Extract the database of a backup to a path, and return the topics.

    Reads the archive to its end, so that a damaged one raises UserError.
    """
    topics = None
    with _open(file) as (archive, content):
        for member in archive:
            if member.name == manifest.member:
                _copy(archive, member, database)
            elif member.name == _TOPICS:
                topics = _decode(archive, member, Topics)
        while content.read(_CHUNK):
            pass
    if topics is None:
        raise UserError(f"{file} is incomplete: it has no {_TOPICS}. Use another backup")
    return topics


@contextmanager
def _open(file: Path) -> Iterator[tuple[tarfile.TarFile, gzip.GzipFile]]:
    """Yield an archive, and its content, which raises an error at its end if it is damaged."""
    try:
        opened = gzip.open(file)  # noqa: SIM115 - closed below
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    try:
        with opened as content, tarfile.open(fileobj=content, mode="r:") as archive:
            yield archive, content
    except _DAMAGED as error:
        raise UserError(
            f"{file} is damaged or not a backup ({error}). Use another backup"
        ) from error


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Create an empty folder that only its owner can read, and delete it at the end.

    Deletes first what a killed command has left there. Raises UserError while another command uses
    the folder.
    """
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not _lock(descriptor, folder):
            raise UserError(
                f"Another backup or restore uses {folder}: wait until it has ended, then run this "
                "again"
            )
        try:
            for left in folder.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> bool:
    """Lock an open folder until it is closed; return False if another process has or had it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The other process may have deleted it before the lock.
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def sync(file: Path) -> None:
    """Write the contents of a file to disk."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    archive.addfile(member, io.BytesIO(content))


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def _decode(archive: tarfile.TarFile, member: tarfile.TarInfo, kind: type[T]) -> T:
    content: Any = archive.extractfile(member)
    return msgspec.json.decode(content.read(), type=kind)


def _copy(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    content: Any = archive.extractfile(member)
    target.touch(0o600)
    with target.open("wb") as file:
        while chunk := content.read(_CHUNK):
            file.write(chunk)
