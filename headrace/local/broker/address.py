"""The address of the broker that a data directory uses."""

from pathlib import Path

from headrace.errors import UserError
from headrace.local.process import read_pid


def find_address(data_dir: Path) -> str:
    """Return the `host:port` of the broker that `data_dir` uses. Raises UserError if none runs."""
    run = data_dir / "run"
    try:
        # Only `web` runs if `headrace up` uses an external Kafka.
        if any(read_pid(run / f"{name}.pid") is not None for name in ("kafka", "web")):
            return (run / "kafka.address").read_text().strip()
    except FileNotFoundError:
        pass
    raise UserError(
        f"No broker is running in {data_dir.absolute()}. Start it with `headrace up` or "
        "`headrace kafka`, or specify another one with HEADRACE_KAFKA__BOOTSTRAP_SERVERS."
    )
