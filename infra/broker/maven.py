"""Resolve and download jars with jgo. Importing this takes half a second: import it late."""

from pathlib import Path
from typing import Any

import requests
from jgo.env import EnvironmentBuilder
from jgo.maven import MavenContext, PythonResolver


_ATTEMPTS = 3


class _PatientResolver(PythonResolver):  # type: ignore[misc]
    """jgo's resolver, which asks again when a download breaks off."""

    def download(self, artifact: Any) -> Path | None:
        """Fetch `artifact`. Raises requests.RequestException after the last attempt."""
        for attempt in range(1, _ATTEMPTS + 1):
            # jgo leaves what it has when a download breaks off, and would take it for whole.
            artifact.cached_path.unlink(missing_ok=True)
            try:
                path: Path | None = super().download(artifact)
            except requests.RequestException:
                if attempt == _ATTEMPTS:
                    raise
            else:
                return path
        return None


def download(endpoint: str, folder: Path) -> list[Path]:
    """Download what the Maven `endpoint` (group:artifact:version, joined by +) needs into `folder`.

    Returns the jars in class path order. Raises OSError (requests' errors are such), RuntimeError or
    ValueError when something cannot be had.
    """
    context = MavenContext(resolver=_PatientResolver(), repo_cache=folder / "repository")
    environment = EnvironmentBuilder(context, cache_dir=folder).from_endpoint(endpoint)
    return [Path(jar) for jar in environment.all_jars]
