"""The image: linted, complete, without what it does not need, and not run as root."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType

import pytest

from tests.contract.infra.manifests import METRICS_PORT, is_setting

DOCKERFILE = Path("infra/docker/Dockerfile")
HEALTHCHECK = Path("infra/docker/healthcheck.py")


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile and their arguments."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    split = [line.split(maxsplit=1) for line in lines if line.strip()]
    return [(name, " ".join(rest.split())) for name, rest in split]


def test_hadolint_finds_nothing() -> None:
    """With its default rules; exceptions say why."""
    linter = Path(sys.executable).with_name("hadolint")
    linted = subprocess.run([linter, str(DOCKERFILE)], capture_output=True, text=True, check=False)

    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")


def test_the_image_has_every_package_and_nothing_else() -> None:
    """What is copied is in the build context, which excludes everything else."""
    project = tomllib.loads(Path("pyproject.toml").read_text())
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    copies = [argument.split() for name, argument in instructions() if name == "COPY"]
    copied = {source for words in copies if "--from=build" not in words for source in words[:-1]}
    ignored = Path(".dockerignore").read_text().splitlines()

    assert packages <= copied
    assert {"pyproject.toml", "uv.lock", "hatch_build.py", str(HEALTHCHECK)} <= copied
    assert ignored[1] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert all(Path(source).exists() for source in copied)


def test_it_does_not_run_as_root() -> None:
    """The last user counts; a number, so that Kubernetes can check it."""
    users = [argument for name, argument in instructions() if name == "USER"]

    assert users == ["10001:10001"]


def test_every_variable_is_a_setting() -> None:
    """And every role serves its health check and metrics."""
    text = " ".join(argument for name, argument in instructions() if name == "ENV")
    variables = dict(re.findall(r"(HEADRACE_\w+)=(\S+)", text))

    assert variables["HEADRACE_METRICS__PORT"] == str(METRICS_PORT)
    assert [name for name in variables if not is_setting(name)] == []


def test_the_dependencies_are_the_locked_ones() -> None:
    """Not those that are newest at the time of the build."""
    installs = [a for name, a in instructions() if name == "RUN" and "uv sync" in a]

    assert len(installs) == 2
    assert all("--frozen --no-dev" in argument for argument in installs)
    pinned = re.findall(r"UV_VERSION := (\S+)", Path("Makefile").read_text())
    assert f"uv=={pinned[0]}" in DOCKERFILE.read_text()


def test_any_role_is_an_argument() -> None:
    """The command is `headrace`, without a default role."""
    found = dict(instructions())

    assert found["ENTRYPOINT"] == '["headrace"]'
    assert "CMD" not in found
    assert found["HEALTHCHECK"].endswith(
        'CMD ["python3", "/opt/headrace/bin/headrace-healthcheck"]'
    )


@pytest.fixture
def healthcheck() -> ModuleType:
    """Return the module of the health check."""
    spec = importlib.util.spec_from_file_location("healthcheck", HEALTHCHECK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Handler(BaseHTTPRequestHandler):
    """Responds to `/readyz` with the status and the body of its server."""

    def do_GET(self) -> None:
        """Respond."""
        assert isinstance(self.server, _Role)
        status, body = self.server.answer if self.path == "/readyz" else (404, b"")
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - of the base class
        """Log nothing."""


class _Role(ThreadingHTTPServer):
    """The health check port of a role."""

    answer = (200, b'{"status":"ready"}')


@pytest.fixture
def role() -> Iterator[_Role]:
    """Yield a role that is ready."""
    server = _Role(("127.0.0.1", 0), _Handler)
    Thread(target=server.serve_forever).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("variable", ["HEADRACE_METRICS__PORT", "HEADRACE_API__PORT"])
def test_a_container_is_healthy_while_it_is_ready(
    healthcheck: ModuleType, role: _Role, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role by its port of metrics, `headrace up` by its own port."""
    monkeypatch.setenv("HEADRACE_METRICS__PORT", "1")
    monkeypatch.setenv("HEADRACE_API__PORT", "1")
    monkeypatch.setenv(variable, str(role.server_port))

    assert healthcheck.main() is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error":"Kafka does not answer","code":"not_ready"}', "Kafka does not answer"),
        (b"<html>", "<html>"),
        (b"[]", "[]"),
    ],
)
def test_an_unhealthy_container_says_why(
    healthcheck: ModuleType,
    role: _Role,
    body: bytes,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the log of its health check."""
    role.answer = (503, body)
    monkeypatch.setenv("HEADRACE_METRICS__PORT", str(role.server_port))

    assert healthcheck.main() == reason


def test_a_process_that_does_not_listen_is_unhealthy(
    healthcheck: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is starting, or no longer responds."""
    monkeypatch.setenv("HEADRACE_METRICS__PORT", "1")
    monkeypatch.setenv("HEADRACE_API__PORT", "1")

    assert "http://127.0.0.1:1/readyz" in healthcheck.main()
