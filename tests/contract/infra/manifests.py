"""The deployment files, as the tests read them."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator

from headrace.roles.web import document
from producer_api.events.dialects.registry import DIALECTS
from producer_api.http import openapi
from schemas.settings import GROUPS, PREFIX
from tests.fixtures import helm

Manifest = dict[str, Any]

ROLES = ("api", "streams", "live", "sinks", "query")
#: What listens for HTTP, apart from metrics.
HTTP_ROLES = ("api", "query")
#: The port of `HEADRACE_METRICS__PORT` in all deployment files.
METRICS_PORT = 9464
INFRA = Path("infra")
CHART = INFRA / "helm" / "headrace"
_SCHEMAS = Path("tests/data/json_schemas")


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file."""
    return yaml.safe_load(path.read_text("utf-8"))


def schema(name: str) -> Any:
    """Return a JSON schema of the test data."""
    return json.loads((_SCHEMAS / f"{name}.json").read_text("utf-8"))


def schema_errors(definition: Any, content: Any) -> list[str]:
    """Return what a JSON schema says is wrong."""
    found = Draft7Validator(definition).iter_errors(content)
    return [f"{error.json_path}: {error.message}" for error in found]


@cache
def render(*values: str) -> list[Manifest]:
    """Return the manifests of the chart with these `--set` values, hooks included."""
    rendered = run_helm("template", "release", str(CHART), *(f"--set={value}" for value in values))
    assert rendered.returncode == 0, rendered.stderr
    return [manifest for manifest in yaml.safe_load_all(rendered.stdout) if manifest]


def run_helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Helm."""
    return subprocess.run(
        [_helm(), *arguments], capture_output=True, text=True, check=False, timeout=60
    )


_helm = cache(helm.find)


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """Return the manifests of a kind by the role that they are for."""
    return {
        manifest["metadata"]["labels"]["app.kubernetes.io/component"]: manifest
        for manifest in manifests
        if manifest["kind"] == kind
    }


def is_setting(name: str) -> bool:
    """Return True if headrace reads this environment variable."""
    group, _, field = name.removeprefix(PREFIX).partition("__")
    has_field = group in GROUPS and field.lower() in GROUPS[group].model_fields
    return name == f"{PREFIX}DATA_DIR" or has_field


def paths_of_api() -> list[str]:
    """Return the paths of `api`: events, the tracker, operation, and other systems' clients."""
    endpoints = (endpoint.path for dialect in DIALECTS for endpoint in dialect.endpoints)
    own = ("/api/event", "/api/events", "/api/event/", "/script.js", "/script.full.js", "/docs")
    return [*own, "/healthz", *(re.sub(r"{\w+}", "com", path) for path in endpoints)]


def paths_of_query() -> list[str]:
    """Return the paths that a proxy must forward to `query`, with values for the parameters."""
    paths = document()["paths"].keys() - openapi.document()["paths"].keys()
    return [*(re.sub(r"[{}]", "", path) for path in sorted(paths)), "/page/live.js"]
