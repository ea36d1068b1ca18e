"""Supervise the processes of `headrace up`: restart, kill unresponsive ones, stop in order."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from headrace.errors import RoleFailedError
from headrace.local.data_dir import DataDir
from headrace.local.run_log import RunLog
from headrace.local.workers import role_of
from headrace.roles.status import is_fresh
from headrace.up.full_disk import FullDisk
from headrace.up.log_rotation import rotate
from headrace.up.preloaded import Child
from headrace.up.roles import ROLES, STOP_ORDER
from headrace.up.start_screen import Screen
from headrace.up.supervised_process import SupervisedProcess

_GRACE_SECONDS = 30.0
_HEALTH_CHECK_SECONDS = 5.0


class Supervisor:
    """The processes of one data directory, and their logs."""

    def __init__(self, data_dir: DataDir, screen: Screen, disk: FullDisk) -> None:
        self._data_dir = data_dir
        self._screen = screen
        self._disk = disk
        self._children: list[SupervisedProcess] = []
        self._logs: dict[str, RunLog] = {}
        self._health_check_at = 0.0

    def start(self, name: str, start: Callable[[Path], Child]) -> SupervisedProcess:
        """Start a process, and supervise it. `start` gets its log file.

        Waits while the disk is full.
        """
        log = self._data_dir.log(name)
        rotate(log)
        self._logs[name] = RunLog(log)

        def start_with_log() -> Child:
            self._logs[name].start_run()
            log.touch()
            return start(log)

        child = SupervisedProcess(name, start_with_log, self._data_dir.pid(name))
        self._children.append(child)
        self._disk.retry(child.start)
        return child

    def check(self) -> None:
        """Restart processes that have exited, kill unresponsive ones, and report a full disk.

        While the disk is full, no process is restarted or killed: the roles cannot update their
        status files.
        """
        is_due = time.monotonic() >= self._health_check_at
        if is_due or any(child.has_exited for child in self._children):
            self._disk.check()
        for child in self._children:
            if change := child.check(can_restart=not self._disk.is_full):
                self._report(child, change)
        if not is_due:
            return
        self._health_check_at = time.monotonic() + _HEALTH_CHECK_SECONDS
        for child in self._children:
            if role_of(child.name) not in ROLES:
                continue
            rotate(self._data_dir.log(child.name))
            is_responding = self._disk.is_full or is_fresh(self._data_dir.status(child.name))
            if child.is_unresponsive(is_responding=is_responding):
                self._report(child, f"{child.name} does not respond; killing it")
                child.kill()

    def _report(self, child: SupervisedProcess, change: str) -> None:
        reason = self._logs[child.name].exit_reason() if child.has_exited else ""
        log = self._data_dir.log(child.name)
        self._screen.notify(f"{change}: {reason}" if reason else change, log)

    def raise_if_exited(self) -> None:
        """Raise `RoleFailedError` if a process has exited, unless the disk was recently full."""
        exited = [child for child in self._children if child.has_exited]
        if exited and not self._disk.space.was_recently_full():
            raise self.startup_failure(exited[0])

    def startup_failure(self, child: SupervisedProcess) -> RoleFailedError:
        """Return the error for a process that exited or did not become ready."""
        what = "did not become ready"
        if child.has_exited:
            what = f"exited during startup ({child.exit_status})"
        return self.failure(child.name, what)

    def failure(self, name: str, what: str, reason: str = "") -> RoleFailedError:
        """Return an error with the reason, by default that in the process's log."""
        reason = reason or (self._logs[name].exit_reason() if name in self._logs else "")
        details = f": {reason.rstrip('.')}" if reason else ""
        return RoleFailedError(name, what, f"{details}. Its log is {self._data_dir.log(name)}")

    def stop(self) -> None:
        """Stop the processes in `STOP_ORDER`; those of one step in parallel."""
        for roles in STOP_ORDER:
            children = [child for child in self._children if role_of(child.name) in roles]
            for child in children:
                child.terminate()
            for child in children:
                self._screen.stop(child.name, partial(child.stop, _GRACE_SECONDS))

    def kill(self) -> None:
        """Send SIGKILL to all processes."""
        for child in self._children:
            child.kill()
