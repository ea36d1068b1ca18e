"""The download of Kafka's jars."""

import os
import subprocess
import sys
from pathlib import Path

from headrace.local.broker.jars import KAFKA_VERSION, class_path

_NO_NETWORK = {"HTTPS_PROXY": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}


def _download(**env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headrace.local.broker.jars"],
        env={**os.environ, **_NO_NETWORK, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_kafka_jars_have_the_same_version() -> None:
    """Dependency management does not change them."""
    names = [jar.name for jar in class_path()]

    versions = {name.rpartition("-")[2] for name in names if name.startswith("kafka")}
    assert versions == {f"{KAFKA_VERSION}.jar"}
    assert any(name.startswith("log4j-slf4j-impl") for name in names)


def test_cached_jars_need_no_network() -> None:
    """And print nothing."""
    class_path()
    again = _download()

    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_a_failed_download_is_explained_and_leaves_no_files(tmp_path: Path) -> None:
    """With what to check, and the alternative."""
    failed = _download(XDG_CACHE_HOME=str(tmp_path))

    assert failed.returncode == 1
    assert "Downloading Apache Kafka" in failed.stderr
    assert f"could not be downloaded from Maven Central to {tmp_path}" in failed.stderr
    assert "HTTPS_PROXY" in failed.stderr
    assert "--kafka HOST:PORT" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == [".lock"]
