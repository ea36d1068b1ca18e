"""An agent's work on several partitions side by side, on each in the order of its fetches."""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

#: While one batch waits for Kafka or SQL, another is worked on. Each holds a fetch in memory.
_SIDE_BY_SIDE = 4


class Lanes:
    """A context in which `begin` starts work; leaving it waits for all that is under way.

    What goes wrong in one cancels the others, and is raised where the context is.
    """

    def __init__(self, most: int = _SIDE_BY_SIDE) -> None:
        self._most = most
        self._tasks = asyncio.TaskGroup()
        self._under_way: dict[int, asyncio.Task[None]] = {}

    async def begin(self, partition: int, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start `work` when what came before it in the partition is done, and there is room."""
        while (before := self._under_way.get(partition)) or len(self._under_way) >= self._most:
            wanted = [before] if before else list(self._under_way.values())
            await asyncio.wait(wanted, return_when=asyncio.FIRST_COMPLETED)
        task = self._under_way[partition] = self._tasks.create_task(work())
        task.add_done_callback(lambda _: self._under_way.pop(partition))

    async def __aenter__(self) -> Self:
        """Open the context."""
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Wait for all; raises the first error alone, for whoever reads the log."""
        try:
            await self._tasks.__aexit__(kind, error, where)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
