"""Texts of clients are stored unchanged, and are in no log and no metric."""

import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

#: A marker in every text below.
MARK = "xq7-mark-xq7"
HOSTILE = [
    f"{MARK}\r\n2026-01-31 12:00:00,000 ERROR    forged: a line of a log",
    f"\x1b[31m{MARK}\x1b[2J",
    f"'; DROP TABLE events; -- {MARK}",
    f'" OR 1=1 -- {MARK}',
    f"=cmd|' /C calc'!A0 {MARK}",
    f"${{jndi:ldap://{MARK}}} %s %(x)s {{0}} <script>{MARK}</script>",
    f"\u202e{MARK} \u2028 password={MARK}",
]
SITE, SITES = "hostile", 500


@pytest.mark.timeout(240)
def test_hostile_texts_are_stored_unchanged_and_not_logged(stack: Stack) -> None:
    """In accepted and rejected events, addresses and tokens; sites are no metric labels."""
    for number, text in enumerate(HOSTILE):
        event = {"type": "error", "site_id": SITE, "session_id": f"s-{number}"}
        texts = {"title": text, "error_name": text, "error_message": text, "user_agent": text}
        assert stack.post({**event, **texts, "properties": {text: text}})[0] == 202
        assert stack.post({**event, "type": text})[0] == 400
        assert stack.post({**event, "session_id": text + "\x00"})[0] == 400
        assert stack.post(text.encode())[0] == 400
    _request_with_secrets(stack)
    before = _series(stack)
    sites = [{"type": "copy", "site_id": f"{MARK}-{n}", "session_id": "s"} for n in range(SITES)]
    assert stack.post(sites, "/api/events")[0] == 202

    expected = len(HOSTILE) + SITES
    eventually(
        lambda: len(_rows(stack, "events")) == expected,
        within_seconds=60,
        what="all events are stored",
    )
    names = ("title", "error_name", "error_message", "user_agent")
    rows = [row for row in _rows(stack, "events") if row["title"]]
    assert {tuple(row[name] for name in names) for row in rows} == {(t,) * 4 for t in HOSTILE}
    eventually(
        lambda: len(_rows(stack, "sessions")) == expected,
        within_seconds=60,
        what="all visits are stored",
    )
    assert len(_series(stack) - before) < SITES
    logs = sorted((stack.data_dir / "logs").glob("*.log*"))
    assert {log.stem for log in logs} >= {"streams", "sinks", "live"}
    assert [log.name for log in logs if MARK in log.read_text(errors="replace")] == []
    assert MARK not in stack.screen


def _rows(stack: Stack, table: str) -> list[dict[str, Any]]:
    """Return the rows of the sites of this test."""
    query = f"SELECT * FROM {table} WHERE site_id = ? OR site_id LIKE ?"  # noqa: S608 - our own
    return stack.rows(query, [SITE, f"{MARK}%"])


def _request_with_secrets(stack: Stack) -> None:
    """Send requests that are rejected, with a token in the address and in a header."""
    for path in (f"/api/sites/shop/alerts?access_token={MARK}", f"/nowhere?password={MARK}"):
        request = urllib.request.Request(stack.url + path)  # noqa: S310 - ours
        request.add_header("Authorization", f"Bearer {MARK}")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=15)  # noqa: S310


def _series(stack: Stack) -> set[str]:
    """Return the names and labels of all metrics."""
    with urllib.request.urlopen(f"{stack.url}/metrics", timeout=15) as response:  # noqa: S310
        text = response.read().decode()
    assert MARK not in text
    return {line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")}
