"""Which sites `headrace up` accepts by default."""

from pathlib import Path

import pytest

from headrace.local.options import UpOptions, up_settings
from headrace.up.roles import environment


@pytest.mark.parametrize(
    ("host", "setting", "sites"),
    [
        (None, None, "open"),
        ("::1", None, "open"),
        ("localhost", None, "open"),
        ("127.0.0.1", "registered", "registered"),
        ("0.0.0.0", None, "registered"),  # noqa: S104 - not to listen on
        ("192.168.1.2", None, "registered"),
        ("0.0.0.0", "open", "open"),  # noqa: S104 - not to listen on
    ],
)
def test_any_site_is_accepted_on_loopback_only(
    host: str | None,
    setting: str | None,
    sites: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Unless the setting says otherwise; the roles get it in their environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADRACE_API__HOST", raising=False)
    if setting is None:
        monkeypatch.delenv("HEADRACE_API__SITES", raising=False)
    else:
        monkeypatch.setenv("HEADRACE_API__SITES", setting)

    settings = up_settings(tmp_path, UpOptions(host, None, "127.0.0.1:9092", None, None)).settings

    assert settings.api.sites == sites
    assert environment(settings)["HEADRACE_API__SITES"] == sites
