"""Kafka's jars are fetched once, and never by halves."""

import os
import subprocess
import sys
from pathlib import Path

from infra.broker.jars import KAFKA_VERSION, class_path

_NO_NETWORK = {"HTTPS_PROXY": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}


def _fetch(**env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.broker.jars"],
        env={**os.environ, **_NO_NETWORK, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_class_path_is_of_one_kafka() -> None:
    """No part of it comes in the version that another library asks for."""
    names = [jar.name for jar in class_path()]

    versions = {name.rpartition("-")[2] for name in names if name.startswith("kafka")}
    assert versions == {f"{KAFKA_VERSION}.jar"}
    assert any(name.startswith("log4j-slf4j-impl") for name in names)


def test_a_second_start_asks_no_network() -> None:
    """It says nothing, too."""
    class_path()
    again = _fetch()

    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_a_fetch_that_fails_says_what_to_do_and_leaves_nothing(tmp_path: Path) -> None:
    """What was tried, why it failed, and the two ways on."""
    failed = _fetch(XDG_CACHE_HOME=str(tmp_path))

    assert failed.returncode == 1
    assert "Fetching Apache Kafka" in failed.stderr
    assert f"could not be fetched from Maven Central to {tmp_path}" in failed.stderr
    assert "HTTPS_PROXY" in failed.stderr
    assert "--kafka HOST:PORT" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == [".lock"]
