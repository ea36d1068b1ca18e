"""A lock that allows one `headrace up` per data directory."""

from typing import IO

from headrace.errors import UserError
from headrace.local import file_lock
from headrace.local.data_dir import DataDir


def lock(data_dir: DataDir) -> IO[str]:
    """Lock a data directory until the returned file is closed or the process exits.

    Raises UserError if another `headrace up` holds the lock, OSError if its file cannot be created.
    """
    path = data_dir.root / "run" / "up.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return file_lock.acquire(path)
    except BlockingIOError:
        pid = path.read_text(errors="replace").strip()
        owner = f"process {pid}" if pid else "another process"
        address = data_dir.address()
        where = f" at {address}" if address else ""
        raise UserError(
            f"headrace already runs in {data_dir.root}{where} ({owner}): stop it first, or "
            "use another data directory with --data-dir"
        ) from None
