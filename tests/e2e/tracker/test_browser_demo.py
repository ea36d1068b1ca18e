"""`headrace demo --browser` against the application."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.tracker.collector import open_collector
from tests.fixtures.waiting import eventually

_SECONDS = 90


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_demo_visits_its_site_until_ctrl_c(tmp_path: Path) -> None:
    """Visitors arrive by search engines and follow links; no browser is left."""
    with open_collector() as collector:
        url = collector.url.replace("collect.localhost", "127.0.0.1")
        argv = ["demo", "--browser", "--to", url, "--site-id", "boats"]
        with subprocess.Popen(
            [sys.executable, "-m", "headrace", *argv],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stderr=subprocess.PIPE,
            text=True,
        ) as demo:
            eventually(
                lambda: len(collector.of_type("pageleave")) >= 6,
                within_seconds=_SECONDS,
                what="visitors view pages",
            )
            demo.send_signal(signal.SIGINT)
            output = demo.communicate(timeout=_SECONDS)[1]

    assert demo.returncode == 0, output
    assert "The demo site is http://127.0.0.1:" in output
    views = collector.of_type("pageview")
    assert len({view.session_id for view in views}) >= 3
    assert {(view.site_id, view.is_bot) for view in views} == {("boats", False)}
    assert any(view.source for view in views)
    assert list(tmp_path.iterdir()) == []
    assert not [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(tmp_path) in " ".join(process.info["cmdline"] or [])
    ]
