"""Resolve and download jars with jgo, from the extra `local`."""

from pathlib import Path
from typing import Any

from headrace.errors import UserError
from headrace.local.broker.java import LOCAL_EXTRA

_ATTEMPTS = 3


def download(endpoint: str, folder: Path) -> list[Path]:
    """Download Maven artifacts and their dependencies to `folder`; return the jars.

    `endpoint` is `group:artifact:version`, several joined by `+`. The jars are in class path order.
    Raises OSError, RuntimeError or ValueError if a download fails, UserError without jgo.
    """
    try:
        # The import takes half a second, and is needed only once per machine.
        from jgo.env import EnvironmentBuilder  # noqa: PLC0415
        from jgo.maven import MavenContext  # noqa: PLC0415
    except ImportError:
        raise UserError(
            f"Downloading Kafka needs jgo, which is not installed: {LOCAL_EXTRA}"
        ) from None
    context = MavenContext(resolver=_retrying_resolver(), repo_cache=folder / "repository")
    environment = EnvironmentBuilder(context, cache_dir=folder).from_endpoint(endpoint)
    return [Path(jar) for jar in environment.all_jars]


def _retrying_resolver() -> Any:
    from jgo.maven import PythonResolver  # noqa: PLC0415

    class RetryingResolver(PythonResolver):  # type: ignore[misc]
        """jgo's resolver, with retries."""

        def download(self, artifact: Any) -> Path | None:
            """Download an artifact. Raises OSError after the last attempt."""
            for attempt in range(1, _ATTEMPTS + 1):
                # jgo leaves incomplete files, and would treat them as complete.
                artifact.cached_path.unlink(missing_ok=True)
                try:
                    path: Path | None = super().download(artifact)
                except OSError:
                    if attempt == _ATTEMPTS:
                        raise
                else:
                    return path
            return None

    return RetryingResolver()
