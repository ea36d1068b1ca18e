"""The published script of GoatCounter sends each hit once. It never sends again after an error."""

from pathlib import Path

import pytest

from tests.e2e.clients.conftest import OpenPage, expect_statuses, problems
from tests.e2e.clients.server import Server
from tests.e2e.guides import toolchains

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_MODULE = "zgo.at/goatcounter/v2@v2.7.0"
_SETTINGS = """
window.goatcounter = { allow_local: true, endpoint: COLLECTOR + '/count/shop' }
%s
window.goatcounter.count({ path: 'signup', title: 'Sign up', event: true })
"""


def _script() -> str:
    """Return `count.js`, which is published with the server."""
    toolchains.require("go")

    def download(target: Path) -> None:
        (target / "go.mod").write_text("module client\n")
        command = ["go", "mod", "download", "-modcacherw", _MODULE]
        toolchains.run(["env", f"GOPATH={target}", *command], target)

    folder = toolchains.cached(_MODULE.replace("/", "-"), download)
    return (folder / "pkg" / "mod" / _MODULE / "public" / "count.js").read_text()


@pytest.mark.parametrize("failures", [0, 1])
def test_count_js(server: Server, open_page: OpenPage, failures: int) -> None:
    """A view of each page, and an event."""
    server.fail(failures)

    chrome = open_page(_SETTINGS % _script())
    server.wait_for(2 - failures)
    chrome.get(chrome.current_url.replace("first", "second") + "?utm_source=news")
    events = server.wait_for(4 - failures)

    assert problems(chrome) == []
    expect_statuses(server, (4 - failures) * [200] + failures * [503])
    (view,) = [event for event in events if event.path == "/second.html"]
    assert (view.type, view.title, view.utm and view.utm.source) == ("pageview", "Second", "news")
    assert view.screen is not None
    assert [event.event_name for event in events if event.type == "custom_event"][-1] == "signup"
    assert {event.site_id for event in events} == {"shop"}
    assert len({event.session_id for event in events}) == 1
