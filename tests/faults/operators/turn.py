"""One strike by an operator: what is chosen for it, what came of it, and the judgement."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

from tests.faults.operators.endings import Ending
from tests.faults.operators.ground import World
from tests.faults.operators.oracle import Judgement
from tests.faults.operators.site import SETTLED_S_MAX, Site
from tests.kafka.cluster import KafkaCluster

Verdict = Literal["exact", "stopped", "wrong"]

STARTS_MAX = 2  # a supervisor starts what has ended once more; then it is left as it is


@dataclass(slots=True)
class Bench:
    """What all strikes of a run share."""

    world: World
    folder: Path
    kafka: KafkaCluster


@dataclass(slots=True)
class Turn:
    """A strike and its findings.

    Parameters
    ----------
    number
        Counts the strikes from the seed on: it decides the variant, chance the rest.
    """

    bench: Bench
    fault: str
    number: int
    draw: Random
    variant: str = ""
    judgements: list[Judgement] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    offences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    early: int = 0
    struck_s: float | None = None  # when the world was whole again, or had changed
    recovery_s: float | None = None
    is_over: bool = False  # it has ended and is not to be started again

    @classmethod
    def of(cls, bench: Bench, fault: str, number: int) -> "Turn":
        return cls(bench, fault, number, Random(f"{fault} {number}"))

    @property
    def verdict(self) -> Verdict:
        if self.offences:
            return "wrong"
        return "stopped" if self.is_over else "exact"

    def choose(self, *variants: str) -> str:
        """Each in its turn, so that a few strikes see all."""
        self.variant = variants[self.number % len(variants)]
        return self.variant

    def site(self, name: str = "", **more: Any) -> Site:
        """A deployment for this strike; equal turns make equal input."""
        full = f"{self.fault}-{self.number}{name}"
        return Site(self.bench.world, self.bench.folder, full, full, **more)

    def offend(self, text: str) -> None:
        self.offences.append(text)

    async def outlive(
        self,
        site: Site,
        *,
        named: str,
        again: Sequence[str] = (),
        starts_max: int = STARTS_MAX,
        timeout_s: float = SETTLED_S_MAX,
    ) -> bool:
        """Until all is decided, or it has ended, properly, as often as a supervisor starts it.

        Parameters
        ----------
        named
            What the sentence at an end must name: a pattern.
        again
            Arguments of the starts after an end.
        """
        self.struck_s = self.struck_s or time.monotonic()
        for attempt in range(starts_max + 1):
            if await site.settle(timeout_s):
                self.recovered()
                return True
            ending = site.ending(named)
            if ending is None:
                health = [line for line in site.output.splitlines() if "· health" in line][-1:]
                self.offend(
                    f"{site.waiting} wait after {timeout_s:.0f} s, and it runs on: {health}"
                )
                self.is_over = True
                return False
            self.ended(ending)
            if ending.offences or attempt == starts_max:
                break
            await site.start(*again)
        self.is_over = True
        return False

    def struck(self) -> None:
        """The fault has come over the world, or has passed: from now on recovery is timed."""
        self.struck_s = time.monotonic()

    def recovered(self) -> None:
        """All is decided, for the first time since."""
        if self.recovery_s is None and self.struck_s is not None:
            self.recovery_s = time.monotonic() - self.struck_s

    def ended(self, ending: Ending) -> None:
        self.endings.append(ending)
        self.offences += ending.offences

    async def audit(
        self, site: Site, *, named: str, again: Sequence[str] = (), flags_allowed: bool = True
    ) -> bool:
        """One more transaction for every account, then for every merchant: nothing may be missing.

        False if they could not all be decided.

        Parameters
        ----------
        flags_allowed
            Whether these may say that they may lack state: not where the log still has all of it.
        """
        begin = len(site.book.sent)
        accounts = sorted({one.account for one in site.book.sent if one.account[:5] == "card-"})
        await site.send(accounts=accounts)
        if not await self.outlive(site, named=named, again=again):
            return False
        merchants = sorted({one.merchant for one in site.book.sent})
        names = [f"auditor-{begin}-{i}" for i in range(len(merchants))]
        await site.send(accounts=names, merchants=merchants, is_merchant_checked=True)
        if not await self.outlive(site, named=named, again=again):
            return False
        asked = {one.transaction_id for one in site.book.sent[begin:]}
        flagged = sum(one.is_flagged for one in site.decided if one.transaction_id in asked)
        if flagged and not flags_allowed:
            self.offend(f"{flagged} decisions may lack state, though the log has all of it")
        return True

    async def restart(self, site: Site, *arguments: str) -> None:
        """In order, so that what was in memory only is asked of the store: any deployment does."""
        if site.instance is not None and site.instance.is_running:
            await site.stop()
        await site.start(*arguments)

    async def close(
        self,
        site: Site,
        *,
        forgotten: frozenset[str] = frozenset(),
        flags_allowed: bool = True,
        is_loss_allowed: bool = False,
    ) -> None:
        """Judge all that a site has published."""
        await site.read()
        found = site.book.judge(site.decided, forgotten)
        if found.lost and (self.is_over or is_loss_allowed):
            self.notes.append(f"{found.lost} are left undecided")
            found.lost = 0
            found.examples = [text for text in found.examples if "is not decided" not in text]
        if found.flagged:
            self.notes.append(f"{found.flagged} decisions say that they may lack state")
        self.judgements.append(found)
        self.offences += found.offences
        if found.flagged and not flags_allowed:
            self.offend(f"{found.flagged} decisions are flagged where all state could be had")
        self.early += site.early
        if site.early:
            self.offend(f"commits passed {site.early} transactions that were not decided")
        self.notes += site.notes
