"""A stop while clients neither complete their requests nor read responses."""

from contextlib import suppress
from pathlib import Path

import pytest

from tests.fixtures.migrated import create_migrated
from tests.integration.producer_api.serving import running
from tests.integration.producer_api.test_fuzz_sockets import (
    API,
    FRAGMENTS,
    QUERY,
    RUN,
    WEB,
    check_log,
    make_token,
)


@pytest.mark.parametrize("app", [API, QUERY, WEB], ids=["api", "query", "web"])
def test_a_stop_while_clients_neither_send_nor_read(
    app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role exits with code 0 and logs no error."""
    url = f"sqlite:///{tmp_path}/headrace.db"
    create_migrated(url)
    token = make_token(url)
    monkeypatch.setenv("HEADRACE_DATABASE__URL", url)
    monkeypatch.setenv("HEADRACE_API__DEADLINE_SECONDS", "1")
    with running("127.0.0.1:1", tmp_path, RUN.format(app=app)) as role:
        held = [role.connect() for _ in FRAGMENTS]
        for connection, fragment in zip(held, FRAGMENTS, strict=True):
            connection.settimeout(0.1)
            with suppress(OSError):
                connection.sendall(fragment.replace(b"{token}", token))
        role.term()
        code = role.process.wait(60)
        for connection in held:
            connection.close()
        check_log(role.log)
        assert code == 0, role.log.read_text()
