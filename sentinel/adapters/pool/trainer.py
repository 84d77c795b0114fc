"""The trainer of an instance: a learner that is asked in a process of its own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, Self, TypeVar

from sentinel.adapters.pool.worker import WorkerParams, WorkerProcess
from sentinel.core.decision import PolicyParams
from sentinel.core.learning.awaiting import Need
from sentinel.core.learning.gate.judging import Verdict
from sentinel.learner.learner import Learner
from sentinel.ports import Saved, Taken, Updated
from sentinel.stored.versions import Artifact

P = ParamSpec("P")
R = TypeVar("R")


class AskedTrainer(ABC):
    """`ports.Trainer` of a learner, however that is asked."""

    @abstractmethod
    async def ask(
        self, method: Callable[Concatenate[Learner, P], R], *arguments: P.args, **named: P.kwargs
    ) -> R:
        """Call a method of the learner."""

    async def take(self, records: Sequence[tuple[int, int, bytes | None]]) -> Taken:
        return await self.ask(Learner.take, records)

    async def forget(self) -> None:
        await self.ask(Learner.forget)

    async def save(self, *, log: str) -> Saved:
        return await self.ask(Learner.save, log=log)

    async def piece(self, number: int) -> bytes:
        return await self.ask(Learner.piece, number)

    async def receive(self, number: int, piece: bytes) -> None:
        await self.ask(Learner.receive, number, piece)

    async def restore(self, head: bytes, sha256: str, *, log: str) -> Taken:
        return await self.ask(Learner.restore, head, sha256, log=log)

    async def needs(self, champion: Artifact) -> tuple[Need, ...]:
        return await self.ask(Learner.needs, champion)

    async def update(
        self, champion: Artifact, *, draw: int, policy: PolicyParams | None = None
    ) -> Updated:
        return await self.ask(Learner.update, champion, draw=draw, policy=policy)

    async def compare(
        self,
        former: Artifact,
        champion: Artifact,
        *,
        since_ms: int,
        policy: PolicyParams | None = None,
    ) -> Verdict | None:
        return await self.ask(Learner.compare, former, champion, since_ms=since_ms, policy=policy)


class TrainerProcess(AskedTrainer):
    """A learner in a process of its own. Use it from the main thread, which starts the process."""

    def __init__(self, make: Callable[[], Learner], params: WorkerParams) -> None:
        self._process = WorkerProcess(make, params)

    async def __aenter__(self) -> Self:
        await self._process.__aenter__()
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self._process.__aexit__(*reason)

    async def ask(
        self, method: Callable[Concatenate[Learner, P], R], *arguments: P.args, **named: P.kwargs
    ) -> R:
        return await self._process.call(method, *arguments, **named)
