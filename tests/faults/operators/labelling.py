"""The bank's word on transactions, and whether later decisions of their accounts know of it."""

import asyncio
import time
from collections.abc import Sequence

from sentinel.codec.records import keyed
from sentinel.records import Feedback
from tests.faults.operators import log
from tests.faults.operators.oracle import Sent, unlabelled
from tests.faults.operators.site import Site
from tests.faults.operators.turn import Turn

LABEL_COUNT = 60
LABELLED_S_MAX = 30.0
ROUND_COUNT = 4  # labels open by a commit, and are applied at a later record
ROUND_S = 1.5


async def missing_labels(turn: Turn, site: Site, *, named: str) -> list[str]:
    """Label the oldest transaction of many accounts; say which do not know it in the end."""
    labelled = {one.account: one for one in reversed(site.book.sent)}
    accounts = sorted(labelled)[-LABEL_COUNT:]  # the auditors come first
    await label(site, [labelled[account] for account in accounts])
    newest: list[Sent] = []
    for _ in range(ROUND_COUNT):
        await asyncio.sleep(ROUND_S)
        newest = await site.send(accounts=accounts)
        if not await turn.outlive(site, named=named):
            break
    return unlabelled(site.decided, {one.transaction_id: 1 for one in newest})


async def label(site: Site, chosen: Sequence[Sent]) -> None:
    """The bank's word on each of these; returns when the labels are out."""
    observed_ms = site.event_time_ms(site.book.sent[-1])
    voices = [
        Feedback(
            transaction_id=one.transaction_id,
            label="fraud",
            source="chargeback",
            who="bank",
            observed_ms=observed_ms,
            event_time_ms=site.event_time_ms(one),
            entities={"account": one.account, "merchant": one.merchant},
        )
        for one in chosen
    ]
    records = [keyed(voice.transaction_id, voice) for voice in voices]
    await site.publish(site.topic("feedback"), [(0, one.key, one.value or b"") for one in records])
    labels = log.Tail(site.servers, site.topic("labels"))
    deadline_s = time.monotonic() + LABELLED_S_MAX
    while len(labels.records) < len(voices):
        assert time.monotonic() < deadline_s, f"{len(labels.records)} labels: {site.output[-600:]}"
        await labels.read()
        await asyncio.sleep(0.2)
