"""What `headrace demo --browser` needs, and the pages that it visits."""

import re
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.errors import UserError
from headrace.traffic.browser import chromium
from headrace.traffic.browser.run import browse
from headrace.traffic.browser.site import served
from headrace.traffic.demo import shop

_TAG = '<script defer src="http://127.0.0.1:8080/script.full.js" data-site="demo"></script>'


def test_a_missing_browser_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also if the named one cannot be run."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(chromium, "_NAMES", ("chromium",))
    with pytest.raises(UserError, match="apt install chromium"):
        chromium.find()

    monkeypatch.setenv(chromium.VARIABLE, "/nowhere/chrome")
    with pytest.raises(UserError, match="CHROME_PATH names /nowhere/chrome, which cannot be run"):
        chromium.find()


async def test_a_browser_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    """With its last words."""
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho 'no display' >&2\nexit 1\n")
    broken.chmod(0o755)

    with pytest.raises(UserError, match="did not start: no display"):
        async with chromium.started(str(broken)):
            pass


@pytest.mark.parametrize("option", ["--rate", "--events"])
def test_limits_cannot_be_combined_with_a_browser(option: str) -> None:
    """It visits until Ctrl-C."""
    argv = ["demo", "--browser", "--to", "http://127.0.0.1:9", option, "1"]
    result = CliRunner().invoke(app, argv)

    assert "cannot be used with --browser" in str(result.exception)


async def test_a_site_that_is_not_registered_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before the browser starts: otherwise only its console would show the rejections."""
    asked: list[tuple[str, str]] = []

    async def reject(request: web.Request) -> web.Response:
        asked.append(((await request.json())["site_id"], request.headers["Origin"]))
        return web.json_response({"error": "The site boats is not registered"}, status=403)

    async def script(_: web.Request) -> web.Response:
        return web.Response(text="")

    server = web.Application()
    server.router.add_post("/api/event", reject)
    server.router.add_get("/script.full.js", script)
    browser = tmp_path / "chromium"
    browser.write_text("#!/bin/sh\ntouch started\n")
    browser.chmod(0o755)
    monkeypatch.setenv(chromium.VARIABLE, str(browser))
    monkeypatch.chdir(tmp_path)

    async with TestServer(server) as running:
        with pytest.raises(UserError, match="demo: The site boats is not registered"):
            await browse(str(running.make_url("/")), "boats", print, print)

    ((site, origin),) = asked
    assert site == "boats"
    assert origin.startswith("http://127.0.0.1:")
    assert not (tmp_path / "started").exists()


async def test_all_pages_of_the_site_have_the_tag_and_lead_on() -> None:
    """Links of the site lead to pages that it has."""
    async with served(_TAG) as url, aiohttp.ClientSession(url) as session:
        for path, title in shop.TITLES.items():
            async with session.get(path) as response:
                html = await response.text()
            assert (response.status, _TAG in html) == (200, True)
            assert f"<title>{title}</title>" in html
            for link in re.findall(r'(?:href|src|data-goto|data-push)="(/[^"]*)"', html):
                async with session.get(link) as response:
                    assert response.status == 200, link


async def test_a_missing_page_is_marked_as_such() -> None:
    """By its status, and for the tracker."""
    async with (
        served(_TAG) as url,
        aiohttp.ClientSession(url) as session,
        session.get("/nothing") as response,
    ):
        html = await response.text()

    assert response.status == 404
    assert '<meta name="headrace" content="404">' in html
