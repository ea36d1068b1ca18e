"""Resolve and download jars with jgo, of the extra `local`."""

from pathlib import Path
from typing import Any

from infra.broker.java import LOCAL_EXTRA
from infra.errors import UserError

_ATTEMPTS = 3


def download(endpoint: str, folder: Path) -> list[Path]:
    """Download all that `endpoint` (Maven's group:artifact:version, joined by +) needs to `folder`.

    Returns the jars in class path order. Raises OSError, RuntimeError or ValueError when something
    cannot be had, UserError without jgo.
    """
    try:
        # Half a second, for the first start only.
        from jgo.env import EnvironmentBuilder  # noqa: PLC0415
        from jgo.maven import MavenContext  # noqa: PLC0415
    except ImportError:
        raise UserError(f"Kafka is fetched by jgo, which is not installed: {LOCAL_EXTRA}") from None
    context = MavenContext(resolver=_patient_resolver(), repo_cache=folder / "repository")
    environment = EnvironmentBuilder(context, cache_dir=folder).from_endpoint(endpoint)
    return [Path(jar) for jar in environment.all_jars]


def _patient_resolver() -> Any:
    from jgo.maven import PythonResolver  # noqa: PLC0415

    class PatientResolver(PythonResolver):  # type: ignore[misc]
        """jgo's resolver, which asks again when a download breaks off."""

        def download(self, artifact: Any) -> Path | None:
            """Fetch `artifact`. Raises OSError, as requests' errors are, after the last attempt."""
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

    return PatientResolver()
