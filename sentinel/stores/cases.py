"""Cases and annotators in the feedback database, with how far feedback has been counted.

case:{transaction}       a case, JSON; expires
annotator:{source/who}   what is known of one who votes, JSON; expires
annotators               index: their names by the time of their last vote
recent                   index: the newest cases by their newest vote
unsettled                the same of those that are open or contested
feedback                 FeedbackProgress, JSON; kept
"""

from collections.abc import Sequence

from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.documents import Change, Documents
from sentinel.errors import FencedError, RecordError, TransientError
from sentinel.stored.votes import (
    RECENT_COUNT_MAX,
    UNSETTLED_COUNT_MAX,
    Annotator,
    Case,
    CaseBatch,
    FeedbackProgress,
)
from sentinel.stores.reading import readable

# The longest a chargeback takes, with a margin: after it a label can no longer change.
CASE_TTL_S = 180 * 86_400.0
ANNOTATOR_TTL_S = 730 * 86_400.0
LISTED_COUNT_MAX = 10_000
_PAGE_COUNT = 1_000  # cases read at once: a few hundred kB
_PROGRESS = "feedback"


class StoredCases:
    """`ports.CaseStore` on documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        # What was read last, and its bytes: another version of Sentinel may have written others.
        self._read: tuple[FeedbackProgress | None, bytes | None] = None, None

    async def progress(self) -> FeedbackProgress | None:
        [found] = await self._documents.get([_PROGRESS], doing="read how far feedback was counted")
        if found is None:
            return None
        try:
            progress = decode_stored(FeedbackProgress, found)
        except RecordError as error:  # whoever damaged it may put it right
            raise TransientError(f"how far feedback was counted is damaged: {error}") from error
        self._read = progress, found
        return progress

    async def cases(self, transaction_ids: Sequence[str]) -> dict[str, Case]:
        names = [f"case:{name}" for name in transaction_ids]
        found = await self._documents.get(names, doing="read cases")
        return readable(Case, transaction_ids, found)

    async def annotators(self, names: Sequence[str]) -> dict[str, Annotator]:
        documents = [f"annotator:{name}" for name in names]
        found = await self._documents.get(documents, doing="read annotators")
        return readable(Annotator, names, found)

    async def latest_annotators(self) -> list[Annotator]:
        names = await self._documents.newest(
            "annotators", 0, LISTED_COUNT_MAX, doing="list annotators"
        )
        return list((await self.annotators([name.decode() for name in names])).values())

    async def unsettled(self, count: int) -> list[Case]:
        return await self._newest("unsettled", count)

    async def recent(self, count: int) -> list[Case]:
        return await self._newest("recent", count)

    async def _newest(self, index: str, count: int) -> list[Case]:
        found: list[Case] = []
        begin = 0
        while len(found) < count:
            names = await self._documents.newest(
                index, begin, _PAGE_COUNT, doing=f"list {index} cases"
            )
            cases = await self.cases([name.decode() for name in names])  # less what has expired
            found += cases.values()
            if len(names) < _PAGE_COUNT:
                break
            begin += _PAGE_COUNT
        return found[:count]

    async def save(self, before: FeedbackProgress | None, work: CaseBatch) -> None:
        """As the port says: two that believe that feedback is theirs cannot both count a vote."""
        known, data = self._read
        if before != known:
            data = None if before is None else encode_stored(before)
        if not await self._documents.change(_saved(data, work), doing="save cases"):
            raise FencedError(
                "feedback is not as it was saved: another counts it, or the store went back"
            )


def _saved(before: bytes | None, work: CaseBatch) -> Change:
    puts = {f"case:{name}": encode_stored(case) for name, case in work.cases.items()}
    lifetimes: dict[str, float | None] = dict.fromkeys(puts, CASE_TTL_S)
    people = {f"annotator:{name}": encode_stored(one) for name, one in work.annotators.items()}
    lifetimes |= dict.fromkeys(people, ANNOTATOR_TTL_S)
    newest = {name.encode(): case.newest_ms for name, case in work.cases.items()}
    cases = zip(newest.items(), work.cases.values(), strict=True)
    unsettled = {name: at_ms for (name, at_ms), case in cases if case.is_unsettled}
    return Change(
        expected={_PROGRESS: before},
        puts={**puts, **people, _PROGRESS: encode_stored(work.progress)},
        lifetimes=lifetimes,
        indexed={
            "unsettled": unsettled,
            "recent": newest,
            "annotators": {name.encode(): one.last_ms for name, one in work.annotators.items()},
        },
        unindexed={"unsettled": newest.keys() - unsettled.keys()},
        newest={"unsettled": UNSETTLED_COUNT_MAX, "recent": RECENT_COUNT_MAX},
    )
