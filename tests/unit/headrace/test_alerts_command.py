"""`headrace alerts`, with a topic in memory."""

from pathlib import Path
from typing import Any

import pytest

from headrace.errors import UserError
from headrace.local.data_dir import DataDir
from schemas.records import Subscription
from sinks.delivery import service
from tests.unit.headrace.commands import Run, command_runner, replace_topic

URL = "https://1.1.1.1/hooks?a=b"
ADD = ("alerts", "add", "--site", "shop", "--rule", "payment", "--url", URL)
UNKNOWN = "0197c2a4-7d1b-7c3e-9a55-2b8f6d0e4c11"


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> dict[str, Subscription | None]:
    """Return the topic `subscriptions`, which needs no Kafka."""
    return replace_topic(monkeypatch, service)


@pytest.fixture
def run(
    tmp_path: Path, topic: dict[str, Subscription | None], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Return a function that runs a command on a migrated database."""
    del topic
    return command_runner(monkeypatch, tmp_path)


def _only(topic: dict[str, Subscription | None]) -> Subscription:
    [record] = topic.values()
    assert record is not None
    return record


def test_a_subscription_is_added_paused_and_removed(
    run: Run, topic: dict[str, Subscription | None]
) -> None:
    """The secret is the last line of `add`, and nowhere else; parameters are those of the API."""
    added = run(*ADD, "--param", "min_amount=100", "--param", "currency=eur", "--cooldown", "60")

    assert added.exit_code == 0, added.exception
    record = _only(topic)
    assert (record.site_id, record.rule, record.cooldown_seconds) == ("shop", "payment", 60)
    assert record.params == '{"min_amount": 100, "currency": "EUR"}'
    secret = added.stdout.splitlines()[-1]
    assert secret.startswith("whsec_")
    listed = run("alerts", "list").stdout
    for shown in (record.subscription_id, "min_amount=100, currency=EUR", URL, "60 s", "enabled"):
        assert shown in listed
    assert secret not in listed

    for command, state in (("pause", "paused"), ("resume", "enabled")):
        assert run("alerts", command, record.subscription_id).exit_code == 0
        assert _only(topic).enabled == (state == "enabled")
        assert state in run("alerts", "list", "--site", "shop").stdout
    assert run("alerts", "remove", record.subscription_id).exit_code == 0
    assert topic == {record.subscription_id: None}
    assert "There are no subscriptions" in run("alerts", "list").stdout


def test_lists_are_of_a_site_and_limited(run: Run) -> None:
    """The newest are shown, and the command says that there are more."""
    for _ in range(3):
        run(*ADD)

    limited = run("alerts", "list", "--limit", "2").stdout

    assert limited.count("payment") == 2
    assert "Only the newest 2 are shown" in limited
    assert "There are no subscriptions" in run("alerts", "list", "--site", "other").stdout
    assert run("alerts", "list", "--limit", str(2**63)).exit_code == 2


def test_the_secret_is_encrypted_with_the_key_file_of_the_data_directory(
    run: Run, tmp_path: Path
) -> None:
    """As `headrace up` does, whose sinks decrypt it."""
    DataDir(tmp_path).secrets_key()

    secret = run(*ADD).stdout.splitlines()[-1]

    stored = b"".join(file.read_bytes() for file in tmp_path.glob("headrace.db*"))
    assert b"fernet:" in stored
    assert secret.encode() not in stored


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*ADD[:-1], "http://1.1.1.1/"), "the URL must begin with https"),
        ((*ADD[:-1], "https://127.0.0.1/"), "public"),
        ((*ADD, "--param", "amount=1"), "payment has only min_amount, currency, trust"),
        ((*ADD, "--param", "min_amount=much"), "min_amount: it must be a number"),
        ((*ADD, "--cooldown", "-1"), "cooldown_seconds"),
        ((*ADD[:4], "--rule", "refund", *ADD[6:]), "rule must be one of: payment"),
        (("alerts", "pause", UNKNOWN), "headrace alerts list"),
        (("alerts", "test", UNKNOWN), "There is no subscription"),
    ],
)
def test_mistakes_are_explained(
    run: Run, topic: dict[str, Any], arguments: tuple[str, ...], message: str
) -> None:
    """In the words of the API, and nothing is written."""
    result = run(*arguments)

    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
    assert topic == {}


def test_a_parameter_needs_a_value(run: Run) -> None:
    """Wrong use exits with 2."""
    assert run(*ADD, "--param", "min_amount").exit_code == 2


def test_a_paused_subscription_is_not_tested(
    run: Run, topic: dict[str, Subscription | None]
) -> None:
    """The command says why."""
    run(*ADD)
    name = _only(topic).subscription_id
    run("alerts", "pause", name)

    result = run("alerts", "test", name)

    assert "the subscription is disabled" in str(result.exception)
