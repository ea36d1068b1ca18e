"""Run a program that is killed when the process that started it exits.

Usage: `guard.py <how> <parent pid> <program> <argument>…`. The script sets up the kill and then
executes the program, which keeps the process id. It is a script because code between fork and exec
may deadlock in a process with threads. `how` is `prctl` (Linux: the kernel sends SIGKILL) or `pipe`
(elsewhere: a child of the program reads standard input, a pipe that closes when the parent exits).
"""

import ctypes
import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1
_CHECK_SECONDS = 1.0


def main(how: str, parent: int, argv: list[str]) -> None:
    """Make this process die with `parent`, then execute `argv`. Does not return."""
    if how == "prctl":
        die_with(parent)
    else:
        program = os.getpid()
        if os.fork() == 0:
            _watch(program)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.execvp(argv[0], argv)  # noqa: S606 - no shell needed


def die_with(parent: int) -> None:
    """Make the kernel send SIGKILL to this process when its parent exits. Linux only."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # If the parent exited before the call, the kernel sends no signal.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(program: int) -> None:
    """Kill `program`, the parent, when the pipe on standard input closes. Does not return."""
    while os.getppid() == program:  # if not, it has exited and its id may be reused
        if select.select([0], [], [], _CHECK_SECONDS)[0]:
            os.kill(program, signal.SIGKILL)
            break
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
