"""A product: the processes that take events over HTTP and store them in SQL."""

from abc import ABC, abstractmethod
from collections.abc import Container, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import msgspec

from benchmarks.products.load import post
from benchmarks.products.program import Program
from benchmarks.products.rows import Rows
from headrace.local.broker.ports import free_port

#: An event as a client of headrace sends it.
Event = dict[str, Any]


class Product(ABC):
    """A product with a new data directory, `folder`; a context manager."""

    #: If it is slow, a flood has a tenth of the events, and there is no steady load in batches.
    is_slow = False
    #: True if it stores events of requests that it does not accept.
    stores_rejected = False
    #: How long no row may come, before missing ones count as lost.
    settle_seconds = 15.0
    #: The processes that are killed in turn.
    killed: Sequence[str] = ()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.programs: dict[str, Program] = {}
        self.stack = ExitStack()

    @abstractmethod
    def start(self) -> None:
        """Start all processes, and wait until they take events."""

    @abstractmethod
    def rows(self) -> Rows:
        """Return the rows of events."""

    def request(self, events: Sequence[Event], found: Container[str]) -> bytes:
        """Return a request with one or more events; the ids in `found` are looked up in SQL."""
        assert found is not None
        single = len(events) == 1
        content = events[0] if single else events
        path = "/api/event" if single else "/api/events"
        return post(path, msgspec.json.encode(content), {})

    def pids(self) -> list[int]:
        """Return the processes whose CPU time and memory count, without their descendants."""
        return [program.pid for program in self.programs.values()]

    def kill(self, name: str) -> None:
        """Kill one of `killed` with SIGKILL, and start it again."""
        self.programs[name].kill()

    def keep_running(self) -> None:
        """Start programs again that have ended."""
        for program in self.programs.values():
            program.restart_if_ended()

    async def until_processed(self) -> None:  # noqa: B027 - most have no others
        """Wait for results other than the rows of events."""

    def file_bytes(self) -> int:
        """Return the size of Kafka's logs and of SQLite's files."""
        files = (*self.folder.rglob("*.log"), *self.folder.rglob("*.db*"))
        return sum(file.stat().st_size for file in files if file.parent != self.folder / "logs")

    def run(self, name: str, argv: Sequence[str], **settings: str) -> Program:
        """Start a program that is stopped at the end."""
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        program = self.programs[name] = Program(argv, logs / f"{name}.log", settings)
        program.start()
        self.stack.callback(program.stop)
        return program

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for name, program in self.programs.items():
                print(f"  the last output of {name}:\n{program.output}", flush=True)
        self.stack.close()
