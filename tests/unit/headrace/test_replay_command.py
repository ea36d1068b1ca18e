"""The options and exit codes of `headrace replay`, without a server."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from headrace.cli.main import app
from headrace.errors import UsageError

_GOOD = '{"type":"pageview","site_id":"s","session_id":"1"}'
_OLD = '{"type":"pageview","site_id":"s","session_id":"1","timestamp":"2024-03-01 10:00:00 UTC"}'
_AHEAD = '{"type":"pageview","site_id":"s","session_id":"1","timestamp":"2999-01-01"}'
_BAD = '{"type":"nope","site_id":"s","session_id":"1"}'


def _dry(tmp_path: Path, text: str, *options: str, name: str = "x.jsonl") -> Result:
    path = tmp_path / name
    path.write_text(text)
    # An empty data directory, so that no owner token is found.
    at = ("--data-dir", str(tmp_path))
    return CliRunner().invoke(app, ["replay", str(path), "--dry-run", *at, *options])


def _summary(result: Result) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(result.stdout)
    return summary


def test_a_dry_run_applies_the_rules_of_the_server(tmp_path: Path) -> None:
    """Rejections are counted by reason, with the position of the first."""
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


def test_with_a_token_no_timestamp_is_clamped(tmp_path: Path) -> None:
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
def test_the_owner_token_is_sent_to_the_local_server_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, clamped: int
) -> None:
    """Also if --to names the address of this server."""
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
def test_the_exit_code_is_1_if_events_are_rejected(
    tmp_path: Path, text: str, options: tuple[str, ...], code: int
) -> None:
    """Unless rejections are allowed."""
    assert _dry(tmp_path, text, *options).exit_code == code


def test_fields_and_columns_are_renamed(tmp_path: Path) -> None:
    """In JSON and in CSV."""
    mapped = ("--map", "kind=type", "--map", "site=site_id", "--map", "sess=session_id", "--json")
    lines = _dry(tmp_path, '{"kind":"copy","site":"s","sess":"1"}', *mapped)
    rows = _dry(tmp_path, "kind;site;sess\ncopy;s;1\n", *mapped, name="x.csv")

    assert [_summary(result)["accepted"] for result in (lines, rows)] == [1, 1]


def test_rejected_events_can_be_corrected_and_replayed(tmp_path: Path) -> None:
    """`--rejects` writes them to a file."""
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
    """The input file is not overwritten."""
    monkeypatch.chdir(tmp_path)

    assert _dry(tmp_path, _GOOD, *options).exit_code == 2
    assert (tmp_path / "x.jsonl").read_text() == _GOOD


def test_token_and_clamp_are_mutually_exclusive(tmp_path: Path) -> None:
    """Clamping needs no import window."""
    result = _dry(tmp_path, _GOOD, "--clamp", "--token", "hr_x")

    assert isinstance(result.exception, UsageError)
