"""Training: examples in, now and then a better champion out.

The control plane's instance, the one that owns the feedback partition, reads all examples into the
trainer's process (of those that a savepoint holds, the savepoint), asks it for a candidate when an
update is due, and takes what the gate lets through to the registry, from where every instance
follows. Each state is noted before its step is taken (`engine/registry/lifecycle.py`): whoever
takes over goes on.
"""

from collections.abc import Mapping, Sequence

from sentinel.engine.control import ControlPlane
from sentinel.engine.patience import Patience
from sentinel.engine.registry.lifecycle import RESTART, Update, UpdateState
from sentinel.engine.updates.awaiting import Awaiting, Outlook
from sentinel.engine.updates.journal import Journal
from sentinel.engine.updates.reader import Reader
from sentinel.engine.updates.steps import AT_ONCE, Rolling, Step
from sentinel.engine.updates.watching import Watching
from sentinel.errors import ModelError, TrainingError, TransientError, WorkerLostError


class TrainingTask:
    """Reads examples and leads one update at a time through its life.

    Parameters
    ----------
    control
        Where it is, is trained.
    """

    def __init__(
        self,
        control: ControlPlane,
        reader: Reader,
        journal: Journal,
        steps: Mapping[UpdateState, Sequence[Step]],
        *,
        awaiting: Awaiting,
        watching: Watching,
        rolling: Rolling,
    ) -> None:
        self._control = control
        self._reader = reader
        self._journal = journal
        self._steps = steps
        self._awaiting = awaiting
        self._watching = watching
        self._rolling = rolling
        self._lost = Patience("the trainer's process was lost")
        self._waiting = Patience("training waits")

    @property
    def update(self) -> Update | None:
        """How the newest update stands, as far as this instance knows."""
        return self._journal.update

    @property
    def trouble(self) -> str:
        """Why nobody trains, though this instance should; empty if it does."""
        return self._lost.trouble or self._waiting.trouble

    @property
    def outlook(self) -> Outlook | None:
        """What the next one waits for; None before that was looked at."""
        return self._awaiting.outlook

    async def run(self) -> None:
        """Train as long as the control plane is here, until cancelled."""
        lost, waiting = self._lost, self._waiting

        async def try_step() -> None:
            try:
                await self.step()
                lost.over()
                waiting.over()
            except WorkerLostError as error:
                self._forget()
                await lost.failed(error)  # one that cannot begin would be begun all the time
            except (TransientError, ModelError, TrainingError) as error:
                self._journal.forget()
                await waiting.failed(error)

        await self._control.run(try_step, self._elsewhere)

    def _elsewhere(self) -> None:
        self._lost.over()
        self._waiting.over()
        self._let_go()

    def _let_go(self) -> None:
        self._journal.forget()
        self._watching.end()

    def _forget(self) -> None:
        """The trainer holds nothing; from where to read is found out anew."""
        self._reader.forget()
        self._journal.forget()

    async def step(self) -> None:
        """Read some of what there is to read; near its end, take the update a step further."""
        update = self._journal.update or await self._take_up()
        await self._reader.read(update)
        if self._reader.is_near_the_end:
            await self._advance(update)
            await self._reader.save()

    async def _take_up(self) -> Update:
        """Go on where whoever trained before has stopped."""
        update, is_made_again = await self._journal.read(*self._reader.logs)
        if is_made_again:
            self._reader.ask_again(RESTART)
        await self._reader.go_on(update)
        await self._rolling.follow(update)
        self._journal.go_on(update)
        return update

    async def _advance(self, update: Update) -> None:
        """One step of the update under way, or the first of the next one, and what follows it."""
        after = await self._take_step(update)
        while after.state in AT_ONCE:
            after = await self._take_step(after)

    async def _take_step(self, update: Update) -> Update:
        try:
            leads = await self._next_of(update)
        except WorkerLostError as error:
            if update.state == "training":
                self._forget()  # first: what follows may fail, too
                ended = update.to("idle", outcome=f"no candidate: {error}")
                await self._enter(ended, before=update)
            raise
        for after in leads:
            await self._enter(after, before=update)
            update = after
        return update

    async def _next_of(self, update: Update) -> Sequence[Update]:
        for step in self._steps[update.state]:
            if leads := await step(update, self._reader.position):
                return leads
        return ()

    async def _enter(self, update: Update, *, before: Update) -> None:
        """Note how an update stands now, and then tell of it."""
        await self._journal.note(update)
        if update.state == before.state:
            return  # something of it is known better, and nothing has happened
        if update.state == "training":
            self._reader.begun()
        elif update.state == "idle":
            self._reader.ended()
        await self._journal.tell(update)
        await self._rolling.follow(update)
