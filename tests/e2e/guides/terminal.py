"""A shell that runs the commands of a guide."""

import queue
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

_DONE = "--- done ---"
#: Values that vary.
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z")


class Terminal:
    """A shell in a folder, which keeps variables and background processes between commands."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def run(self, commands: str, output: str, within_seconds: float) -> None:
        """Run commands until they end and have printed the lines of `output`.

        A command that runs `until Ctrl-C` is ended after that, and may print other lines as well,
        as background processes may. The order of lines is not checked, because a consumer of
        several partitions may print them in any order. Raise AssertionError if it is not printed.
        """
        assert self._process.stdin is not None
        background = set(self._children())
        has_background = bool(background) or " &\n" in commands
        until_interrupted = "Ctrl-C" in commands
        self._process.stdin.write(f"{commands}\nprintf '\\n%s\\n' '{_DONE}'\n")
        self._process.stdin.flush()
        wanted = _normalized(output)
        printed: list[str] = []
        is_done = False
        for line in self._until(time.monotonic() + within_seconds, commands, printed):
            is_done = is_done or line == _DONE
            missing = wanted - _normalized("\n".join(printed))
            if until_interrupted and not missing and not is_done:
                for process in set(self._children()) - background:
                    process.kill()
            if is_done and not (missing and has_background):
                break
        may_print_more = has_background or until_interrupted
        is_right = not missing and (may_print_more or _normalized("\n".join(printed)) == wanted)
        assert is_right, f"{commands}printed\n{chr(10).join(printed)}\nnot\n{output}"

    def close(self) -> None:
        """Kill the shell and the processes that it started."""
        for process in self._children():
            process.kill()
        self._process.kill()
        self._process.wait()

    def _until(self, deadline: float, commands: str, printed: list[str]) -> Iterator[str]:
        """Yield lines and append them to `printed`. Raise AssertionError after the deadline."""
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(
                    f"{commands}did not end or print its output in time, only\n"
                    + "\n".join(printed)
                ) from None
            if line not in {"", _DONE}:
                printed.append(line)
            yield line

    def _children(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children(recursive=True)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))


def _normalized(text: str) -> Counter[str]:
    """Return the lines that are not empty, without values that vary."""
    lines = _TIME.sub("<time>", _UUID.sub("<id>", text)).splitlines()
    return Counter(line for line in lines if line)
