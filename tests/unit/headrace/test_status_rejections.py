"""Rejections of access control in `headrace status`."""

import io
import re

from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console

from headrace.ops.status.model import Rejection, Status
from headrace.ops.status.rejections import count_rejections, read_rejections
from headrace.ops.status.table import render_status
from producer_api.access.control import AccessControl
from producer_api.access.sites import Sites
from producer_api.events.rejection import Rejected
from producer_api.http.metrics import Metrics
from schemas import codec
from schemas.records import Site
from schemas.reject_reasons import RejectReason
from schemas.settings import ApiSettings
from tests.unit.headrace.test_status import _NOW


def test_rejections_are_shown_by_site_and_reason() -> None:
    """Those of sites that are not registered together; other reasons are not about access."""
    sites, registry = Sites(), CollectorRegistry()
    sites.apply(b"shop", codec.encode(Site(site_id="shop", created_at=1, updated_at=1)))
    access = AccessControl(ApiSettings(), sites, lambda: RejectReason.NOT_ACCEPTED)
    metrics = Metrics(registry, lambda: 0.0, access)
    for reason, site in (
        *[(RejectReason.BAD_KEY, "shop")] * 3,
        (RejectReason.UNKNOWN_SITE, ""),
        (RejectReason.BAD_KEY, ""),
        (RejectReason.BAD_ID, ""),
    ):
        metrics.count_rejected(Rejected(reason))
        if site:
            access.rejections[site, reason.code] += 1
    access.rejections["removed", "bad_key"] += 5

    found = count_rejections(generate_latest(registry).decode())

    assert found == [
        Rejection(site="shop", reason="bad_key", events=3),
        Rejection(site="", reason="bad_key", events=1),
        Rejection(site="", reason="unknown_site", events=1),
    ]
    out = io.StringIO()
    for part in render_status(Status(rejections=found), _NOW):
        Console(file=out, width=120).print(part)
    assert re.search(r"shop +│ bad_key +│ +3", out.getvalue())
    assert re.search(r"sites not registered │ unknown_site │ +1", out.getvalue())


async def test_a_server_that_is_not_reached_shows_none() -> None:
    """Other problems of the status say why."""
    assert await read_rejections("http://127.0.0.1:1") == []
