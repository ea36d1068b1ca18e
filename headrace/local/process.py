"""Child processes that die with their parent, and pid files."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from headrace.local.disk_space import write_atomically
from headrace.local.permissions import UMASK

_WRAPPER = Path(__file__).with_name("guard.py")


def spawn(
    argv: Sequence[str],
    *,
    log: Path | None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `argv` as a direct child, which the kernel kills (SIGKILL) when this process exits.

    On Linux the child is killed when the *thread* that started it ends: call this from the main
    thread, not from a thread pool.

    The child has its own session, so Ctrl-C and SIGHUP of the terminal reach only the parent, which
    stops its children in order. Standard input is empty. Standard output and error are appended to
    `log`, or inherited if it is None.

    Raises OSError if Python cannot be started. If `argv[0]` does not exist, the child exits with a
    traceback.
    """
    how = "prctl" if sys.platform == "linux" else "pipe"
    # -I -S: start within 10 ms, and ignore the PYTHON* variables, which are for the program.
    wrapper = [sys.executable, "-I", "-S", str(_WRAPPER), how, str(os.getpid())]
    with ExitStack() as opened:
        output = opened.enter_context(log.open("ab")) if log else None
        stdin = subprocess.DEVNULL
        if how == "pipe":
            # The write end is closed when this process exits, which the child notices.
            stdin, _ = os.pipe()
            opened.callback(os.close, stdin)
        return subprocess.Popen(  # noqa: S603 - the program is the caller's choice
            [*wrapper, *argv],
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            env=env,
            cwd=cwd,
            start_new_session=True,
            umask=UMASK,
        )


def terminate(process: subprocess.Popen[bytes], grace_seconds: float) -> int:
    """Send SIGTERM, and SIGKILL after `grace_seconds`; return the exit code, negative for a signal.

    Has no effect on a process that has exited.
    """
    process.terminate()
    try:
        return process.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def is_alive(pid: int) -> bool:
    """Return True if a process with this id runs. A zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def write_pid(path: Path, pid: int) -> None:
    """Write a pid file atomically; create its directory if it does not exist."""
    write_atomically(path, f"{pid}\n")


def read_pid(path: Path) -> int | None:
    """Return the id in a pid file; None if the file is missing or its process is gone."""
    try:
        pid = int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if is_alive(pid) else None
