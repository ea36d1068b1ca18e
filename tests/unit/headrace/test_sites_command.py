"""`headrace sites` and `headrace keys`, with a topic in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.errors import UserError
from producer_api.tracker.scripts import NAMES, load
from schemas.records import Site
from sinks.delivery.publisher import PublishConfiguration, Unavailable
from sinks.sites import service
from sinks.sql.sqlite import create_file
from tests.unit.headrace.commands import Run, command_runner, replace_topic


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> dict[str, Site | None]:
    """Return the topic `sites`, which needs no Kafka."""
    return replace_topic(monkeypatch, service)


@pytest.fixture
def run(tmp_path: Path, topic: dict[str, Site | None], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command on a migrated database."""
    del topic
    monkeypatch.setenv("HEADRACE_QUERY__PUBLIC_URL", "https://collect.example")
    return command_runner(monkeypatch, tmp_path)


def test_a_site_is_registered_shown_and_changed(run: Run, topic: dict[str, Site | None]) -> None:
    """The output of `add` has the tag for its pages, and ends with the command of an event."""
    added = run("sites", "add", "shop", "--origin", "HTTPS://Shop.example:443", "--origin",
                "*.shop.example", "--require-key", "error", "--events-per-second", "9",
                "--count-bots", "--no-visitor-ids", "--ignore-opt-out")  # fmt: skip
    site = topic["shop"]
    assert site is not None
    assert (site.origins, site.require_key, site.events_per_second) == (
        ["https://shop.example", "*.shop.example"],
        ["error"],
        9,
    )
    assert (site.counts_bots, site.derives_visitors, site.honours_opt_out) == (True, False, False)
    tag = '<script defer src="https://collect.example/script.js" data-site="shop"></script>'
    assert tag in added.stdout
    assert load().pinned_tag("https://collect.example", "shop") in added.stdout
    assert "curl https://collect.example/api/event" in added.stdout.splitlines()[-2]

    changed = run("sites", "update", "shop", "--all-origins", "--require-key", "none",
                  "--events-per-second", "0", "--exclude-bots")  # fmt: skip
    assert (changed.exit_code, changed.stdout) == (
        0,
        "The rules of shop are changed, with effect within 5 s.\n",
    )
    site = topic["shop"]
    assert site is not None
    assert (site.origins, site.require_key, site.events_per_second) == ([], [], None)
    assert (site.counts_bots, site.derives_visitors) == (False, False)
    shown = run("sites", "show", "shop").stdout
    assert "needs a key   no type" in shown
    for script in map(load, NAMES):
        assert script.tag("https://collect.example", "shop") in shown
        assert f'integrity="{script.integrity}"' in shown
    assert "shop" in run("sites", "list").stdout


def test_the_key_is_the_last_line(run: Run, topic: dict[str, Site | None]) -> None:
    """It is neither listed nor in the topic; a revoked one is gone from both."""
    run("sites", "add", "shop")
    key = run("keys", "create", "--site", "shop", "--name", "till").stdout.splitlines()[-1]
    assert key.startswith("hrk_")
    assert key not in str(topic)
    listed = run("keys", "list", "--site", "shop").stdout
    assert "till" in listed
    site = topic["shop"]
    assert site is not None
    assert run("keys", "revoke", site.keys[0].key_id).exit_code == 0
    site = topic["shop"]
    assert site is not None
    assert not site.keys
    assert "has no keys" in run("keys", "list", "--site", "shop").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sites", "show", "x"), "is not registered"),
        (("sites", "update", "x", "--count-bots"), "is not registered"),
        (("sites", "update", "x"), "at least one option"),
        (("sites", "update", "x", "--all-origins", "--origin", "a.example"), "either"),
        (("sites", "add", "x", "--origin", "https://a.example/path"), "must be an origin"),
        (("sites", "add", "x", "--require-key", "sale"), "must be an event type"),
        (("sites", "add", "a b"), "site_id"),
        (("sites", "add", "."), "in the path of a URL"),
        (("sites", "add", ".."), "in the path of a URL"),
        (("keys", "create", "--site", "x"), "headrace sites add x"),
        (("keys", "revoke", "0197c2a4-7d1b-7c3e-9a55-2b8f6d0e4c11"), "There is no key"),
    ],
)
def test_mistakes_are_explained(run: Run, arguments: tuple[str, ...], message: str) -> None:
    """And nothing is written."""
    result = run(*arguments)

    assert result.exit_code
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)


@pytest.mark.parametrize("command", [("sites", "list"), ("alerts", "list")])
def test_a_database_without_tables_is_set_up_by_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """Trying again would not help."""
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    create_file(tmp_path / "headrace.db")

    result = CliRunner().invoke(app, [*command, "--data-dir", str(tmp_path)])

    assert isinstance(result.exception, UserError)
    assert "is not set up: run `headrace db upgrade`" in str(result.exception)


def test_a_kafka_that_does_not_respond_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by all other commands."""
    run = command_runner(monkeypatch, tmp_path)

    @asynccontextmanager
    async def open_publisher(*_: object) -> AsyncIterator[PublishConfiguration]:
        async def publish(*_: object) -> None:
            raise Unavailable("Kafka did not confirm a record in time; try again")

        yield publish

    monkeypatch.setattr(service, "open_publisher", open_publisher)

    result = run("sites", "add", "shop")

    assert isinstance(result.exception, UserError)
    assert str(result.exception).startswith("No Kafka broker responds at 127.0.0.1:1. Start one")


def test_a_removal_that_is_not_confirmed_says_how(run: Run) -> None:
    """Scripts have no terminal."""
    run("sites", "add", "shop")

    result = run("sites", "remove", "shop")

    assert str(result.exception) == "Nothing was deleted: confirm with y, or use --yes"
