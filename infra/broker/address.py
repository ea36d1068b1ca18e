"""Where the broker of a data directory listens, for every command that works with it."""

from pathlib import Path

from infra.errors import UserError
from infra.process import read_pid


def find_address(data_dir: Path) -> str:
    """Return the `host:port` of the broker of `data_dir`. Raises UserError when none runs."""
    run = data_dir / "run"
    try:
        # `web` runs where `headrace up` works with the Kafka of someone else.
        if any(read_pid(run / f"{name}.pid") is not None for name in ("kafka", "web")):
            return (run / "kafka.address").read_text().strip()
    except FileNotFoundError:
        pass
    raise UserError(
        f"No broker is ready for {data_dir.absolute()}. "
        "Start it with `headrace up` or `headrace kafka`, or name another one."
    )
