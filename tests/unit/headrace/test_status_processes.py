"""The processes of a cluster, and the rejections that they report, in `headrace status`."""

import io
import json
import re
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.ops.status.model import Problem, Role, Status
from headrace.ops.status.problems import find_problems
from headrace.ops.status.processes import Heartbeat, processes_of, rejections_of
from headrace.ops.status.table import render_status
from producer_api.access.control import AccessControl
from producer_api.access.sites import Sites
from producer_api.events.rejection import Rejected
from producer_api.http.metrics import Rejections
from schemas.codec import encode
from schemas.records import ProcessStatus, RejectionCount, Site
from schemas.reject_reasons import RejectReason
from schemas.settings import ApiSettings

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC).timestamp()


def heartbeat(role: str, host: str, *, age: float = 2, **more: object) -> Heartbeat:
    """Return the heartbeat of a process that started an hour ago."""
    status = ProcessStatus(
        process_id=f"{role}@{host}",
        role=role,
        host=host,
        pid=17,
        version="1.2",
        started_at=int((NOW - 3_600) * 1_000_000),
        **more,  # type: ignore[arg-type]
    )
    return Heartbeat(status, NOW - age)


def shown(status: Status) -> str:
    """Return the text of `headrace status`, without borders."""
    console = Console(file=io.StringIO(), width=200)
    for part in render_status(status, datetime.fromtimestamp(NOW, UTC)):
        console.print(part)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return re.sub(r"[^\S\n]*[│┃][^\S\n]*", " | ", text)


def test_all_processes_are_shown_by_role_and_host() -> None:
    """Also those of roles without a consumer group."""
    beats = [heartbeat("query", "b"), heartbeat("api", "c", age=45), heartbeat("api", "a")]
    status = Status(processes=processes_of(beats, NOW))

    text = shown(status)
    rows = re.findall(r"\| (\w+) \| (\w) \| 17 \| 1.2 \| 60 min ago \| (\w+ \w) ago \| (\w+)", text)
    assert rows == [
        ("api", "a", "2 s", "ready"),
        ("api", "c", "45 s", "silent"),
        ("query", "b", "2 s", "ready"),
    ]


def test_a_process_that_is_not_ready_is_a_problem_with_its_host() -> None:
    """Unless it is a process of this machine, which is one already."""
    beats = [
        heartbeat("api", "far", not_ready="Kafka denies access"),
        heartbeat("sinks", "here", not_ready="no disk"),
    ]
    roles = [Role(name="sinks", workers=1, not_ready="no disk")]
    problems = list(find_problems(Status(roles=roles, processes=processes_of(beats, NOW))))

    assert [problem.what for problem in problems] == [
        "sinks is not ready: no disk",
        "api on far (process 17) is not ready: Kafka denies access",
    ]


@pytest.mark.parametrize(
    ("beats", "is_problem"),
    [
        ([heartbeat("sinks", "a"), heartbeat("query", "a")], True),
        ([heartbeat("sinks", "a"), heartbeat("api", "b", age=45)], True),
        ([heartbeat("sinks", "a"), heartbeat("api", "b")], False),
        ([heartbeat("sinks", "a"), heartbeat("web", "a")], False),
        ([heartbeat("api", "b", age=45)], False),
        ([], False),
    ],
)
def test_a_cluster_without_an_api_process_accepts_no_events(
    beats: list[Heartbeat], is_problem: bool
) -> None:
    """`api` has no consumer group. Without any process, other roles are the problem."""
    problems = list(find_problems(Status(processes=processes_of(beats, NOW))))

    assert [problem.what for problem in problems] == [
        "No process of the role api is running, so no events are accepted"
    ] * is_problem


@pytest.mark.parametrize("as_json", [True, False])
def test_watch_updates_until_ctrl_c(as_json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Problems are no reason to exit with 1; with `--json`, each status is one line."""
    updates = iter(["streams", "sinks"])

    async def status_of(role: str) -> Status:
        problem = Problem(what=f"{role} is not ready", do="wait")
        return Status(problems=[problem], processes=processes_of([heartbeat(role, "a")], NOW))

    def collect(_: Path) -> Coroutine[None, None, Status]:
        if (role := next(updates, None)) is None:
            raise KeyboardInterrupt  # outside of the event loop
        return status_of(role)

    monkeypatch.setattr("headrace.ops.status.collect.collect_status", collect)
    result = CliRunner().invoke(app, ["status", "--watch", *(["--json"] if as_json else [])])

    assert result.exit_code == 0
    if as_json:
        statuses = [json.loads(line) for line in result.stdout.splitlines()]
        assert [one["processes"][0]["role"] for one in statuses] == ["streams", "sinks"]
    else:
        assert "sinks is not ready" in result.stdout


def test_rejections_are_summed_over_all_processes() -> None:
    """By site and reason, the most frequent first."""
    beats = [
        heartbeat("api", "a", rejections=[RejectionCount("shop", "rate_limited", 3)]),
        heartbeat(
            "web",
            "b",
            rejections=[
                RejectionCount("shop", "rate_limited", 4),
                RejectionCount("", "unknown_site", 9),
            ],
        ),
    ]
    status = Status(rejections=rejections_of(beats))

    assert [(one.site, one.reason, one.events) for one in status.rejections] == [
        ("", "unknown_site", 9),
        ("shop", "rate_limited", 7),
    ]
    assert "sites not registered | unknown_site |" in shown(status)


def test_a_process_reports_sites_that_are_registered_and_sums_up_the_others() -> None:
    """Clients could otherwise invent any number of sites."""
    sites = Sites()
    site = Site(site_id="shop", created_at=0, updated_at=0)
    sites.apply(b"shop", encode(site))
    access = AccessControl(ApiSettings(), sites, lambda: RejectReason.NOT_ACCEPTED)
    rejections = Rejections(access)
    for site_id, reason in (
        ("shop", RejectReason.BAD_KEY),
        ("shop", RejectReason.BAD_KEY),
        ("invented", RejectReason.UNKNOWN_SITE),
    ):
        rejections.count(Rejected(reason).reason)
        if site_id == "shop":
            access.rejections[site_id, reason.code] += 1

    assert rejections.by_site() == [
        RejectionCount("shop", "bad_key", 2),
        RejectionCount("", "unknown_site", 1),
    ]
