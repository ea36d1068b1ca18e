"""One `headrace up` in a data directory at a time."""

from typing import IO

from infra import file_lock
from infra.data_dir import DataDir
from infra.errors import UserError


def lock(data_dir: DataDir) -> IO[str]:
    """Lock a data directory until the returned file is closed, or this process ends.

    `UserError` if another `up` holds it, OSError when the file cannot be made.
    """
    path = data_dir.root / "run" / "up.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return file_lock.acquire(path)
    except BlockingIOError:
        pid = path.read_text(errors="replace").strip()
        who = f"process {pid}" if pid else "another process"
        address = data_dir.address()
        where = f" at {address}" if address else ""
        raise UserError(
            f"headrace already runs in {data_dir.root}{where} ({who}): end that first, or "
            "give another data directory with --data-dir"
        ) from None
