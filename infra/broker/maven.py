"""Resolve and download jars with jgo. Importing this takes half a second: import it late."""

from pathlib import Path
from typing import Any

from jgo.env import EnvironmentBuilder
from jgo.maven import MavenContext, PythonResolver

_ATTEMPTS = 3


class _PatientResolver(PythonResolver):  # type: ignore[misc]
    """jgo's resolver, which asks again when a download breaks off."""

    def download(self, artifact: Any) -> Path | None:
        """Fetch `artifact`. Raises OSError (requests' errors are such) after the last attempt."""
        for attempt in range(1, _ATTEMPTS + 1):
            # jgo leaves what it has when a download breaks off, and would take it for whole.
            artifact.cached_path.unlink(missing_ok=True)
            try:
                path: Path | None = super().download(artifact)
            except OSError:
                if attempt == _ATTEMPTS:
                    raise
            else:
                return path
        return None


def download(endpoint: str, folder: Path) -> list[Path]:
    """Download all that `endpoint` (Maven's group:artifact:version, joined by +) needs to `folder`.

    Returns the jars in class path order. Raises OSError, RuntimeError or ValueError when something
    cannot be had.
    """
    context = MavenContext(resolver=_PatientResolver(), repo_cache=folder / "repository")
    environment = EnvironmentBuilder(context, cache_dir=folder).from_endpoint(endpoint)
    return [Path(jar) for jar in environment.all_jars]
