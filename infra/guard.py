"""Become a program that dies with the process that started it.

Run as a script, by path, before the real one: `guard.py <how> <parent pid> <program> <argument>…`.
It arranges for the end and then executes the program in its own place, so the process id stays the
same. It is a program of its own, because code between fork and exec in a process with threads may
deadlock. `how` is `prctl` (Linux: the kernel kills us) or `pipe` (elsewhere: a small child of the
program reads standard input, a pipe whose other end only the parent holds).
"""

import ctypes
import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1
_CHECK_SECONDS = 1.0


def main(how: str, parent: int, argv: list[str]) -> None:
    """Tie this process to `parent`, then execute `argv`. Does not return."""
    if how == "prctl":
        die_with(parent)
    else:
        program = os.getpid()
        if os.fork() == 0:
            _watch(program)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is what is wanted


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends, which started it. Linux alone."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The parent may have ended before prctl took hold: nobody would tell us any more.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(program: int) -> None:
    """Kill `program`, our parent, as soon as the pipe on standard input closes. Does not return."""
    while os.getppid() == program:  # else it ended by itself, and its number may be another's
        if select.select([0], [], [], _CHECK_SECONDS)[0]:
            os.kill(program, signal.SIGKILL)
            break
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
