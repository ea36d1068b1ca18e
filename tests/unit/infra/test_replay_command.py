"""`headrace replay` without a server."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from infra.cli import app
from infra.errors import UsageError

_GOOD = '{"type":"pageview","site_id":"s","session_id":"1"}'
_OLD = '{"type":"pageview","site_id":"s","session_id":"1","timestamp":"2024-03-01 10:00:00 UTC"}'
_AHEAD = '{"type":"pageview","site_id":"s","session_id":"1","timestamp":"2999-01-01"}'
_BAD = '{"type":"nope","site_id":"s","session_id":"1"}'


def _dry(tmp_path: Path, text: str, *options: str, name: str = "x.jsonl") -> Result:
    path = tmp_path / name
    path.write_text(text)
    # A data directory of its own: no token of a headrace on this machine is found.
    at = ("--data-dir", str(tmp_path))
    return CliRunner().invoke(app, ["replay", str(path), "--dry-run", *at, *options])


def _summary(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_dry_run_applies_the_servers_rules(tmp_path: Path) -> None:
    """Results are counted by reason, with the location of the first."""
    events = [_GOOD, _OLD, _AHEAD, _BAD, "{", _BAD]
    result = _dry(tmp_path, "\n".join(events), "--json")

    summary = _summary(result)
    assert result.exit_code == 1
    assert (summary["dry_run"], summary["complete"], summary["events"]) == (True, True, 6)
    assert (summary["accepted"], summary["rejected"], summary["clamped"]) == (3, 3, 2)
    assert summary["without_timestamp"] == 1
    assert [(one["code"], one["count"]) for one in summary["rejected_reasons"]] == [
        ("unknown_type", 2),
        ("invalid_json", 1),
    ]
    assert summary["rejected_reasons"][0]["first_at"].endswith("x.jsonl, line 4")
    assert {one["code"] for one in summary["clamped_reasons"]} == {"too_old", "too_new"}
    assert "--token" in summary["advice"][0]
    assert "--map FIELD=timestamp" in summary["advice"][1]


def test_with_a_token_nothing_would_be_clamped(tmp_path: Path) -> None:
    """Import windows would be open."""
    assert _summary(_dry(tmp_path, _OLD, "--json", "--token", "hr_x"))["clamped"] == 0


@pytest.mark.parametrize(
    ("to", "clamped"),
    [
        ("http://127.0.0.1:8999", 0),
        ("http://localhost:8999/", 0),
        ("http://127.0.0.1:9998", 1),
        ("https://127.0.0.1:8999", 1),
        ("http://collect.example:8999", 1),
    ],
)
def test_the_owners_token_is_sent_to_the_local_headrace_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, clamped: int
) -> None:
    """With --to only if it is the same address."""
    run = tmp_path / "data" / "run"
    run.mkdir(parents=True)
    (run / "web.pid").write_text(str(os.getpid()))
    (run / "web.address").write_text("http://127.0.0.1:8999\n")
    (tmp_path / "data" / "owner.token").write_text("hr_x\n")
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path / "data"))
    path = tmp_path / "x.jsonl"
    path.write_text(_OLD)

    result = CliRunner().invoke(app, ["replay", str(path), "--dry-run", "--json", "--to", to])

    assert _summary(result)["clamped"] == clamped


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [(_GOOD, (), 0), ("", (), 0), (_BAD, (), 1), (_BAD, ("--allow-rejects",), 0)],
)
def test_rejected_events_exit_with_1_unless_they_are_allowed(
    tmp_path: Path, text: str, options: tuple[str, ...], code: int
) -> None:
    """So that scripts notice."""
    assert _dry(tmp_path, text, *options).exit_code == code


def test_members_and_columns_are_renamed(tmp_path: Path) -> None:
    """In JSON and in CSV."""
    mapped = ("--map", "kind=type", "--map", "site=site_id", "--map", "sess=session_id", "--json")
    lines = _dry(tmp_path, '{"kind":"copy","site":"s","sess":"1"}', *mapped)
    rows = _dry(tmp_path, "kind;site;sess\ncopy;s;1\n", *mapped, name="x.csv")

    assert [_summary(result)["accepted"] for result in (lines, rows)] == [1, 1]


def test_rejected_events_are_written_and_read_again(tmp_path: Path) -> None:
    """After a correction they are accepted."""
    rejects = tmp_path / "rejects.jsonl"
    result = _dry(tmp_path, f"{_GOOD}\n{_BAD}\n", "--rejects", str(rejects))
    assert result.exit_code == 1

    corrected = rejects.read_text().replace('"nope"', '"copy"')

    assert _summary(_dry(tmp_path, corrected, "--json"))["accepted"] == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--map", "type"),
        ("--map", "=type"),
        ("--map", "a="),
        ("--map", "a=b..c"),
        ("--rejects", "x.jsonl"),
        ("--query", "nowhere"),
    ],
)
def test_invalid_options_exit_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """The file of events is not overwritten."""
    monkeypatch.chdir(tmp_path)

    assert _dry(tmp_path, _GOOD, *options).exit_code == 2
    assert (tmp_path / "x.jsonl").read_text() == _GOOD


def test_a_token_and_clamp_are_mutually_exclusive(tmp_path: Path) -> None:
    """Only one of them can be meant."""
    result = _dry(tmp_path, _GOOD, "--clamp", "--token", "hr_x")

    assert isinstance(result.exception, UsageError)
