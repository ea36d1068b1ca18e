"""Child processes that never outlive us, and the files that tell their ids."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from infra.disk import write_whole
from infra.private import UMASK

_GUARD = Path(__file__).with_name("guard.py")


def spawn(
    argv: Sequence[str],
    *,
    log: Path | None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `argv` as a direct child that is killed (SIGKILL) when we end, however we end.

    Call it from a thread that lives as long as the child shall, best the main thread: on Linux the
    child is killed when the *thread* that started it ends, so a worker of a thread pool is no place
    for it.

    The child gets a session of its own. The terminal's Ctrl-C therefore reaches only us, and we end
    the children in their order; so does the hang-up of a closed terminal. Standard input is empty.
    Standard output and error are appended to `log`, or are ours when it is None.

    Raises OSError when Python itself cannot be started; a program that does not exist ends the
    child with a traceback in its output.
    """
    how = "prctl" if sys.platform == "linux" else "pipe"
    # -I -S: a bare interpreter, 10 ms, that no PYTHON* variable meant for the program can break.
    guard = [sys.executable, "-I", "-S", str(_GUARD), how, str(os.getpid())]
    with ExitStack() as opened:
        output = opened.enter_context(log.open("ab")) if log else None
        stdin = subprocess.DEVNULL
        if how == "pipe":
            # The other end stays open, unnamed and not inherited, until we end: that is the signal.
            stdin, _ = os.pipe()
            opened.callback(os.close, stdin)
        return subprocess.Popen(  # noqa: S603 - the program is the caller's choice
            [*guard, *argv],
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            env=env,
            cwd=cwd,
            start_new_session=True,
            umask=UMASK,
        )


def terminate(process: subprocess.Popen[bytes], grace_seconds: float) -> int:
    """End `process` with SIGTERM, and with SIGKILL if it is still there after `grace_seconds`.

    Returns its exit code, negative for a signal. Does nothing to a process that has ended.
    """
    process.terminate()
    try:
        return process.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def is_alive(pid: int) -> bool:
    """Return True if a process of this id runs; one that ended and was not waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def write_pid(path: Path, pid: int) -> None:
    """Write `pid` to the pid file `path`, whole or not at all, and make its folder if missing."""
    write_whole(path, f"{pid}\n")


def read_pid(path: Path) -> int | None:
    """Return the id in the pid file `path`; None without a file or when that process is gone."""
    try:
        pid = int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if is_alive(pid) else None
