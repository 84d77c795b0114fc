"""What is kept of experiments, in a database of its own.

routing             RoutingPlan, JSON: by what every instance routes; kept
experiment:{name}   StoredExperiment, JSON, the newest definition of that name; kept
former:{id}         StoredExperiment, JSON, of a definition before that; 400 days
experiments         index: names by when they last changed; the newest 1,000
look:{id}:{number}  LookReport, JSON; 400 days
guards:{id}         how the guardrails of a definition stand, packed; 400 days
progress            how far they are, JSON; kept
looks:{id}          index: the names of these by their numbers; the newest 200
"""

from collections.abc import Mapping

from sentinel.codec.stored import encode_stored
from sentinel.documents import Change, Documents
from sentinel.stored.experiments import EXPERIMENT_COUNT_MAX, StoredExperiment
from sentinel.stored.looks import LookReport
from sentinel.stored.routing import RoutingPlan
from sentinel.stores.reading import AsRead, readable

_KEPT_S = 400 * 86_400.0
_LOOKS_KEPT_MAX = 200
_ROUTING, _PROGRESS = "routing", "progress"


class StoredExperiments:
    """`ports.ExperimentStore` on documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._read = AsRead()

    async def plan(self) -> RoutingPlan:
        [found] = await self._documents.get([_ROUTING], doing="read what is routed")
        return RoutingPlan() if found is None else self._read.known(RoutingPlan, _ROUTING, found)

    async def experiment(self, name: str) -> StoredExperiment | None:
        plain, _, number = name.partition("@")
        names = [f"experiment:{plain}", f"former:{name}"]
        found = await self._documents.get(names, doing="read an experiment")
        known = [
            self._read.known(StoredExperiment, told, data)
            for told, data in zip(names, found, strict=True)
            if data is not None
        ]
        wanted = [one for one in known if not number or one.definition.id == name]
        return wanted[0] if wanted else None

    async def experiments(self, count: int) -> list[StoredExperiment]:
        doing = "list experiments"
        found = await self._documents.newest("experiments", 0, count, doing=doing)
        names = [f"experiment:{name.decode()}" for name in found]
        values = await self._documents.get(names, doing=doing) if names else []
        return list(readable(StoredExperiment, names, values).values())

    async def put(
        self,
        before: StoredExperiment | None,
        after: StoredExperiment,
        plans: tuple[RoutingPlan, RoutingPlan] | None = None,
        look: LookReport | None = None,
    ) -> bool:
        definition = after.definition
        name = f"experiment:{definition.name}"
        expected = {name: None if before is None else self._read.bytes_of(name, before)}
        puts = {name: encode_stored(after)}
        lifetimes: dict[str, float | None] = {}
        indexed: dict[str, dict[bytes, int]] = {
            "experiments": {definition.name.encode(): after.changed_ms}
        }
        newest = {"experiments": EXPERIMENT_COUNT_MAX}
        if plans is not None:
            expected[_ROUTING] = (
                self._read.bytes_of(_ROUTING, plans[0]) if plans[0].number else None
            )
            puts[_ROUTING] = encode_stored(plans[1])
        if before is not None and before.definition.number != definition.number:
            former = f"former:{before.definition.id}"
            puts[former] = encode_stored(before)
            lifetimes[former] = _KEPT_S
        if look is not None:
            index, told = f"looks:{look.experiment}", f"look:{look.experiment}:{look.number}"
            puts[told] = encode_stored(look)
            lifetimes[told] = _KEPT_S
            indexed[index] = {told.encode(): look.number}
            newest[index] = _LOOKS_KEPT_MAX
        change = Change(
            expected=expected, puts=puts, lifetimes=lifetimes, indexed=indexed, newest=newest
        )
        return await self._documents.change(change, doing="change an experiment")

    async def guards(self, experiment: str) -> bytes | None:
        [found] = await self._documents.get([f"guards:{experiment}"], doing="read guardrails")
        return found

    async def keep_guards(self, guards: Mapping[str, bytes], progress: bytes) -> None:
        puts = {f"guards:{name}": data for name, data in guards.items()}
        lifetimes: dict[str, float | None] = dict.fromkeys(puts, _KEPT_S)
        change = Change(puts={**puts, _PROGRESS: progress}, lifetimes=lifetimes)
        await self._documents.change(change, doing="keep guardrails")

    async def progress(self) -> bytes | None:
        [found] = await self._documents.get([_PROGRESS], doing="read how far guardrails are")
        return found

    async def looks(self, experiment: str) -> list[LookReport]:
        doing = "read what was seen of an experiment"
        index = f"looks:{experiment}"
        found = await self._documents.newest(index, 0, _LOOKS_KEPT_MAX, doing=doing)
        names = [name.decode() for name in reversed(found)]
        values = await self._documents.get(names, doing=doing) if names else []
        return list(readable(LookReport, names, values).values())
